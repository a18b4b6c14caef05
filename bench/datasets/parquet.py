"""Convert The Complete Journey's Parquet tables into lines of JSON, once; runs as a script of its own.

It needs pyarrow, which is no dependency of the project: `fetching` starts it in a process that finds pyarrow in a
folder made for it. Arguments: the folder of the tables, the file to write.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq  # type: ignore[import-not-found,import-untyped,unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Iterator

Line = list[Any]


def _milliseconds(moment: dt.datetime) -> int:
    return int(moment.replace(tzinfo=dt.UTC).timestamp()) * 1000


def _baskets(folder: Path) -> Iterator[Line]:
    """Sum up the lines of each basket; the table has one row per article."""
    columns = ["transaction_timestamp", "household_id", "basket_id", "sales_value"]
    table = pq.read_table(folder / "transactions.parquet", columns=columns)
    baskets: dict[int, Line] = {}
    for at, household, basket, value in zip(*(table[name].to_pylist() for name in columns), strict=True):
        found = baskets.get(basket)
        if found is None:
            baskets[basket] = ["basket", _milliseconds(at), household, basket, 1, value]
        else:
            found[4] += 1
            found[5] += value
    for line in baskets.values():
        line[5] = round(line[5] * 100)
        yield line


def _others(folder: Path) -> Iterator[Line]:
    """Yield questionnaires, mailings (a campaign goes out on its first day) and redeemed coupons."""
    for row in pq.read_table(folder / "demographics.parquet").to_pylist():
        yield ["household", row["household_id"], row["age"] or "", row["household_size"] or ""]
    start = {
        row["campaign_id"]: _milliseconds(row["start_date"])
        for row in pq.read_table(folder / "campaign_descriptions.parquet").to_pylist()
    }
    for row in pq.read_table(folder / "campaigns.parquet").to_pylist():
        yield ["mailing", start[row["campaign_id"]], row["household_id"], row["campaign_id"]]
    for row in pq.read_table(folder / "coupon_redemptions.parquet").to_pylist():
        day = _milliseconds(row["redemption_date"])
        yield ["redemption", day, row["household_id"], row["campaign_id"], row["coupon_upc"]]


def main(folder: Path, target: Path) -> None:
    """Write baskets first, then the rest; the same tables give the same bytes."""
    with target.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as out:
        for lines in (_baskets(folder), _others(folder)):
            for line in lines:
                out.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

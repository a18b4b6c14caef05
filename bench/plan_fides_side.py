"""Time Fides planning an erasure: run by `bench.plan_vs_fides` with the Python of the environment that has it.

Prints one JSON object: the median milliseconds for a tree and a star of datasets.
"""

import json
import statistics
import sys
import time

import fides.api.db.base  # noqa: F401 - its models must be known before any is used
from fides.api.graph.config import Collection, FieldAddress, GraphDataset, ScalarField
from fides.api.graph.graph import DatasetGraph
from fides.api.graph.traversal import Traversal
from fides.api.task.create_request_tasks import build_access_networkx_digraph, build_erasure_networkx_digraph, collect_tasks_fn
from loguru import logger

logger.remove()
logger.disable("fides")
BRANCHES = 4


def dataset(number: int, parent: int | None, *, identity: bool) -> GraphDataset:
    fields = [
        ScalarField(name="id", primary_key=True),
        ScalarField(name="email", identity="email" if identity else None, data_categories=["user.contact.email"]),
        ScalarField(name="name", data_categories=["user.name"]),
    ]
    if parent is not None:
        fields.append(ScalarField(name="parent", references=[(FieldAddress(f"d{parent}", "c", "id"), "from")]))
    return GraphDataset(name=f"d{number}", collections=[Collection(name="c", fields=fields)], connection_key=f"k{number}")


def graph(shape: str, count: int) -> DatasetGraph:
    if shape == "star":
        return DatasetGraph(*(dataset(n, None, identity=True) for n in range(count)))
    return DatasetGraph(*(dataset(n, (n - 1) // BRANCHES if n else None, identity=n == 0) for n in range(count)))


def plan(datasets: DatasetGraph) -> int:
    traversal = Traversal(datasets, {"email": "x@example.org"})
    found = {}
    ends = traversal.traverse(found, collect_tasks_fn)
    build_access_networkx_digraph(found, ends, traversal)
    return build_erasure_networkx_digraph(found, ends).number_of_nodes() - 2


def main() -> None:
    count, rounds = int(sys.argv[1]), int(sys.argv[2])
    result = {}
    for shape in ("tree", "star"):
        datasets, times = graph(shape, count), []
        for _ in range(rounds if shape == "tree" else 1):
            start = time.perf_counter()
            planned = plan(datasets)
            times.append(time.perf_counter() - start)
        result[shape] = {"ms": statistics.median(times) * 1000, "planned": planned}
    print(json.dumps(result))


if __name__ == "__main__":
    main()

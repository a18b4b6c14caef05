"""The adapters of the public data sets: what they make of a line, and that persons stay made up and apart."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

import schemas
from bench import datasets
from bench.datasets import Event, cdnow, clickstream, journey
from bench.datasets.people import People

REPOSITORY = Path(__file__).resolve().parents[2]
CDNOW = """\
 customer_id  date number_of_cds  dollar_value
 00001 19970101  1   11.77
 00002 19970112  1   12.00
 00002 19970112  5   77.00
 00003 19970102  2   20.76
"""
JOURNEY = (
    ["basket", 1_483_271_606_000, 900, 31_198_570_044, 3, 1_250],
    ["basket", 1_490_000_000_000, 900, 31_198_570_050, 1, 99],
    ["household", 900, "35-44", "2"],
    ["household", 901, "", ""],
    ["mailing", 1_488_499_200_000, 900, 1],
    ["redemption", 1_488_931_200_000, 900, 1, 51_380_041_013],
)
CLICKS = """\
user_id,session_id,event,timestamp,platform,acquisition_channel,user_cohort,user_lifecycle
user_0000,sess_000002,home,2024-03-23 09:44:28,mobile,organic,2024-01,returning
user_0000,sess_000002,add_to_cart,2024-03-23 09:45:00,mobile,organic,2024-01,returning
user_0000,sess_000002,purchase,2024-03-23 09:49:00,mobile,organic,2024-01,returning
user_0000,sess_000001,home,2024-03-13 10:21:14,desktop,email,2024-01,returning
user_0000,sess_000001,add_to_cart,2024-03-13 10:22:12,desktop,email,2024-01,returning
user_0000,sess_000001,account_page,2024-03-13 10:23:32,desktop,email,2024-01,returning
user_0000,sess_000001,catalog,2024-03-13 10:27:06,desktop,email,2024-01,returning
user_0001,sess_000003,support_chat,2024-03-14 10:00:00,tablet,direct,2024-02,new
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Lay out small data sets in the files' own formats, as `fetch` would have left them."""
    for name in datasets.NAMES:
        (tmp_path / name).mkdir()
    (tmp_path / "cdnow" / "CDNOW_master.txt").write_text(CDNOW, encoding="ascii")
    with gzip.open(tmp_path / "journey" / "journey.jsonl.gz", "wt") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in JOURNEY)
    with gzip.open(tmp_path / "clickstream" / "ecom.csv.gz", "wt") as lines:
        lines.write(CLICKS)
    return tmp_path


def types(made: list[Event]) -> list[str]:
    return [event["type"] for event in made]


def find(made: list[Event], type_: str) -> list[Event]:
    return [event for event in made if event["type"] == type_]


@pytest.mark.parametrize("fulfilled", [False, True])
@pytest.mark.parametrize("name", datasets.NAMES)
def test_every_event_of_a_data_set_fits_its_schema(root: Path, name: str, *, fulfilled: bool) -> None:
    made = list(datasets.events(name, root=root, fulfilled=fulfilled))
    assert made
    for event in made:
        kind, record = schemas.registry().decode(schemas.registry().encode_json(event))
        assert (kind.name, record["controller"]) == (event["type"], event["controller"])


def test_every_invented_event_fits_its_schema_and_all_kinds_of_events_occur() -> None:
    made = list(datasets.synthetic(3_000, seed=7, fulfilled=True))
    for event in made:
        schemas.registry().encode_json(event)
    assert len(made) == 3_000
    assert {event["controller"] for event in made} == {"pompdelux", "apof", "valeur"}
    assert set(types(made)) == {
        *("order.placed", "order.paid", "order.shipped", "order.delivered"),
        *("newsletter.subscribed", "newsletter.sent", "newsletter.clicked"),
        *("cookie.accepted", "cookie.page_viewed"),
        *("account.created", "account.logged_in", "support.opened"),
    }


def test_a_purchase_becomes_an_order_and_its_payment_on_the_day_of_the_file(root: Path) -> None:
    made = list(datasets.events("cdnow", root=root))
    assert Counter(types(made)) == {"order.placed": 4, "order.paid": 4}
    placed = {event["order"]: event for event in find(made, "order.placed")}
    paid = {event["order"]: event for event in find(made, "order.paid")}
    assert placed.keys() == paid.keys()
    assert all(placed[order]["time"] < paid[order]["time"] for order in placed)
    third = placed["P0000003"]
    assert third["lines"] == 5
    assert third["time"] // 86_400_000 == 9_873, "12 January 1997 in days since the epoch"
    assert third["person"] == placed["P0000002"]["person"], "two orders of one customer"
    assert third["person"] != placed["P0000001"]["person"]


def test_an_order_ends_only_where_that_is_asked_for(root: Path) -> None:
    ended = find(list(datasets.events("cdnow", root=root, fulfilled=True)), "order.delivered")
    assert len(ended) == 4
    assert not find(list(datasets.events("cdnow", root=root)), "order.delivered")


def test_a_household_subscribes_before_its_first_letter_and_has_an_account_before_its_first_basket(root: Path) -> None:
    made = list(datasets.events("journey", root=root))
    own = People("journey", 0)[900]
    assert types([event for event in made if event["person"]["email"] == own.email]) == [
        "newsletter.subscribed",
        "account.created",
        "order.placed",
        "order.paid",
        "newsletter.sent",
        "newsletter.clicked",
        "order.placed",
        "order.paid",
    ]


def test_the_age_that_no_account_declares_is_carried_under_its_term(root: Path) -> None:
    accounts = {event["account"]: event for event in datasets.events("journey", root=root) if "account" in event}
    people = People("journey", 0)
    assert accounts[people[900].account]["data"]["others"] == {"age": "35-44"}
    assert "others" not in accounts[people[901].account]["data"]


def test_each_device_has_a_cookie_of_its_own_that_is_accepted_before_anything_else(root: Path) -> None:
    made = list(datasets.events("clickstream", root=root))
    accepted = {event["cookie"]: event["time"] for event in find(made, "cookie.accepted")}
    assert len(accepted) == 3
    others = [event for event in made if "cookie" in event and event["type"] != "cookie.accepted"]
    assert len(others) == 7
    assert all(accepted[event["cookie"]] < event["time"] for event in others)


def test_a_page_view_names_nobody_and_the_account_page_joins_the_cookie_to_a_person(root: Path) -> None:
    made = list(datasets.events("clickstream", root=root))
    assert all(event["person"] == {} for event in find(made, "cookie.page_viewed"))
    (login,) = find(made, "account.logged_in")
    assert login["cookie"] == People("clickstream", 0).cookie(0, "desktop")
    assert login["person"]["email"] == People("clickstream", 0)[0].email
    (created,) = find(made, "account.created")
    assert created["account"] == login["account"]
    assert created["time"] < login["time"]


def test_the_last_page_of_a_session_tells_of_the_basket_left_and_of_the_login(root: Path) -> None:
    views = find(list(datasets.events("clickstream", root=root)), "cookie.page_viewed")
    seen = [(event["data"]["cookie_information"], event["logged_in"], event["cart"], event["via"]) for event in views]
    assert seen == [
        ("home", False, False, "newsletter"),
        ("add_to_cart", False, False, "newsletter"),
        ("catalog", True, True, "newsletter"),
        ("home", False, False, "direct"),
        ("add_to_cart", False, False, "direct"),
    ]


@pytest.mark.parametrize("name", datasets.NAMES)
def test_events_come_in_time_order_with_ids_of_their_own_and_a_limit_cuts_the_end(root: Path, name: str) -> None:
    made = list(datasets.events(name, root=root))
    assert all(before["time"] <= after["time"] for before, after in pairwise(made))
    assert len({(event["source"], event["id"]) for event in made}) == len(made)
    assert list(datasets.events(name, 3, root)) == made[:3]


def test_mixed_events_keep_their_times_and_their_order_within_each_controller(root: Path) -> None:
    made = list(datasets.mixed(root=root))
    for name, module in (("cdnow", cdnow), ("journey", journey), ("clickstream", clickstream)):
        own = [event for event in made if event["controller"] == module.CONTROLLER]
        assert own == list(datasets.events(name, root=root))
    assert list(datasets.mixed(9, root)) == made[:9]


def test_mixing_spreads_each_data_set_over_the_whole_stream() -> None:
    made = list(datasets.synthetic(6_000))
    for part in (made[:1_500], made[-1_500:]):
        assert {event["controller"] for event in part} == {"pompdelux", "apof", "valeur"}


def test_the_same_seed_gives_the_same_events_and_another_seed_other_persons() -> None:
    made = list(datasets.synthetic(500, seed=3))
    assert list(datasets.synthetic(500, seed=3)) == made
    emails = {event["person"].get("email") for event in made} - {None}
    others = {event["person"].get("email") for event in datasets.synthetic(500, seed=4)} - {None}
    assert emails
    assert not emails & others


def test_no_two_customers_share_an_identifier() -> None:
    people = People("cdnow", 0)
    far_apart = range(1_000_000, 10_000_000, 500_000)
    made = [people[number] for number in (*range(23_571), *far_apart)]
    for kind in ("email", "phone", "customer_number", "account"):
        assert len({getattr(persona, kind) for persona in made}) == len(made), kind


def test_made_up_persons_stay_within_what_is_reserved_for_examples() -> None:
    for number in range(1_000):
        persona = People("journey", number)[number]
        assert persona.email.isascii()
        assert persona.email.endswith("@example.org")
        assert persona.phone.startswith("+45 1")
        assert len(persona.phone) == len("+45 12345678")
        assert persona.ip_address.startswith("2001:db8:")


def test_a_customer_number_too_large_to_stay_distinct_is_refused() -> None:
    with pytest.raises(ValueError, match="customer numbers lie between"):
        People("cdnow", 0)[10_000_000]


def test_a_data_set_that_was_not_fetched_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(datasets.DatasetError, match="fetch cdnow") as caught:
        datasets.events("cdnow", root=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_name_that_no_data_set_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(datasets.DatasetError, match="there are cdnow, journey, clickstream"):
        datasets.fetch("chess", tmp_path)


def test_a_data_set_that_is_there_is_not_fetched_again(root: Path) -> None:
    file = datasets.fetch("cdnow", root)
    assert file.read_text(encoding="ascii") == CDNOW


def test_an_index_out_of_reach_is_one_line_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(datasets.DatasetError, match=r"cdnow: Lifetimes==0\.11\.3 could not be fetched") as caught:
        datasets.fetch("cdnow", tmp_path)
    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_command_prints_a_json_object_a_line() -> None:
    done = run("events", "--synthetic", "25", "--seed", "2")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == list(datasets.synthetic(25, seed=2))


def test_the_command_says_in_one_line_what_is_missing(tmp_path: Path) -> None:
    done = run("events", "journey", "--root", str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: journey: not there yet")
    assert len(done.stderr.splitlines()) == 1


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.datasets", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=REPOSITORY, timeout=60)

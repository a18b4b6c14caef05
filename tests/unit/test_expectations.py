"""Rows that are not so must fail: a check that lets them through would hide what the engine does wrong."""

import pytest

from lineage.expectations import check
from lineage.rehearsal import Rehearsal, Result
from lineage.scenario import scenario
from lineage.sqlite_store import SQLiteStore

SHOP = {
    "id": "S-1",
    "controllers": ["pompdelux"],
    "settings": {"pompdelux": {"P-RET-1": {"purchase_and_return": {"anchor": "order.delivered", "duration": "P14D"}}}},
    "steps": [
        {"at": "2024-01-15", "event": "newsletter.subscribed", "channel": "email", "express": True},
        {"at": "2024-10-01", "event": "order.placed", "order": "P-1"},
        {"at": "2024-10-01", "event": "order.paid", "order": "P-1"},
        {"at": "2024-10-02", "request": "erasure", "via": "phone", "as": "r1"},
        {"at": "2024-10-03", "event": "order.shipped", "order": "P-1"},
        {"at": "2024-10-05", "event": "order.delivered", "order": "P-1"},
    ],
}
CONSUMER_LAW = {
    "id": "S-2",
    "controllers": ["webco"],
    "settings": {"webco": {"jurisdiction": "DK", "W-RET-1": {"shipping": {"anchor": "order.delivered", "duration": "P30D"}}}},
    "steps": [
        {"at": "2024-03-01", "event": "order.placed", "order": "W-1"},
        {"at": "2024-03-04", "event": "order.delivered", "order": "W-1"},
    ],
}
CLAIM = {
    "id": "S-3",
    "controllers": ["pompdelux"],
    "settings": {"pompdelux": {"P-RET-1": {"answering_questions": {"anchor": "support.closed", "duration": "P1M"}}}},
    "steps": [
        {"at": "2024-03-01", "event": "support.opened", "matter": "M-1"},
        {"at": "2024-03-02", "event": "support.closed", "matter": "M-1"},
        {"at": "2024-03-03", "event": "claim.opened", "claim": "C-1", "about": "M-1"},
    ],
}
NEWS = {
    "id": "S-4",
    "controllers": ["valeur"],
    "steps": [
        {"at": "2024-03-01", "event": "newsletter.subscribed", "channel": "email", "express": True, "as": "s1"},
        {"at": "2024-03-02", "event": "newsletter.unsubscribed", "channel": "email", "via": "link"},
        {"at": "2024-03-03", "person": "other", "request": "access", "via": "email", "as": "a1"},
    ],
    "people": {"one": {}, "other": {}},
    "downstream": {"marketing_store": {"answers": "2024-03-05"}},
}
IN_HOLD = {"at": "2024-10-02", "target": "order_system"}
OVERDUE = {"at": "2024-05-01", "target": "microsoft_365", "categories": ["email"], "activity": "shipping"}
GONE = {"at": "2024-03-02", "target": "marketing_store", "categories": ["email"], "because": ["V-RET-4"]}


def _played(raw: dict[str, object], row: dict[str, object]) -> Result:
    return Rehearsal(scenario({**raw, "expect": [row]}), SQLiteStore.open(":memory:")).run(check)[0]


@pytest.mark.parametrize(
    ("raw", "row"),
    [
        (SHOP, {**IN_HOLD, "categories": ["email"], "outcome": "retained", "because": ["P-ACT-1"]}),
        (SHOP, {**IN_HOLD, "categories": ["email"], "step": "r1", "outcome": "pending", "because": ["P-ACT-1"]}),
        (CONSUMER_LAW, {**OVERDUE, "outcome": "held", "because": ["W-HOLD-3"]}),
        (CLAIM, {"at": "2024-05-01", "target": "support_inbox", "categories": ["email"], "outcome": "retained", "because": ["gdpr:17"]}),
        (NEWS, {**GONE, "outcome": "erased", "acknowledged": "2024-03-05"}),
        (NEWS, {**GONE, "outcome": "suppressed", "channel": "email", "because": ["V-SUP-1"]}),
        (NEWS, {**GONE, "target": "suppression_list", "outcome": "suppressed", "channel": "email", "because": ["V-SUP-2"]}),
        (NEWS, {"at": "2024-03-03", "step": "a1", "outcome": "informed", "because": ["V-ACC-1"]}),
    ],
)  # fmt: skip
def test_what_is_so_holds(raw: dict[str, object], row: dict[str, object]) -> None:
    result = _played(raw, row)
    assert result.passed, result.found


@pytest.mark.parametrize(
    ("raw", "row"),
    [
        # Kept after an erasure request, it is not in ordinary use; restricted is another thing.
        (SHOP, {**IN_HOLD, "categories": ["email"], "outcome": "held", "because": ["P-ACT-1"]}),
        (SHOP, {**IN_HOLD, "categories": ["email"], "outcome": "restricted", "because": ["P-ACT-1"]}),
        # The statute keeps the address, so the case does not wait for it once the order is through.
        (SHOP, {"at": "2024-10-21", "target": "order_system", "categories": ["address"], "step": "r1", "outcome": "pending",
                "because": ["P-ACT-1", "P-HOLD-1"]}),
        (SHOP, {**IN_HOLD, "categories": ["name"], "activity": "statute", "step": "r1", "outcome": "pending", "because": ["P-ACT-1"]}),
        # A hold that blocks retention leaves ordinary use.
        (CONSUMER_LAW, {**OVERDUE, "outcome": "retained", "because": ["W-HOLD-3"]}),
        # Without such a ground in the policy, a claim keeps and restricts nothing.
        (CLAIM, {"at": "2024-05-01", "target": "support_inbox", "categories": ["email"], "outcome": "restricted",
                 "because": ["gdpr:17"]}),
        # Not acknowledged yet, acknowledged on another day, told on another day.
        (NEWS, {**GONE, "outcome": "erased"}),
        (NEWS, {**GONE, "outcome": "erased", "acknowledged": "2024-03-04"}),
        (NEWS, {**GONE, "outcome": "commanded", "acknowledged": "2024-03-04"}),
        (NEWS, {**GONE, "at": "2024-03-05", "outcome": "erased"}),
        # An entry is for its channel, its scope, its list and the targets that it stops.
        (NEWS, {**GONE, "outcome": "suppressed", "channel": "sms", "because": ["V-SUP-1"]}),
        (NEWS, {**GONE, "outcome": "suppressed", "scope": "account", "because": ["V-SUP-1"]}),
        (NEWS, {**GONE, "target": "website", "outcome": "suppressed", "channel": "email", "because": ["V-SUP-1"]}),
        (NEWS, {**GONE, "target": "suppression_list", "outcome": "suppressed", "channel": "sms", "because": ["V-SUP-2"]}),
        # What one person was told, another was not.
        (NEWS, {"at": "2024-03-03", "person": "one", "outcome": "informed", "because": ["V-ACC-1"]}),
        # A rule that has nothing to do with it is no reason.
        (NEWS, {"at": "2024-03-01", "target": "marketing_store", "categories": ["email"], "outcome": "held",
                "because": ["V-HOLD-1", "V-SALE-1"]}),
        (NEWS, {"at": "2024-03-01", "target": "website", "categories": ["username"], "outcome": "absent", "because": ["V-SALE-1"]}),
        (NEWS, {"at": "2024-03-01", "step": "s1", "outcome": "omitted", "categories": ["email"], "because": ["V-ACC-1"]}),
    ],
)  # fmt: skip
def test_what_is_not_so_fails(raw: dict[str, object], row: dict[str, object]) -> None:
    assert not _played(raw, row).passed

"""Say what a policy says of a right of the data subject, and what a request for one is.

Every effect of a right names the rules that it rests on; where a policy says nothing of a right, the GDPR applies directly
and its article is the reason (art. 7(3), 15 to 22).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from lineage.calendar import Duration, next_working_day
from lineage.policy import Activity, Ids
from lineage.subject import Case, Subject

ARTICLE = {"access": 15, "rectification": 16, "erasure": 17, "restriction": 18, "portability": 20, "objection": 21,
           "withdrawal": 7, "complaint": 77, "hiding": 18}  # fmt: skip
CHANNEL_TERM = {"email": "email", "sms": "phone", "phone": "phone", "push": "push_token", "post": "address"}


@dataclass(frozen=True, slots=True)
class Request:
    """A rights request as it came in; `scope` names activities or `direct_marketing`, `of` categories."""

    id: str
    at: int
    right: str
    via: str = ""
    scope: Ids = ()
    of: Ids = ()
    channel: str | None = None
    correct: Ids = ()
    remove: Ids = ()
    contested: bool = False
    ground: str | None = None
    proven: bool = True
    by: str | None = None
    facts: dict[str, object] = field(default_factory=dict)


def right_ids(s: Subject, right: str, *scope: str) -> Ids:
    """Give the policy's rules on a right (those of a scope, if the scope has any), or the article of the GDPR."""
    rules = [r for r in s.policy.rights if r.right == right]
    scoped = [r for r in rules if set(r.scope) & set(scope)]
    found = [r.id for r in scoped or ([] if scope and any(r.scope for r in rules) else rules)]
    if not found:
        found = [*(r.id for r in rules if set(r.ends) & set(scope)), s.policy.silent_rights or "", f"gdpr:{ARTICLE[right]}"]
    if s.policy.silent_rights:
        found += s.policy.cited_with_of("right:any")
    return s.cite(*found, *s.policy.cited_with_of(f"right:{right}"))


def via_ids(s: Subject, via: str, right: str) -> Ids:
    """Give the channel's rules, and where the channel does not serve the right, those of the channels that do."""
    policy = s.policy
    alike = {"form": ("support_form", "phone_or_form"), "social": ("social_media",), "profile": ("account", "online_profile"),
             "link": ("newsletter_link", "email_footer", "newsletter_unsubscribe")}.get(via, (via,))  # fmt: skip
    used = [str(c["id"]) for c in policy.channels if c["kind"] in alike]
    serving = [str(c["id"]) for c in policy.channels if right in serves(c.get("serves"))]
    content = [str(c["id"]) for c in policy.channels if c["kind"] in ("request_content", "email_match")]
    return (*used, *policy.cited_with_of(f"via:{via}"), *policy.cited_with_of("via:any"), *serving, *content)


def serves(value: object) -> Iterable[str]:
    """Give the rights that a channel serves, none if the policy does not list them."""
    return value if isinstance(value, list) else ()


def marketing_of(s: Subject, scope: str) -> list[Activity]:
    """Give the activities that a scope of a marketing request means."""
    acts = s.policy.activities
    if scope != "direct_marketing":
        return [acts[scope]] if scope in acts else []
    return s.reading.once("direct marketing", lambda: _direct_marketing(s))


def _direct_marketing(s: Subject) -> list[Activity]:
    acts = s.policy.activities
    named = {a for r in s.policy.rights if r.right == "objection" and "direct_marketing" in r.scope for a in r.ends}
    return [a for a in acts.values() if a.name in named or (not named and a.marketing in ("direct", "profiling"))]


def answer_day(s: Subject, case: Case) -> dt.date:
    """Give the last day for the answer: a calendar month after receipt, or as extended, and then a working day.

    The same day of the next month, its last where there is none, the next working day where that is none (GDPR
    art. 12(3), Regulation 1182/71 art. 3). The setting `first_day_counts` lets the month begin on the day of receipt.
    """
    parameter = s.policy.parameters["answer_deadline"]
    assert parameter.duration is not None  # part of the shipped parameters
    received = s.policy.zone.day(case.at)
    if s.policy.settings.get("first_day_counts") is True:
        received -= dt.timedelta(days=1)
    last = parameter.duration.after(received)
    if case.extended and parameter.extension is not None:
        months = Duration(parameter.duration.months + parameter.extension.months, 0)
        last = months.after(received)
    return next_working_day(last, s.policy.jurisdiction)

"""Say on which day a matter came to its end: an order, a support case, a debt, a claim.

What arrives are the events of a matter; what leaves is a day, `FOREVER` while the matter is open, None where none can be told.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from lineage.calendar import end_of_year_after
from lineage.policy import Closing, Ids
from lineage.reading import DELIVERED, SETTLED
from lineage.subject import Matter, Subject

FOREVER = dt.date.max
_SETTLED = Closing(all=SETTLED)


def _closing_day(s: Subject, matter: Matter, closing: Closing, opened: int) -> dt.date | None:
    zone = s.policy.zone
    if closing.lines is not None:
        if not matter.happened("order.placed") or matter.lines_left(shipped=closing.lines == "shipped"):
            return None
        return zone.day(max(matter.times(("order.shipped", "order.cancelled")), default=opened))
    moments = []
    for type_ in closing.all:
        later = [at for at in matter.times((type_,)) if at >= opened]
        if not later:
            return None
        moments.append(min(later))
    day = zone.day(max(moments))
    if closing.plus:
        parameter = s.policy.parameters.get(closing.plus.removeprefix("param:"))
        if parameter is None or parameter.duration is None:
            return None
        day = parameter.duration.after(day)
    if closing.none_open:
        opened_again = matter.times(closing.none_open[0])
        if opened_again:
            closed = [at for at in matter.times(closing.none_open[1]) if at >= max(opened_again)]
            if not closed:
                return None
            day = max(day, zone.day(min(closed)))
    return day


def closed_on(s: Subject, matter: Matter, opened_by: Ids, closings: Sequence[Closing]) -> dt.date | None:
    """Give the day on which the matter was closed, `date.max` while it is open, None if it never opened."""
    opened = matter.times(opened_by)
    if not opened:
        return None
    days = [d for c in closings if (d := _closing_day(s, matter, c, max(opened))) is not None]
    return min(days, default=FOREVER)


def is_transaction(matter: Matter, *, shipped_counts: bool) -> bool:
    """Tell whether an order is one for the books: paid, invoiced or shipped, and not cancelled before that."""
    if matter.happened("order.paid") or (shipped_counts and matter.happened("order.shipped")):
        return True
    invoiced = any(t == "order.placed" and f.get("payment") in ("invoice", "account") for _, t, f in matter.events)
    return invoiced and not (matter.happened("order.cancelled") and matter.lines_left(shipped=False) == 0)


def parameter_end(s: Subject, name: str, matter: Matter) -> dt.date | None:
    """Give the last day that a statutory parameter sets for a matter; None if it cannot be told."""
    parameter = s.policy.parameters.get(name)
    zone = s.policy.zone
    if parameter is None or not matter.events:
        return None
    if parameter.years is not None:
        return end_of_year_after(zone.day(matter.events[0][0]), parameter.years)
    assert parameter.duration is not None
    if parameter.anchor is None:
        anchors = matter.times((DELIVERED,))
    else:
        began = matter.events[0][0]  # what began after it (a relationship taken up again) has not come to its end
        anchors = [at for at in s.times.get(parameter.anchor, ()) if at >= began]
    return parameter.duration.after(zone.day(max(anchors))) if anchors else None


def never_booked(s: Subject, parameter: str, matter: Matter) -> dt.date | None:
    """Give the day on which an order was cancelled that is none for the books, where the parameter is that of the books."""
    holds = [h for h in s.policy.holds if h.transaction is not None and h.parameter == parameter]
    if not holds or matter.kind != "order" or not matter.happened("order.cancelled") or matter.lines_left(shipped=False):
        return None
    if any(is_transaction(matter, shipped_counts=h.transaction == "any") for h in holds):
        return None
    return s.policy.zone.day(max(matter.times(("order.cancelled",))))


def settled_on(s: Subject, matter: Matter) -> dt.date | None:
    """Give the day on which an order was paid and delivered, None before that."""
    return _closing_day(s, matter, _SETTLED, matter.events[0][0])

"""Hand each system and recipient what it gets: events arrive, values for the targets leave.

In a real shop this is the integration between the services: the order system gets orders, the shipping agent gets an
address when a parcel goes off. Here one function stands for all of it: it asks the policy who gets what of an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import schemas
from demo.people import Deed, value_of
from lineage import fold
from lineage.facts import references
from lineage.policy import Policy
from lineage.projection import EventReader
from lineage.subject import Subject


class Delivery(NamedTuple):
    """A value that a target gets, under the customer number that it files it by."""

    controller: str
    target: str
    customer_number: str
    activity: str
    category: str
    value: str


def deliveries(policies: Mapping[str, Policy], deeds: Iterable[Deed]) -> Iterator[Delivery]:
    """Give what every target gets from the events, in their order."""
    reader = EventReader(schemas.registry())
    states: dict[tuple[str, int], Subject] = {}
    for deed in deeds:
        tagged = reader.read(schemas.registry().encode_json(deed.event))
        policy = policies[tagged.controller]
        s = states.setdefault((policy.id, deed.customer.number), Subject(policy, str(deed.customer.number)))
        kind, ref, about_kind, about = references(tagged)[0]
        matter = f"{kind}:{ref}" if ref else ""
        second = f"{about_kind}:{about}" if about else ""
        fold.apply(s, fold.Event(max(tagged.at, s.now), tagged.type, tagged.terms, tagged.fields, matter, second))
        for item in s.items.values():
            if item.last == s.now:
                term = policy.categories[item.category].term
                value = value_of(term, deed.customer, item.matter.partition(":")[2])
                yield Delivery(policy.id, item.target, deed.customer.customer_number, item.activity, item.category, value)

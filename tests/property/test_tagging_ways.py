"""Bytes and records are tagged alike, whatever the event holds, and broken bytes never get past either way."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lineage.errors import Undecodable
from lineage.projection import EventReader
from lineage.tagging import Tagged, compile_tagger
from schemas import DecodeError, registry

REGISTRY = registry()
READER = EventReader(REGISTRY)
TAGGERS = {event: compile_tagger(event) for event in REGISTRY.types.values()}
TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
SORTS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**31), 2**31 - 1),
    "boolean": st.booleans(),
    "date": st.dates().map(str),
    "list": st.lists(TEXT, max_size=4),
    "terms": st.lists(st.sampled_from([*REGISTRY.terms, "strange"]), max_size=4),
}


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the JSON form of any event."""
    event = REGISTRY.types[draw(st.sampled_from(list(REGISTRY.types)))]
    maybe = {
        **dict.fromkeys(event.refs, TEXT),
        **{name: SORTS.get(sort, TEXT) for name, sort in event.fields.items()},
        "person": st.fixed_dictionaries({}, optional=dict.fromkeys(("email", "phone", "customer_number"), TEXT)),
        "data": st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(event.data, TEXT)
            | {"others": st.dictionaries(TEXT | st.sampled_from(list(REGISTRY.terms)), TEXT, max_size=4)},
        ),
    }
    header = {"type": st.just(event.name), "time": st.integers(-(10**13), 10**14)}
    names = dict.fromkeys(("id", "source", "controller"), TEXT.filter(bool))
    drawn: dict[str, Any] = draw(st.fixed_dictionaries(header | names, optional=maybe))
    return drawn


def both(data: bytes) -> tuple[Tagged | None, Tagged | None]:
    """Tag both ways; None where the bytes are refused."""
    try:
        event, record = REGISTRY.decode(data)
        decoded: Tagged | None = TAGGERS[event](record)
    except (DecodeError, Undecodable):
        decoded = None
    try:
        return decoded, READER.read(data)
    except Undecodable:
        return decoded, None


@given(events())
def test_bytes_and_record_have_the_same_tags(obj: dict[str, Any]) -> None:
    decoded, projected = both(REGISTRY.encode_json(obj))
    assert decoded is not None
    assert projected == decoded


@given(events(), st.data())
def test_broken_bytes_are_refused_or_read_alike(obj: dict[str, Any], data: st.DataObject) -> None:
    """The reader of bytes does not look into what it steps over: there it may take what is no UTF-8, nothing else."""
    whole = REGISTRY.encode_json(obj)
    at = data.draw(st.integers(5, len(whole) - 1))
    broken = data.draw(
        st.sampled_from([whole[:at], whole + whole[at:], whole[:at] + whole[at + 1 :]])
        | st.binary(min_size=1, max_size=3).map(lambda noise: whole[:at] + noise + whole[at + len(noise) :]),
    )
    decoded, projected = both(broken)
    if decoded is not None:
        assert projected == decoded


@given(events())
def test_terms_and_fields_are_sorted_and_closed(obj: dict[str, Any]) -> None:
    tagged = READER.read(REGISTRY.encode_json(obj))
    assert list(tagged.terms) == sorted(set(tagged.terms))
    assert set(tagged.terms) | set(tagged.found) <= {*REGISTRY.terms, "?"}
    assert [name for name, _ in tagged.fields] == sorted(name for name, _ in tagged.fields)
    assert not set(tagged.terms) & set(tagged.found)

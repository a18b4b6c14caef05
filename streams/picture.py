"""Draw one data subject's lineage: what a target holds arrives, one HTML file leaves that needs nothing else.

Three tiers from left to right: the person, the systems that hold data, the recipients that got some. The drawing is
plain SVG and readable without scripts; a short script shows the rows behind what the pointer is on. No identifier's
value is in it: a picture is passed on more easily than a database.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as resources
from string import Template

import orjson

from lineage.policy import Policy

WIDTH, LEFT, PERSON = 1180, 24, 150
NODE, ROW, HEAD, GAP, TOP, FOOT = 288, 18, 50, 20, 64, 28
_TIERS = (LEFT, LEFT + PERSON + 148, WIDTH - LEFT - NODE)
_ROWS_MAX = 9
_PERSON_HEIGHT = 152
_STATES = ("ordinary", "kept", "ending")
"""The freest first: it colours a line that stands for several rows."""


@dataclass(frozen=True, slots=True)
class Held:
    """A row of the lineage: a category that a target holds for an activity; days are ISO dates."""

    target: str
    activity: str
    category: str
    since: str
    until: str | None
    use: str
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A box: where it stands, and the rows behind it."""

    name: str
    kind: str
    x: float
    y: float
    height: float
    rows: tuple[Held, ...]

    @property
    def middle(self) -> float:
        """Give the height at which lines meet it."""
        return self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Line:
    """A line from box to box, in the state of what it stands for."""

    start: Node
    end: Node
    state: str


def draw(policy: Policy, held: Sequence[Held], day: str, identifiers: Iterable[str] = ()) -> str:
    """Draw the lineage as it is on `day`; `identifiers` are the kinds that the person is known by."""
    boxes, lines, height = _arrange(policy, held)
    text = resources("streams").joinpath("picture.html").read_text("utf-8")
    svg = "".join([*map(_line, lines), *map(_box, boxes), _person(height, tuple(identifiers))])
    heads = "".join(
        f'<text class="tier" x="{x}" y="34">{word}</text>'
        for x, word in zip(_TIERS, ("Data subject", "Systems", "Recipients"), strict=True)
    )
    details = {b.name: [_detail(h) for h in b.rows] for b in boxes}
    data = orjson.dumps(details).decode().replace("<", "\\u003c")
    recipients = sum(b.kind != "system" for b in boxes)
    return Template(text).substitute(
        controller=html.escape(policy.name or policy.id), day=html.escape(day), width=WIDTH, height=height,
        svg=heads + svg, data=data, systems=_count(len(boxes) - recipients, "system"), recipients=_count(recipients, "recipient"),
        rows=_count(len(held), "holding"),
        empty="" if held else '<p class="empty">Nothing is held.</p>',
    )  # fmt: skip


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _arrange(policy: Policy, held: Sequence[Held]) -> tuple[list[Node], list[Line], float]:
    by_target: dict[str, list[Held]] = {}
    for row in held:
        by_target.setdefault(row.target, []).append(row)
    systems = [t for t in policy.systems if t in by_target]
    others = [t for t in by_target if t not in policy.systems]
    known = [t for t in policy.recipients if t in others]
    recipients = known + [t for t in others if t not in known]
    left = _column(policy, systems, by_target, _TIERS[1])
    right = _column(policy, recipients, by_target, _TIERS[2])
    height = max([TOP + _PERSON_HEIGHT, *(n.y + n.height for n in (*left, *right))]) + FOOT
    left, right = _centred(left, height), _centred(right, height)
    person = Node("", "person", LEFT, _middle(height) - _PERSON_HEIGHT / 2, _PERSON_HEIGHT, ())
    lines = [Line(person, n, _state(n.rows)) for n in left]
    for node in right:
        activities = {r.activity for r in node.rows}
        sources = [n for n in left if activities & {r.activity for r in n.rows}]
        lines += [Line(n, node, _state(node.rows)) for n in sources or [person]]
    return [*left, *right], lines, height


def _column(policy: Policy, names: Sequence[str], rows: Mapping[str, Sequence[Held]], x: float) -> list[Node]:
    found, y = [], float(TOP)
    for name in names:
        recipient = policy.recipients.get(name)
        kind = "system" if name in policy.systems else recipient.role.value if recipient else "recipient"
        shown = min(len({r.category for r in rows[name]}), _ROWS_MAX + 1)
        height = HEAD + shown * ROW + 10
        found.append(Node(name, kind, x, y, height, tuple(rows[name])))
        y += height + GAP
    return found


def _middle(height: float) -> float:
    return (TOP + height - FOOT) / 2


def _centred(nodes: Sequence[Node], height: float) -> list[Node]:
    if not nodes:
        return []
    shift = _middle(height) - (TOP + nodes[-1].y + nodes[-1].height) / 2
    return [Node(n.name, n.kind, n.x, n.y + shift, n.height, n.rows) for n in nodes]


def _state(rows: Iterable[Held]) -> str:
    states = {r.use for r in rows}
    return next((s for s in _STATES if s in states), "ordinary")


def _words(name: str) -> str:
    return html.escape(name.replace("_", " "))


def _box(node: Node) -> str:
    by_category: dict[str, list[Held]] = {}
    for row in node.rows:
        by_category.setdefault(row.category, []).append(row)
    parts = [
        f'<g class="box {_state(node.rows)}" data-node="{html.escape(node.name)}" tabindex="0"',
        f' transform="translate({node.x},{node.y})">',
        f"<title>{_words(node.name)}: {len(by_category)} categories</title>",
        f'<rect width="{NODE}" height="{node.height}" rx="10"/>',
        f'<text class="name" x="14" y="23">{_words(node.name)}</text><text class="role" x="14" y="38">{_words(node.kind)}</text>',
        f'<line class="rule" x1="14" x2="{NODE - 14}" y1="46" y2="46"/>',
    ]
    for n, (category, rows) in enumerate(sorted(by_category.items())):
        y = HEAD + 13 + n * ROW
        if n == _ROWS_MAX and len(by_category) > _ROWS_MAX + 1:
            parts.append(f'<text class="more" x="30" y="{y}">and {len(by_category) - n} more</text>')
            break
        until = _last(rows)
        parts.append(
            f'<g class="row {_state(rows)}"><circle cx="19" cy="{y - 4}" r="3.5"/>'
            f'<text x="30" y="{y}">{_words(category)}</text><text class="until" x="{NODE - 14}" y="{y}">{until}</text></g>',
        )
    return "".join([*parts, "</g>"])


def _last(rows: Sequence[Held]) -> str:
    days = [r.until for r in rows]
    return "" if None in days else f"until {html.escape(max(d for d in days if d))}"


def _line(line: Line) -> str:
    x1 = line.start.x + (PERSON if line.start.kind == "person" else NODE)
    x2, y1, y2 = line.end.x, line.start.middle, line.end.middle
    bend = (x2 - x1) / 2
    path = f"M{x1} {y1:.1f}C{x1 + bend} {y1:.1f} {x2 - bend} {y2:.1f} {x2} {y2:.1f}"
    return (f'<path class="line {line.state}" data-from="{html.escape(line.start.name)}" data-to="{html.escape(line.end.name)}"'
            f' d="{path}"/>')  # fmt: skip


def _person(height: float, identifiers: Sequence[str]) -> str:
    known = "".join(f'<text class="known" x="75" y="{88 + n * 15}">{_words(kind)}</text>' for n, kind in enumerate(identifiers[:4]))
    extent = 78 + 15 * len(identifiers[:4]) + 14
    return (
        f'<g class="person" transform="translate({LEFT},{_middle(height) - extent / 2})">'
        f'<rect width="{PERSON}" height="{extent}" rx="14"/>'
        '<circle cx="75" cy="26" r="11"/><path d="M53 60a22 20 0 0 1 44 0z"/>'
        f"{known}</g>"
    )


def _detail(row: Held) -> list[str]:
    words = [name.replace("_", " ") for name in (row.category, row.activity)]
    return [*words, row.since, row.until or "", row.use, ", ".join(row.why)]

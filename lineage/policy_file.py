"""Read policy files into `Policy` values: YAML and settings arrive, checked values or one clear error leave."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lineage.calendar import Duration, Zone
from lineage.errors import NotFound, PolicyError
from lineage.policy import (
    Activity,
    Basis,
    Category,
    Clock,
    Closing,
    EventKind,
    Ground,
    Guard,
    Hold,
    Ids,
    LinkRule,
    Parameter,
    Policy,
    Recipient,
    Retention,
    Right,
    Role,
    Suppression,
    System,
)

POLICIES = Path(__file__).resolve().parent.parent / "policies"


def _ids(value: object) -> Ids:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    return tuple(str(v) for v in value)  # type: ignore[attr-defined]


def _map(value: Mapping[str, object] | None) -> dict[str, Ids]:
    return {k: _ids(v) for k, v in (value or {}).items()}


def _duration(text: object) -> Duration | None:
    return None if text is None else Duration.parse(str(text))


def clock(row: Mapping[str, Any]) -> Clock:
    """Read an anchor with its durations, as a policy's retention or a setting has it."""
    texts = [str(d) for d in ([row["duration"]] if isinstance(row["duration"], str) else row["duration"])]
    unless = row.get("unless")
    instead = None
    if isinstance(unless, Mapping) and "after" in unless:
        instead = (str(unless["after"]), clock({k: v for k, v in unless.items() if k != "after"}))
    return Clock(
        anchors=_ids(row["anchor"]),
        durations=tuple(Duration.parse(t) for t in texts if not t.startswith("param:")),
        params=tuple(t.removeprefix("param:") for t in texts if t.startswith("param:")),
        after=_ids(row.get("after")),
        unless=instead,
    )


def _activity(row: Mapping[str, Any]) -> Activity:
    conditional = row.get("conditional") or {}
    return Activity(
        id=row["id"],
        name=row["name"],
        categories=_ids(row["categories"]),
        events=_ids(row["events"]),
        systems=_ids(row["systems"]),
        recipients=_ids(row["recipients"]),
        basis=tuple(
            Ground(
                Basis(b["kind"]),
                bool(b.get("stated", True)),
                bool(b.get("express")),
                b.get("condition"),
                _ids(b.get("categories")),
            )
            for b in row["basis"]
        ),
        retention=_ids(row["retention"]),
        feeds=_map(row.get("feeds")),
        in_systems=_map(row.get("in_systems")),
        condition=conditional.get("if"),
        conditional=_ids(conditional.get("categories")),
        flags=_ids(row.get("flags")),
        marketing=row.get("marketing"),
        channels=_map(row.get("channels")),
        unsolicited_needs=_ids(row.get("unsolicited_needs")),
        rights=_ids(row.get("rights")),
    )


def _retention(row: Mapping[str, Any]) -> Retention:
    if row.get("anchor") == "collected":
        clock_ = Clock((), (Duration.parse(row["duration"]),))
        return Retention(id=row["id"], activities=_ids(row["activities"]), collected=True, clock=clock_)
    unless, warns = row.get("unless"), row.get("warns") or {}
    while_ = warns.get("while") or {}
    return Retention(
        id=row["id"],
        activities=None if row["activities"] == "all" else _ids(row["activities"]),
        systems=_map(row.get("systems")),
        needs_setting=bool(row.get("needs_setting")),
        until=row.get("until"),
        clock=clock(row) if "anchor" in row else None,
        parameter=row.get("parameter"),
        unless=(unless["if"], unless["then"]) if unless else None,
        guest_as=row.get("guest_as"),
        warn_setting=warns.get("setting"),
        warn_opened=_ids(while_.get("opened_by")),
        warn_closed=_ids(while_.get("closed_by")),
    )


def _closings(rows: Sequence[Mapping[str, Any]] | None) -> tuple[Closing, ...]:
    return tuple(
        Closing(
            all=_ids(r.get("all")),
            lines=r.get("lines"),
            plus=r.get("plus"),
            none_open=(_ids(r["none_open"]["opened_by"]), _ids(r["none_open"]["closed_by"])) if "none_open" in r else None,
        )
        for r in rows or ()
    )


def _hold(row: Mapping[str, Any]) -> Hold:
    while_, scope, last = row.get("while") or {}, row.get("scope") or {}, row.get("last") or {}
    activities = scope.get("activities")
    transaction = while_.get("transaction")
    return Hold(
        id=row["id"],
        kind=row["kind"],
        blocks=_ids(row["blocks"]),
        opened_by=_ids(while_.get("opened_by")),
        transaction=None if transaction is None else "any" if transaction is True else str(transaction),
        if_state=while_.get("if"),
        unless_state=while_.get("unless"),
        closed_by=_closings(row.get("closed_by")),
        duration=_duration(last.get("duration")),
        parameter=last.get("parameter"),
        activities=activities if isinstance(activities, str) or activities is None else _ids(activities),
        categories=None if "categories" not in scope else _ids(scope["categories"]),
        systems=None if "systems" not in scope else _ids(scope["systems"]),
        recipients=None if "recipients" not in scope else _ids(scope["recipients"]),
        recipient_closings={k: _closings(v["closed_by"]) for k, v in (row.get("recipients") or {}).items()},
        needs_setting=row.get("needs_setting"),
        cites=_ids(row.get("cites")),
    )


def _right(row: Mapping[str, Any]) -> Right:
    activities = row.get("activities", ())
    return Right(
        id=row["id"],
        right=row["right"],
        scope=_ids(row.get("scope")),
        ends=_ids(row.get("ends")),
        asked_ends=_ids(row.get("asked_ends")),
        activities=activities if isinstance(activities, str) else _ids(activities),
        absolute=bool(row.get("absolute")),
        effect=row.get("effect"),
        activity=row.get("activity"),
        channel=row.get("channel"),
        limit=_duration(row.get("limit")),
        express=bool(row.get("express")),
        irrelevant=bool(row.get("irrelevant")),
        source=row.get("source"),
        channel_ends=_map(row.get("channel_ends")),
    )


def _link(row: Mapping[str, Any]) -> LinkRule:
    return LinkRule(
        id=row["id"],
        device=row.get("device"),
        joined_by=_ids(row.get("joined_by")),
        since=row.get("since", "then"),
        accepted=bool(row.get("accepted")),
        takes_up=_ids(row.get("takes_up")),
        only_at=_ids(row.get("only_at")),
        activity=row.get("activity"),
        systems=_ids(row.get("systems")),
        needs=row.get("needs"),
        unjoined=bool(row.get("unjoined")),
        cites=_ids(row.get("cites")),
    )


def _suppression(row: Mapping[str, Any]) -> Suppression:
    plain = {k: row.get(k) for k in ("keeps", "system", "category", "channel", "reader", "tag", "activity", "operator")}
    return Suppression(
        id=row["id"], duration=_duration(row.get("duration")), cites=_ids(row.get("cites")), after=_ids(row.get("after")), **plain
    )


def _guard(row: Mapping[str, Any]) -> Guard:
    plain = {k: row.get(k) for k in ("to", "allowed", "needs", "otherwise", "setting", "age", "marketing", "event", "kind")}
    return Guard(
        id=row["id"],
        on=row["on"],
        grounds=_ids(row.get("grounds")),
        warns=bool(row.get("warns")),
        cites=_ids(row.get("cites")),
        exempt=_ids(row.get("exempt")),
        omits=_ids(row.get("omits")),
        refuses=_ids(row.get("refuses")),
        instruments=_ids(row.get("instruments")),
        **plain,
    )


def _recipient(row: Mapping[str, Any]) -> Recipient:
    receives = row["receives"]
    return Recipient(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        receives=None if receives == "any" else frozenset(receives),
        reached_by=_ids(row.get("reached_by")),
        operates=row.get("operates"),
        may_refuse=bool(row.get("may_refuse")),
        safeguard=row.get("safeguard"),
        location=row.get("location"),
        names=_ids(row.get("names")),
        granularity=row.get("granularity"),
    )


def _plain(kind: type, row: Mapping[str, Any], lists: Ids = ()) -> Any:  # noqa: ANN401
    return kind(**{k: _ids(v) if k in lists else v for k, v in row.items() if k not in ("says", "label", "dpv")})


@functools.cache
def _yaml(path: Path, _stamp: int) -> Mapping[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # type: ignore[no-any-return]  # noqa: S506 - a safe one


def read(path: Path) -> Mapping[str, Any]:
    """Read a YAML file; raise `PolicyError` with file and line if it is none."""
    try:
        return _yaml(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        msg = f"{path}: no such policy file"
        raise NotFound(msg) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        msg = f"{path}:{mark.line + 1 if mark else 1}: {getattr(error, 'problem', None) or 'no valid YAML'}"
        raise PolicyError(msg) from None
    except ValueError:  # What looks like a date to YAML and is none.
        msg = f"{path}:{_no_day(path.read_text('utf-8'))}"
        raise PolicyError(msg) from None


def _no_day(text: str) -> str:
    """Say where a date stands that the calendar does not have."""
    for n, line in enumerate(text.splitlines(), 1):
        for found in re.finditer(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b", line):
            try:
                dt.date(*map(int, found.groups()))
            except ValueError:
                return f"{n}: there is no day {found[0]}"
    return "1: a value is not of the kind that it looks like"


def statutory(root: Path) -> list[Mapping[str, Any]]:
    """Give the rows of statutory parameters: those of the package, and those of a folder of policies, which come first."""
    rows = list(read(POLICIES / "statutory.yaml")["parameters"])
    own = root / "statutory.yaml"
    if own.exists() and own.resolve() != (POLICIES / "statutory.yaml").resolve():
        brought = list(read(own)["parameters"])
        named = {(row["name"], row["jurisdiction"]) for row in brought}
        rows = [*brought, *(row for row in rows if (row["name"], row["jurisdiction"]) not in named)]
    return rows


def parameters(
    root: Path, jurisdiction: str | None, settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Parameter]:  # fmt: skip
    """Give the statutory parameters of a jurisdiction; those of the Union hold where it has none of its own.

    A folder of policies may bring parameters, and so may a controller's settings (`statutory`). A row without a number
    is one that somebody has yet to fill in: there is no such parameter.
    """
    rows = [row for place in ("EU", jurisdiction) for row in statutory(root) if place and row["jurisdiction"] == place]
    rows += [{"name": name, "source": "the controller's settings", **row} for name, row in (settings or {}).items()]
    return {row["name"]: parameter(row) for row in rows if row.get("duration") or row.get("years_after_financial_year")}


def parameter(row: Mapping[str, Any]) -> Parameter:
    """Read a statutory parameter."""
    return Parameter(
        row["name"],
        _duration(row.get("duration")),
        row.get("years_after_financial_year"),
        row.get("anchor"),
        str(row["source"]),
        _duration(row.get("extension")),
    )


def _clocks(settings: Mapping[str, Any], retention: Mapping[str, Retention]) -> dict[tuple[str, str], Clock]:
    return {
        (rule, activity): clock(row)
        for rule, rows in settings.items()
        if rule in retention and isinstance(rows, Mapping)
        for activity, row in rows.items()
    }


def build(raw: Mapping[str, Any], settings: Mapping[str, Any] | None = None, root: Path = POLICIES) -> Policy:
    """Make a `Policy` of a policy file's content and the settings that it leaves open."""
    settings = settings or {}
    head = raw["controller"]
    jurisdiction = settings.get("jurisdiction") or head.get("jurisdiction")
    retention = {r["id"]: _retention(r) for r in raw["retention"]}
    restriction: dict[str, Ids] = {}
    for row in raw["restriction"]:
        restriction[row["ground"]] = (*restriction.get(row["ground"], ()), row["id"])
    valid_from = raw.get("valid_from")
    return Policy(
        id=raw["id"],
        key=raw["key"],
        version=raw["version"],
        name=head.get("name"),
        jurisdiction=jurisdiction,
        zone=Zone(raw["time_zone"]),
        identifiers=_ids(raw["identifiers"]),
        channels=tuple(raw["channels"]),
        categories={c["id"]: _plain(Category, c, ("arises_from",)) for c in raw["categories"]},
        kinds={e["kind"]: _plain(EventKind, e, ("carries", "channels")) for e in raw["events"]},
        systems={s["name"]: _plain(System, s) for s in raw["systems"]},
        recipients={r["name"]: _recipient(r) for r in raw["recipients"]},
        activities={a["name"]: _activity(a) for a in raw["activities"]},
        retention=retention,
        holds=tuple(_hold(h) for h in raw["holds"]),
        suppression=tuple(_suppression(s) for s in raw["suppression"]),
        restriction=restriction,
        rights=tuple(_right(r) for r in raw["rights"]),
        links=tuple(_link(r) for r in raw["links"]),
        guards=tuple(_guard(g) for g in raw["guards"]),
        parameters=parameters(root, jurisdiction, settings.get("statutory")),
        cited_with=_map(raw.get("cited_with")),
        settings=dict(settings),
        clocks=_clocks(settings, retention),
        silent=_ids(raw.get("silent")),
        silent_rights=raw.get("silent_rights"),
        soft_opt_in=raw.get("soft_opt_in"),
        claim_cites=_ids(raw.get("claim_cites")),
        valid_from=dt.date.fromisoformat(str(valid_from)) if valid_from else None,
    )


def load(controller: str, settings: Mapping[str, Any] | None = None, root: Path = POLICIES) -> Policy:
    """Load a controller's policy from the folder of policies."""
    return build(read(root / f"{controller}.yaml"), settings, root)


def controllers(root: Path = POLICIES) -> list[str]:
    """Name the controllers that have a policy file, in order; parameters and settings lie beside them."""
    return sorted(p.stem for p in root.glob("*.yaml") if p.stem.partition(".")[0] not in ("statutory", "settings"))

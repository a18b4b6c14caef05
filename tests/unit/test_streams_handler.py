"""What a service writes and what is remembered of its answers, without a broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lineage.errors import BadCall, StoreInUse, StoreUnavailable
from streams import handler as module
from streams.handler import Answer, AnsweredFile, Command, Service, handler

SECRET = "secret-value@example.org"
COMMAND = Command(
    "c-1", "k-1", "pompdelux", "order_system", "erase", notice=False, activity=None, categories=("email",),
    because={"email": ["P-1"]}, identifiers={"email": [SECRET]}, issued=1_790_000_000, deadline=None, attempt=1,
)  # fmt: skip


@handler("erase", "expire_cookie")
def erase(command: Command) -> str:
    return "erased"


def test_a_command_does_not_show_whom_it_is_about() -> None:
    assert SECRET not in repr(COMMAND)


def test_a_decorated_function_is_still_the_function() -> None:
    assert erase(COMMAND) == "erased"


def test_a_function_that_cannot_be_called_so_is_refused_where_it_is_written() -> None:
    async def later(command: Command) -> str:
        return "erased"

    with pytest.raises(BadCall, match="later must be a plain function"):
        handler("erase")(later)  # type: ignore[arg-type]
    with pytest.raises(BadCall, match="must take one argument"):
        handler("erase")(lambda: "erased")  # type: ignore[misc,arg-type]


def service(tmp_path: Path, *functions: Any, **more: Any) -> Service:
    return Service("pompdelux", "order_system", *functions, bootstrap_servers="127.0.0.1:9", answered=tmp_path / "answered", **more)


def test_a_service_needs_functions_that_do_not_overlap(tmp_path: Path) -> None:
    with pytest.raises(BadCall, match="needs a function"):
        service(tmp_path)
    with pytest.raises(BadCall, match="two functions carry out expire_cookie: erase and "):
        service(tmp_path, erase, handler("expire_cookie")(lambda _: "done"))
    with pytest.raises(BadCall, match="str has no @handler"):
        service(tmp_path, str)


@pytest.mark.parametrize("option", ["group_id", "enable_auto_commit", "acks", "colour"])
def test_options_that_would_break_a_promise_are_refused(tmp_path: Path, option: str) -> None:
    with pytest.raises(BadCall, match=option) as caught:
        service(tmp_path, erase, **{option: SECRET})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "found", "expected"),
    [
        ("erase", "erased", ("erased", None)),
        ("erase", "retained", ("retained", None)),
        ("correct", "done", ("done", None)),
        ("export", {"name": "Ann"}, ("done", {"name": "Ann"})),
        ("export", {}, ("done", {})),
        ("export", "no_data", ("no_data", None)),
    ],
)
def test_what_a_function_returns_becomes_the_answer(kind: str, found: Any, expected: Any) -> None:
    assert module._checked(_of(kind), found) == expected


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("erase", None),
        ("erase", True),
        ("erase", "done"),
        ("erase", "Erased"),
        ("erase", {"name": SECRET}),
        ("correct", 0),
        ("export", {"name": {1, 2}}),
    ],
)
def test_what_is_no_outcome_never_passes_for_one(kind: str, found: Any) -> None:
    with pytest.raises(BadCall) as caught:
        module._checked(_of(kind), found)
    assert SECRET not in str(caught.value)


def _of(kind: str, **more: Any) -> Command:
    fields = {name: getattr(COMMAND, name) for name in Command.__slots__}
    return Command(**{**fields, "kind": kind, **more})


@pytest.mark.parametrize(
    ("attempt", "sent", "notice", "covered"),
    [
        (1, 5000, False, True),  # the same record, delivered twice
        (2, 1005, False, True),  # asked again before the answer could be known
        (2, 1011, False, False),  # asked again in the knowledge of the answer: somebody doubts it
        (2, 9999, True, True),  # a notice is given once
    ],
)
def test_an_answer_covers_repetitions_and_no_doubts(attempt: int, sent: int, *, notice: bool, covered: bool) -> None:
    command = _of("erase", attempt=attempt, notice=notice)
    assert module._covered(Answer("erased", 1, 1000), command, sent) is covered


def test_answers_are_there_after_a_restart(tmp_path: Path) -> None:
    first = AnsweredFile(tmp_path / "answered", now=1000)
    assert first.get("c-1") is None
    first.put("c-1", Answer("erased", 1, 1000))
    first.put("c-2", Answer("done", 3, 1001))
    first.put("c-1", Answer("no_data", 2, 1002))
    first.close()
    again = AnsweredFile(tmp_path / "answered", now=2000)
    assert (again.get("c-1"), again.get("c-2")) == (Answer("no_data", 2, 1002), Answer("done", 3, 1001))
    again.close()


def test_a_line_that_a_crash_has_torn_takes_no_other_with_it(tmp_path: Path) -> None:
    file = tmp_path / "answered"
    whole = [json.dumps(["c-1", "erased", 1, 1000]), json.dumps(["c-3", "erased", 1, 1000])]
    file.write_text(f'{whole[0]}\n["c-2","era\n{whole[1]}\n5\n["c-4"]\n["c-5","eras')
    found = AnsweredFile(file, now=1000)
    assert [found.get(f"c-{n}") is not None for n in range(1, 6)] == [True, False, True, False, False]
    found.put("c-6", Answer("erased", 1, 1000))
    found.close()
    assert [json.loads(line)[0] for line in file.read_text().splitlines() if line] == ["c-1", "c-3", "c-6"]


def test_old_answers_go_when_the_file_is_opened(tmp_path: Path) -> None:
    first = AnsweredFile(tmp_path / "answered", now=1000)
    first.put("c-1", Answer("erased", 1, 1000))
    first.put("c-2", Answer("erased", 1, 1000 + 5 * 86_400))
    first.close()
    later = AnsweredFile(tmp_path / "answered", now=1000 + 92 * 86_400)
    assert (later.get("c-1"), later.get("c-2") is not None) == (None, True)
    later.close()


def test_a_second_instance_is_told_that_there_is_one(tmp_path: Path) -> None:
    first = AnsweredFile(tmp_path / "answered")
    with pytest.raises(StoreInUse, match="another instance"):
        AnsweredFile(tmp_path / "answered")
    first.close()
    AnsweredFile(tmp_path / "answered").close()


def test_a_file_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file"):
        AnsweredFile(tmp_path / "nowhere" / "answered")

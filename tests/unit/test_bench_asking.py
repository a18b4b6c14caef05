"""The benchmark of the gates measures answers that are all in the log."""

import json

import pytest

from bench import asking


def test_every_answer_measured_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    assert asking.main(["--persons", "3", "--asks", "60", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["answers"] == figures["logged"] == 63
    assert 0 < figures["ask_to_write"] < figures["log_to_write"]

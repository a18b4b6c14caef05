"""What all tests share: the word on what may be skipped, and the servers."""

import os

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
"""No example has to be fast: on a busy machine none is."""

pytest_plugins = ("servers.fixtures",)


@pytest.fixture(scope="session")
def needed():
    """Give a function to call where something is missing: it skips, or fails where nothing may be skipped."""

    def missing(what: str, how: str) -> None:
        line = f"{what} is missing; {how}"
        if os.environ.get("LINEAGE_TESTS_REQUIRE_ALL") == "1":
            pytest.fail(line)
        pytest.skip(line)

    return missing

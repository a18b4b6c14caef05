"""Know the keys of fideslang that policies and schemas may use: nothing arrives, two closed sets leave.

The package takes half a second to load, which only a check pays; the way of the data never asks it.
"""

from __future__ import annotations

import functools


@functools.cache
def data_categories() -> frozenset[str]:
    """Give the keys of the installed fideslang's data categories."""
    from fideslang.default_taxonomy import DEFAULT_TAXONOMY  # noqa: PLC0415 - see the module's docstring

    return frozenset(str(c.fides_key) for c in DEFAULT_TAXONOMY.data_category or ())


@functools.cache
def data_uses() -> frozenset[str]:
    """Give the keys of the installed fideslang's data uses."""
    from fideslang.default_taxonomy import DEFAULT_TAXONOMY  # noqa: PLC0415 - see the module's docstring

    return frozenset(str(u.fides_key) for u in DEFAULT_TAXONOMY.data_use or ())

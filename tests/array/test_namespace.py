"""What the namespace exports is documented, with an example that runs (src/ is part of the tests: doctest)."""

from __future__ import annotations

import inspect

import pytest

import clearprop as cp
from clearprop import array

FUNCTIONS = [name for name in array.__all__ if callable(getattr(array, name))]
BEYOND = {"as_tensor", "one_hot", "topk"}
"""Functions that the standard does not have and whose arguments may be named."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_an_example(name: str) -> None:
    function = getattr(array, name)
    assert getattr(cp, name) is function
    assert function.__doc__ is not None
    if name != "as_tensor":  # for those who write rooms
        assert ">>> import clearprop as cp" in function.__doc__


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in BEYOND])
def test_what_a_function_works_on_has_no_name(name: str) -> None:
    """The standard leaves it to each library what x is called, so nobody may call it by a name."""
    for parameter in inspect.signature(getattr(array, name)).parameters.values():
        if parameter.name in ("x", "y", "xs", "condition"):
            assert parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL)

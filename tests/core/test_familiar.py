"""Who asks the package for a name of another library is told what it is called here."""

from __future__ import annotations

from functools import reduce

import pytest

import clearprop as cp
from clearprop.familiar import NAMES


@pytest.mark.parametrize(("name", "meant"), [("cat", "cp.concat"), ("randn", "cp.random.normal"), ("zero", "cp.zeros")])
def test_a_name_that_there_is_not(name: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=rf"module 'clearprop' has no attribute '{name}'\nTry: {meant}"):
        getattr(cp, name)


def test_a_name_that_means_nothing() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'qqq_qqq'$"):
        getattr(cp, "qqq_qqq")  # noqa: B009 (a name that the type checker would refuse)
    assert not hasattr(cp, "_private")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_suggested_is_there_and_the_other_name_is_not(name: str) -> None:
    assert not hasattr(cp, name)
    first = NAMES[name].partition("(")[0].partition(",")[0]
    assert reduce(getattr, first.split("."), cp) is not None

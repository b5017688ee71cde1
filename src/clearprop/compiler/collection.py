"""Python's collector of cycles, kept from a program that is being made.

A program is many thousands of objects, and all of them are needed. Python looks through all of them again and again for
some that nobody can reach: a third of the time that it takes to make a large program. When it is made, they are not
looked through either: they count as old, among which Python looks only when there are many more.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def uncollected(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The same function; while it runs, no cycles are collected.

    >>> uncollected(gc.isenabled)()
    False
    """

    @wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            if was_enabled:
                _let_all_be_old()
                gc.enable()

    return run


def _let_all_be_old() -> None:
    """Count all objects that there are as old, without looking at any."""
    if not gc.get_freeze_count():  # or what somebody else has frozen would thaw
        gc.freeze()
        gc.unfreeze()

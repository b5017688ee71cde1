"""Python's collector of cycles, kept from a program that is being made.

A program is many thousands of objects, and all of them are needed. Python looks through all of them again and again for
some that nobody can reach: a third of the time that it takes to make a large program.
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
                gc.enable()

    return run

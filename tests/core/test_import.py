"""Importing clearprop brings in NumPy and no more: measured by counting modules, not seconds."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, sys
import numpy
before = set(sys.modules)
import clearprop
print(json.dumps(sorted(set(sys.modules) - before)))
"""

HEAVY = {
    "rich",
    "jinja2",
    "safetensors",
    "pygal",
    "platformdirs",
    "matplotlib",
    "scipy",
    "torch",
    "jax",
    "asyncio",
    "http",
}


def imported() -> list[str]:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(result.stdout)
    return found


def test_a_plain_import_is_light() -> None:
    modules = imported()
    packages = {name.partition(".")[0] for name in modules}
    assert not packages & HEAVY
    others = [name for name in modules if name.partition(".")[0] != "clearprop"]
    assert len(others) < 60, others


def test_what_is_imported_later_is_there_for_completion() -> None:
    """Rooms that are loaded at their first use, and every error that can be caught."""
    import clearprop as cp

    assert {"compile", "data", "nn", "optim", "record", "save", "train"} <= set(dir(cp))
    for name in dir(cp):
        getattr(cp, name)
    raised = [one for one in vars(cp.errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert raised
    assert all(getattr(cp, one.__name__) is one for one in raised)

"""Write docs/reference.md: every public name, with the first sentence of its docstring.

    .venv/bin/python scripts/make_reference.py

A test says when a name is missing there. ``help(name)`` tells the rest.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import clearprop as cp
from clearprop import data, functional, models, nn, optim, random, recipes, train
from clearprop.optim import lr_scheduler, swa_utils
from clearprop.train import metrics

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
HEAD = """\
# Reference

All public names, in the order of the alphabet. `help(name)` tells arguments, shapes, errors, and shows an example.
Functions of arrays have the names of the [Python array API standard](https://data-apis.org/array-api/2024.12/); layers,
losses, optimizers and schedules have PyTorch's names, arguments and results.

Written by `scripts/make_reference.py`.
"""
OF_CP = ["compile", "load", "record", "save"]
"""Names of the package that stand in higher rooms, and are imported when they are first used."""


def rooms() -> list[tuple[str, str, ModuleType, Iterable[str]]]:
    """A heading, what stands before the names, the module, and its public names."""
    of_arrays = set(cp.array.__all__)
    return [
        ("Tensors, gradients, compilation", "cp", cp, [*(set(cp.__all__) - of_arrays), *OF_CP]),
        ("Functions of arrays", "cp", cp, of_arrays),
        ("Random numbers", "cp.random", random, own(random)),
        ("Layers and losses", "cp.nn", nn, nn.__all__),
        ("The same as functions", "cp.functional", functional, functional.__all__),
        ("First values", "cp.nn.init", nn.init, own(nn.init)),
        ("Gradients and parameters", "cp.nn.utils", nn.utils, own(nn.utils)),
        ("Optimizers", "cp.optim", optim, optim.__all__),
        ("Schedules", "cp.optim.lr_scheduler", lr_scheduler, lr_scheduler.__all__),
        ("Averages of weights", "cp.optim.swa_utils", swa_utils, own(swa_utils)),
        ("Data", "cp.data", data, data.__all__),
        ("Training", "cp.train", train, train.__all__),
        ("Metrics", "cp.train.metrics", metrics, metrics.__all__),
        ("Networks", "cp.models", models, models.__all__),
        ("Recipes", "cp.recipes", recipes, recipes.__all__),
    ]


def own(module: ModuleType) -> list[str]:
    """The public names of a module: those it lists, else what is defined in it."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    found = inspect.getmembers(module, lambda one: getattr(one, "__module__", "") == module.__name__)
    return [name for name, _ in found if not name.startswith("_")]


def names_of(module: ModuleType, names: Iterable[str]) -> list[str]:
    """What has a line of its own: functions and classes."""
    kept = [name for name in set(names) if not name.startswith("__")]
    return sorted((name for name in kept if _has_a_line(getattr(module, name))), key=lambda name: (name.lower(), name))


def _has_a_line(one: Any) -> bool:
    return not inspect.ismodule(one) and callable(one) and bool(inspect.getdoc(one))


def sentence(one: Any) -> str:
    """The first sentence of its docstring, for a cell of a table."""
    first = (inspect.getdoc(one) or "").split("\n\n")[0]
    text = re.split(r"(?<=[^A-Z][.:;]) (?=[A-Z(])", re.sub(r"\s*\n\s*", " ", first))[0]
    same = re.fullmatch(r"See `functional\.(\w+)`[.;].*", text)
    if same is not None:
        return sentence(getattr(functional, same[1]))
    return text.replace("``", "`").replace("|", r"\|").rstrip(":;")


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, prefix, module, names in rooms():
        rows = [f"| `{prefix}.{name}` | {sentence(getattr(module, name))} |" for name in names_of(module, names)]
        parts.append("\n".join([f"## {title}", "", "| name | |", "|---|---|", *rows, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

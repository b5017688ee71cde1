"""A module of intermediate code, taken apart into what is compiled by itself.

A kernel may call other functions, such as a product or a copy, and some of them are those of other kernels, too. Each
such function is a unit of its own, named after its code: it is compiled once, and found again on the disk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from llvmlite import ir

_NAME = re.compile(r'@"([^"]+)"')
_WEIGHTS = re.compile(r", !prof !\d+")


class Unit(NamedTuple):
    """A function, with those that are its own.

    Attributes:
        text: intermediate code.
        needs: names of units that it calls.
    """

    text: str
    needs: tuple[str, ...]


def units(module: ir.Module, names: Mapping[str, str], environment: str) -> dict[str, Unit]:
    """The units of a module by name, each behind those that it needs.

    Args:
        names: functions that others look for, each with the name it shall have. Those whose names go on with an
            underscore belong to it alone.
        environment: what code depends on besides itself.
    """
    return _Parts(module, names, environment).found


class _Parts:
    def __init__(self, module: ir.Module, names: Mapping[str, str], environment: str) -> None:
        self._functions = {function.name: function for function in module.functions}
        self._environment = environment
        self._names = dict(names)
        self._private: dict[str, list[str]] = {}
        for name, function in self._functions.items():
            owner = next((one for one in names if name.startswith(f"{one}_")), None)
            if owner is not None and function.blocks:
                function.linkage = "internal"
                self._private.setdefault(owner, []).append(name)
        self.found: dict[str, Unit] = {}
        for name in names:
            self._take(name)

    def _take(self, root: str) -> str:
        """Make a unit of a function and of all that belong to it; returns its name."""
        own = [root, *self._private.get(root, ())]
        text = "\n".join(_WEIGHTS.sub("", str(self._functions[name])) for name in own)
        needs: dict[str, None] = {}
        new_names: dict[str, str] = {}
        for name in dict.fromkeys(_NAME.findall(text)):
            if name in own:
                continue
            function = self._functions[name]
            new_names[name] = self._name(name) if function.blocks else name
            if function.blocks:
                needs[new_names[name]] = None
            text += f"\n{_declaration(function, new_names[name])}"
        if root not in self._names:
            digest = hashlib.sha256(f"{self._environment}\n{text}\n{list(needs)}".encode()).hexdigest()
            self._names[root] = f"shared_{digest[:40]}"
        new_names |= {name: self._names[root] + name.removeprefix(root) for name in own}
        text = _NAME.sub(lambda found: f'@"{new_names.get(found[1], found[1])}"', text)
        self.found[self._names[root]] = Unit(text, tuple(needs))
        return self._names[root]

    def _name(self, shared: str) -> str:
        function = self._functions[shared]
        function.linkage = ""
        return self._names.get(shared) or self._take(shared)


def _declaration(function: ir.Function, name: str) -> str:
    kind = function.function_type
    return f'declare {kind.return_type} @"{name}"({", ".join(map(str, kind.args))})'

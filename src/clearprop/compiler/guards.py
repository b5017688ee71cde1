"""What a program takes for granted of the modules that it was traced through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clearprop.nn.module import Module


class Guards:
    """The settings of some modules: ``training``, and every attribute, as they were.

    Looking at all of them would cost more than a small step; so modules count together how often an attribute of any of
    them was set, and only if that number has changed is there anything to look at.

    Attributes:
        seen: that number when all was as it was.
    """

    def __init__(self, modules: Iterable[Module]) -> None:
        self.seen = Module.changes
        self._settings = {module: dict(vars(module)) for module in modules}

    def hold(self) -> bool:
        """Whether all is as it was."""
        if self.seen == Module.changes:
            return True
        if not all(_same(module, settings) for module, settings in self._settings.items()):
            return False
        self.seen = Module.changes
        return True


def _same(module: Module, before: dict[str, Any]) -> bool:
    """An attribute that was never set on the module itself has the value that its class gives it."""
    now, usual = vars(module), type(module)
    return all(
        _equal(now.get(name, getattr(usual, name, None)), before.get(name, getattr(usual, name, None)))
        for name in now.keys() | before.keys()
    )


def _equal(a: Any, b: Any) -> bool:
    """The same object, or equal plain values."""
    plain = (bool, int, float, str, tuple, type(None))
    return a is b or (type(a) is type(b) and isinstance(a, plain) and bool(a == b))

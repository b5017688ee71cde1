"""What is seen of a compiled function while it runs: values that it hands out beside its result, and a tape of them.

The tape is the lens's, a room above this one; a `Watcher` is what the compiler asks of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Protocol

Watched = Iterable[Any] | Mapping[Any, Callable[[Any], Any]]
"""What to watch: names of variables and modules, and parameters; a mapping has a statistic for each of them."""


class Watcher(Protocol):
    """Watches one compiled function.

    Attributes:
        tape: of the latest call.
    """

    tape: Any

    def watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that returns a nesting of the result and of what is watched."""

    def result(self, returned: Any) -> Any:
        """The result alone; the rest is kept for the tape."""


def watcher(watch: Watched) -> Watcher:
    """Who watches that.

    Raises:
        UsageError: it is nothing that can be watched.
    """
    lens = import_module("clearprop.lens.watching")  # by its name: a room imports from rooms below it only
    made: Watcher = lens.CompiledWatcher(watch)
    return made

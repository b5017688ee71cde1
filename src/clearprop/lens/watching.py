"""A tape of compiled runs: chosen values, gradients and statistics, which the compiled function hands out as results.

While the function is traced, a recorder sees every node, as it does when a function runs eagerly; where an array would
be, it sees a symbol. The symbols of the rows that are watched become results of the compiled function. After a call
their arrays are put where the symbols were: so the rows of a compiled run are those of an eager one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.cell import Cell
from clearprop.errors import UsageError
from clearprop.graph import RELEASED, Node
from clearprop.lens.recorder import Recorder
from clearprop.lens.rows import Row, as_data
from clearprop.lens.tape import Tape, suggestion
from clearprop.tensor import Tensor, as_tensor
from clearprop.trace import Symbol

Statistic = Callable[[Any], Any]
_HINT = 'watch=["h", "encoder.0", model.fc1.weight], or watch={"h": statistic}'


@dataclass(frozen=True)
class Template:
    """What was recorded while a function was traced, of the watched nodes alone.

    Attributes:
        events: with symbols.
        names: of all nodes.
        places: for each value that is handed out, the node, and which of its visits it is the gradient of; -1 for the
            node's own value.
        symbols: for each of them, the node of the symbol that it is the value of; None for a statistic.
        beginnings: where backward passes begin: the node, and which of its visits.
        constants: values that are known already.
    """

    events: list[tuple[Any, ...]]
    names: dict[Node, str]
    places: list[tuple[Node, int]]
    symbols: list[Node | None]
    beginnings: frozenset[tuple[Node, int]]
    constants: dict[tuple[Node, int], Any]


class CompiledWatcher:
    """Watches a compiled function, see `clearprop.compile`.

    Args:
        watch: names and parameters; or a mapping from them to statistics, functions of one tensor.
    """

    def __init__(self, watch: Iterable[Any] | Mapping[Any, Statistic]) -> None:
        if isinstance(watch, (str, Cell)) or not isinstance(watch, Iterable):
            watch = [watch]
        statistics = watch.values() if isinstance(watch, Mapping) else ()
        self._watch: dict[str | Cell, Statistic | None] = dict(watch) if isinstance(watch, Mapping) else {}
        self._watch = self._watch or dict.fromkeys(watch)
        if not self._watch:
            raise UsageError("compile: watch is empty", hint=_HINT)
        for key in self._watch:
            if not isinstance(key, (str, Cell)):
                raise UsageError(f"compile: watch has {key!r}, neither a name nor a parameter"[:200], hint=_HINT)
        if not all(callable(statistic) for statistic in statistics):
            raise UsageError("compile: in watch, a statistic is not a function", hint='watch={"h": cp.max}')
        self._latest: tuple[Template, list[Any]] | None = None

    def watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that returns its result, the template of the tape, and the watched values."""

        def run(*args: Any, **kwargs: Any) -> list[Any]:
            recorder = Recorder()
            with recorder as tape:  # which takes names from the variables here: so none of them is a tensor
                returned = [function(*args, **kwargs)]
            return [*returned, *self._chosen(tape)]

        return run

    def result(self, returned: Any) -> Any:
        """The function's result."""
        result, template, values = returned
        self._latest = template, values
        return result

    @property
    def tape(self) -> Tape:
        """Of the latest call: the watched rows, with their values and gradients."""
        if self._latest is None:
            raise UsageError("the compiled function has not been called yet", hint="call it, then look at its tape")
        template, values = self._latest
        return _filled(template, [as_data(value) for value in values])

    def _chosen(self, tape: Tape) -> tuple[Template, list[Tensor]]:
        """The watched rows of what was traced, and the values that are to be handed out."""
        chosen: dict[Node, None] = {}
        begins = [(row.node, i) for row in tape.rows for i, visit in enumerate(row.visits) if visit.begins]
        names = {row.node: row.name for row in tape.rows}
        template, values = Template([], names, [], [], frozenset(begins), {}), list[Tensor]()
        found = [(row, statistic) for key, statistic in self._watch.items() for row in _found(tape, key)]
        found += [(tape[node], None) for node, _ in begins if not node.shape]  # what the gradients are of
        for row, statistic in found:
            if row.node not in chosen:
                chosen[row.node] = None
                for place, value in _values_of(row, with_value=statistic is not None or not row.is_leaf):
                    shown = value if statistic is None else as_tensor(statistic(Tensor(value))).array
                    if not isinstance(shown, Symbol):
                        template.constants[row.node, place] = as_data(shown)
                        continue
                    template.places.append((row.node, place))
                    template.symbols.append(shown.node if statistic is None else None)
                    values.append(Tensor(shown))
        template.events.extend(event for event in tape.events if event[1] in chosen)
        return template, values


def _found(tape: Tape, key: str | Cell) -> list[Row]:
    """The rows of a parameter, a variable or a module."""
    if isinstance(key, Cell):
        rows = [row for row in tape.rows if row.node.cell is key]
        name, hint = key.name or "a parameter", "it may be frozen, or not be used"
    else:
        rows, name = tape.find(name=key) or tape.find(module=key), repr(key)
        hint = suggestion(key, tape.rows, "watch=[{!r}]")
    if not rows:
        raise UsageError(f"compile: watch has {name}; nothing of that name was computed with gradients", hint=hint)
    return rows


def _values_of(row: Row, *, with_value: bool) -> Iterable[tuple[int, Any]]:
    """Its own value, which of a parameter is at hand anyway, and the gradients that arrived."""
    if with_value and _is_one(row.value):
        yield -1, row.value
    for i, visit in enumerate(row.visits):
        if _is_one(visit.upstream):
            yield i, visit.upstream


def _is_one(value: Any) -> bool:
    """Whether it is a single array, not those of a node with several outputs."""
    return isinstance(value, (Symbol, np.ndarray))


# Filling in -----------------------------------------------------------------------------------------------------------


def _filled(template: Template, arrays: list[Any]) -> Tape:
    """The watched rows with arrays in the places of symbols; what is not known is left out."""
    known = dict(zip(template.places, arrays, strict=True)) | template.constants
    of_symbols = {symbol: array for symbol, array in zip(template.symbols, arrays, strict=True) if symbol is not None}
    tape, visits = Tape(), Counter[Node]()
    tape.learn_names_of_nodes(template.names)
    for node, place in known:
        if place < 0:
            tape.add(("value", node, known[node, place]))
    for kind, node, *told in template.events:
        if kind == "forward":
            operands, _, residuals = told
            found = [_array(value, of_symbols) for value in operands]
            tape.add((kind, node, found, known.get((node, -1)), _residuals(residuals, of_symbols)))
            continue
        visit = node, visits[node]
        g = known.get(visit)
        visits[node] += 1
        if g is None:
            continue
        if kind == "arrived":
            tape.add((kind, node, g, (), None, False))
            continue
        _, contributions, residuals = told
        found = [_array(contribution, of_symbols) for contribution in contributions]
        tape.add((kind, node, g, found, _residuals(residuals, of_symbols), visit in template.beginnings))
    return tape


def _residuals(residuals: Any, of_symbols: Mapping[Node, Any]) -> Any:
    """Those of a node, if all of them are known."""
    if residuals is RELEASED:
        return RELEASED
    found = {name: _array(value, of_symbols) for name, value in residuals.items()}
    return RELEASED if any(value is None for value in found.values()) else found


def _array(value: Any, of_symbols: Mapping[Node, Any]) -> Any:
    """A recorded value; None where it is not known."""
    value = as_data(value)
    if isinstance(value, Symbol):
        return of_symbols.get(value.node)
    return value if isinstance(value, np.ndarray) else None

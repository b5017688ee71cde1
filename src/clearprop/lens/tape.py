"""The tape: the record of forward and backward runs, as data.

While it records, each step of a run costs the tape one tuple of references. The rows are made when somebody looks.
The core knows no tape: it tells whoever is registered as the thread's observer what it does.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from types import TracebackType
from typing import Any, overload

from clearprop.cell import Cell
from clearprop.errors import UsageError
from clearprop.graph import Node, state, take_number
from clearprop.lens import notebook, table
from clearprop.lens.births import Birth, birth_of_nan
from clearprop.lens.causes import Cause, why
from clearprop.lens.cost import Cost, cost
from clearprop.lens.derivation import Derivation, explain
from clearprop.lens.difference import Difference, diff
from clearprop.lens.drawing import Drawing, draw
from clearprop.lens.memory import Memory, memory
from clearprop.lens.modules import Call
from clearprop.lens.names import constants, variables
from clearprop.lens.passes import Passes
from clearprop.lens.paths import MOST_GROUPS, Paths, paths
from clearprop.lens.player import Player
from clearprop.lens.rows import Cut, Edge, Operand, Row, Visit, as_data
from clearprop.source import Position
from clearprop.tensor import Tensor

ROWS_SHOWN = 50


class Tape:
    """What happened while `record` was watching.

    Attributes:
        result: what the function returned, for a tape of ``record(fn)(*args)``.
        error: the error that ended the recorded block, in words; empty if none did.
        cuts: where values were used in a way through which no gradient comes back; each once, in run order.
        calls: every call of a module, in run order.
        is_partial: whether it has chosen rows only, of a compiled run; of others the names alone are known.

    >>> import clearprop as cp
    >>> x, y, z = (cp.tensor(v, requires_grad=True) for v in (-2.0, 5.0, -4.0))
    >>> with cp.record() as tape:
    ...     q = x + y
    ...     f = q * z
    ...     f.backward()
    >>> [row.label for row in tape.rows]
    ['x', 'y', 'z', 'q', 'f']
    >>> edge = tape["f"].edges[0]
    >>> edge.input.label, edge.local_derivative.item(), edge.upstream.item(), edge.contribution.item()
    ('q', -4.0, 1.0, -4.0)
    """

    def __init__(self) -> None:
        self.result: Any = None
        self.error = ""
        self.cuts: dict[Cut, None] = {}
        self.calls: list[Call] = []
        self._events: list[tuple[Any, ...]] = []
        self._used = 0  # so many events are in the rows already
        self._rows: dict[Node, Row] = {}
        self._visits: list[Visit] = []
        self._passes = Passes()
        self._latest: Row | None = None
        self._names: dict[Node, str] = {}
        self.is_partial = False
        self._constant_names: dict[int, str] = {}
        self._named_constants: list[Any] = []  # kept, so that no other array takes their identity

    # Reading ------------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> list[Row]:
        """One row for each node that was computed, used or visited, in the order in which the nodes were made."""
        return sorted(self._read().values(), key=lambda row: row.number)

    @property
    def visits(self) -> list[Visit]:
        """The backward passes, visit by visit, in the order in which they ran; leaves are visited too."""
        self._read()
        return list(self._visits)

    @property
    def residual_bytes(self) -> int:
        """Bytes kept for the backward pass, where an array that several nodes keep counts for each."""
        return sum(row.residual_bytes for row in self.rows)

    @property
    def modules(self) -> list[Any]:
        """The modules that were called, each once."""
        return list(dict.fromkeys(call.module for call in self.calls))

    def __len__(self) -> int:
        return len(self._read())

    def __getitem__(self, key: str | Tensor | Cell | Node | Row) -> Row:
        """The row of a tensor, a parameter or a node, or of a name: the newest, if several had it one after the other.

        Of a parameter that has been assigned another value since, as by an optimizer, that of the last recorded one.

        Raises:
            UsageError: if there is none.
        """
        rows = self._read()
        if isinstance(key, str):
            named = self.find(name=key)
            if not named:
                raise UsageError(f"the tape has no row named {key!r}", hint=suggestion(key, rows.values()))
            return named[-1]
        if isinstance(key, Row):
            return key
        tensor = key.peek() if isinstance(key, Cell) else key
        node = tensor.node if isinstance(tensor, Tensor) else tensor
        if isinstance(key, Cell) and (node is None or node not in rows):
            node = next((row.node for row in reversed(self.rows) if row.node.cell is key), None)
        if node is None or node not in rows:
            raise UsageError(
                "the tape has no row of this tensor",
                hint="record() watches what gradients flow through: compute it inside the block, and not in no_grad()",
            )
        return rows[node]

    def find(self, *, name: str | None = None, module: str | None = None, where: str | None = None) -> list[Row]:
        """Rows by name, by path of a module (those inside it too), or by part of their source line, in run order."""
        return [
            row
            for row in self.rows
            if (name is None or row.name == name)
            and (module is None or row.module == module or row.module.startswith(f"{module}."))
            and (where is None or where in row.where)
        ]

    def name(self, names: Mapping[str, Tensor | Cell]) -> None:
        """Give rows names, before those that the tape finds by itself."""
        self._names |= variables(names)
        for node, name in self._names.items():
            if node in self._rows:
                self._rows[node].given_name = name

    def table(self, width: int = 80, rows: int | None = None) -> str:
        """Forward values, then the backward passes edge by edge, as text.

        Args:
            width: columns to fit into.
            rows: show at most so many nodes; by default all.
        """
        return table.text(table.of_tape(self, width, rows))

    # Questions ----------------------------------------------------------------------------------------------------

    def paths(self, output: Any, w: Any, by: Any = None, *, limit: int = MOST_GROUPS) -> Paths:
        """The contributions to the gradient of w by path; they add up to it.

        Args:
            output: where the paths begin, as ``tape[...]`` takes it: the loss; or a node on the way from it to w, and
                then it is what comes through that node.
            w: where they end.
            by: "path": each by itself. "use": by the use of w (time steps, shared weights). "module": by the modules
                they pass. "branch": by the branch taken where several come together (skip connections). "head": by
                attention head. ``[h, …]``: by which of these nodes they pass. ``(h, axis)``: by slices of the gradient
                of h along an axis. By default "path" if there are at most ``limit``; else "use" if w is used several
                times; else "module".
            limit: of more groups than that the smallest are put together, and counted.

        Raises:
            UsageError: if there is no such row, or ``by`` is none of these.

        >>> import clearprop as cp
        >>> x, w = cp.tensor(2.0), cp.Parameter(3.0, name="w")
        >>> with cp.record() as tape:
        ...     h = w * x
        ...     loss = h * h + w
        ...     loss.backward()
        >>> print(tape.paths(loss, w))
        Paths from loss to w  3 paths, one by one
          share                contribution   paths   which
           48 %   ▇▇▇▇▇▇▇▇▇▇             12       1   through #3 → h, #3 → h (1st)
           48 %   ▇▇▇▇▇▇▇▇▇▇             12       1   through #3 → h, #3 → h (2nd)
          4.0 %   ▇                       1       1   loss → w
          ∂loss/∂w = 25
        """
        return paths(self, output, w, by, limit=limit)

    def cost(self, output: str | Tensor | Cell | Node | None = None) -> Cost:
        """What the gradients cost on this graph, beside other ways to compute them, see `clearprop.lens.cost`."""
        return cost(self, None if output is None else self[output])

    def diff(self, other: Tape, rtol: float | None = None) -> Difference:
        """The first node at which this run and another part, see `clearprop.lens.difference`."""
        return diff(self, other, rtol)

    def memory(self) -> Memory:
        """What is kept for the backward pass, where, and what checkpoints would free, see `clearprop.lens.memory`."""
        return memory(self)

    def player(self, title: str = "") -> Player:
        """A page that plays the run: forward node by node, then backward edge by edge; one file, see `Player`.

        Args:
            title: what the page is called; by default after the node from which the gradients come.

        Raises:
            UsageError: if the tape is empty, or has more nodes than a page can play.

        >>> import clearprop as cp
        >>> x = cp.tensor(3.0, requires_grad=True)
        >>> with cp.record() as tape:
        ...     y = x * x
        ...     y.backward()
        >>> tape.player()
        <Player of 2 nodes in 7 steps: .save('player.html')>
        """
        return Player(self, title)

    def explain(self, w: Any) -> Derivation:
        """How the gradient of w came about: factor by factor along the path that dominates, and all others' shares.

        The share of a path is <its contribution, the gradient> / <the gradient, the gradient>; the path that dominates
        is the one with the largest.

        Args:
            w: a name, parameter, tensor, node or row.

        Raises:
            UsageError: if there is no such row, or no gradient has arrived there.

        >>> import clearprop as cp
        >>> x, w = cp.tensor(2.0), cp.Parameter(3.0, name="w")
        >>> with cp.record() as tape:
        ...     h = w * x
        ...     loss = cp.exp(h) + w
        ...     loss.backward()
        >>> print(tape.explain(w))
        ∂loss/∂w = 807.858
        <BLANKLINE>
        The path that contributes most: 100 % of it, one of 2
          edge        upstream ×   local derivative =   contribution
          loss → #3            1   1                               1
          #3 → h               1   #3 = 403.429              403.429
          h → w          403.429   x = 2                     806.858
        <BLANKLINE>
        All others
          share   paths   they meet it
          0.1 %       1   to w from loss
        """
        return explain(self, w)

    def why(self, w: Any) -> Cause:
        """Why the gradient of w is as it is: one cause in words with numbers, the source line, and what to try.

        It is None (detached, unused, frozen, …), zero, tiny, huge, NaN, grows from step to step; or nothing is wrong.

        Args:
            w: a parameter, or the name of one; or anything else that ``tape[...]`` takes.

        Raises:
            UsageError: if there is no such row.

        >>> import clearprop as cp
        >>> w = cp.Parameter([-1.0, -2.0], name="w")
        >>> with cp.record() as tape:
        ...     loss = cp.sum(cp.maximum(w, cp.zeros(2)))
        ...     loss.backward()
        >>> tape.why(w).kind
        'zero'
        >>> print(tape.why(w).words)
        #2 = max(w, constant): maximum selects other elements wherever a gradient arrives
        """
        return why(self, w)

    def birth_of_nan(self) -> Birth:
        """Where the first NaN comes from; false, and says so, if there is none.

        Bad numbers are followed back to the first, in forward order; an infinity that led to NaN counts. If all values
        are good, it is the first bad derivative of the backward pass.

        >>> import clearprop as cp
        >>> p = cp.tensor([0.5, 0.0], requires_grad=True)
        >>> with cp.record() as tape:
        ...     logs = cp.log(p)
        ...     entropy = -cp.sum(p * logs)
        >>> tape.birth_of_nan().row.label
        'logs'
        >>> print(tape.birth_of_nan().words)
        logs = log p is -inf at [1], where p = 0: the logarithm of zero is minus infinity
        """
        return birth_of_nan(self)

    def draw(self, *, depth: int | None = None, unfold: str | Iterable[str] = ()) -> Drawing:
        """A picture of the run as SVG, from the inputs above to the results below; see `Drawing`.

        Up to 24 nodes are drawn one by one, with formulas, values and gradients, and at each edge the contribution and
        the local derivative. In larger graphs each call of a module is a box, and is unfolded while the whole can be
        overlooked. The wider a line, the larger the gradient on it.

        Args:
            depth: unfold so many levels: 1 shows the outermost modules as boxes.
            unfold: paths of modules to unfold, with those around them; of each the first call.

        Raises:
            UsageError: if the tape is empty, or no module of that path ran.

        >>> import clearprop as cp
        >>> x, y = cp.tensor(2.0, requires_grad=True), cp.tensor(3.0, requires_grad=True)
        >>> with cp.record() as tape:
        ...     z = x * y
        ...     z.backward()
        >>> tape.draw()
        <Drawing of z, 3 nodes: .svg, .save("z.svg")>
        """
        return draw(self, depth=depth, unfold=unfold)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What a notebook shows."""
        return {"text/plain": str(self), "text/html": notebook.html(self)}

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        """What ``rich.print`` shows: the table, in colour."""
        return notebook.on_console(table.of_tape(self, options.max_width, ROWS_SHOWN))

    def __str__(self) -> str:
        return self.table(rows=ROWS_SHOWN)

    def __repr__(self) -> str:
        return f"<Tape of {len(self)} nodes, {len(self._visits)} visits of the backward pass>"

    # Writing ------------------------------------------------------------------------------------------------------

    def add(self, event: tuple[Any, ...]) -> None:
        """Keep one event: the name of the observer's method and what it was told."""
        self._events.append(event)

    @property
    def events(self) -> list[tuple[Any, ...]]:
        """What was kept, in the order in which it happened."""
        return list(self._events)

    @property
    def named_constants(self) -> list[Any]:
        """The arrays of tensors to which no gradient flows and which variables around the recording hold."""
        return list(self._named_constants)

    def learn_names_of_nodes(self, names: Mapping[Node, str]) -> None:
        """Take over the names of all nodes that will have rows; nothing else is then looked up."""
        self._names |= names
        self.is_partial = True

    def read_again(self) -> None:
        """Make all rows anew, because events have been taken away."""
        self._used, self._rows, self._visits, self._passes, self._latest = 0, {}, [], Passes(), None

    def learn_names(self, values: Mapping[str, Any]) -> None:
        """Take over the names of variables for nodes that have none yet."""
        self._names = variables(values) | self._names
        for name, array in constants(values):
            if self._constant_names.setdefault(id(array), name) == name:
                self._named_constants.append(array)
        for node, name in self._names.items():
            if node in self._rows and not self._rows[node].given_name:
                self._rows[node].given_name = name

    def _read(self) -> dict[Node, Row]:
        """All rows, after those events that are not in them yet."""
        for kind, node, *told in self._events[self._used :]:
            if kind == "forward":
                self._add_forward(node, *told)
            elif kind == "value":
                self._row(node).value = as_data(told[0])
            else:
                self._add_visit(node, *told)
        self._used = len(self._events)
        return self._rows

    def _row(self, node: Node) -> Row:
        row = self._rows.get(node)
        if row is None:
            row = self._rows[node] = Row(node, len(self._rows) + 1)
            row.given_name = getattr(node.cell, "name", "") or self._names.get(node, "")
            row.ends_expression = not self.is_partial
        return row

    def _add_forward(self, node: Node, values: list[Any], output: Any, residuals: Any) -> None:
        operands = self._operands(node, values)
        row = self._row(node)
        row.value, row.kept, row.operands = as_data(output), residuals, operands
        if self._latest is not None and _same_place(self._latest.node, node):
            self._latest.ends_expression = False
        self._latest = row

    def _operands(self, node: Node, values: list[Any]) -> tuple[Operand, ...]:
        primitive = node.primitive
        assert primitive is not None
        operands = []
        for i, (parent, value) in enumerate(zip(node.parents, values, strict=True)):
            name = f"x{i + 1}" if primitive.variadic else primitive.inputs[i]
            row = None if parent is None else self._row(parent)
            if row is not None and row.value is None:
                row.value = as_data(value)
            operands.append(Operand(name, row, as_data(value), self._constant_names))
        return tuple(operands)

    def _add_visit(
        self,
        node: Node,
        g: Any,
        contributions: Iterable[Any] = (),
        residuals: Any = None,
        begins: bool | None = None,
    ) -> None:
        row = self._row(node)
        if not row.operands and node.primitive is not None:
            row.operands = self._operands(node, [None] * len(node.parents))
        visit = Visit(row, as_data(g), residuals)
        self._passes.arrive(visit, begins)
        for i, (parent, contribution) in enumerate(zip(node.parents, contributions, strict=False)):
            if parent is None or contribution is None:
                continue
            edge = Edge(visit, i, self._row(parent), as_data(contribution))
            visit.edges.append(edge)
            if not self.is_partial:
                edge.input.users.append(edge)
            self._passes.hand_on(edge)
        if self.is_partial:  # others may have contributed to what is not watched
            row.users += visit.contributions_in
        row.visits.append(visit)
        self._visits.append(visit)


def _same_place(a: Node, b: Node) -> bool:
    if a.position is None or b.position is None:
        return False
    return a.position[0] is b.position[0] and a.position[1] == b.position[1]


def suggestion(name: str, rows: Iterable[Row], form: str = "tape[{!r}]") -> str:
    """What may have been meant by a name that no row has; the form says how to write it."""
    names = sorted({row.name for row in rows if row.name})
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return form.format(close[0])
    return f"one of {', '.join(names[:20])}" if names else "name it: tape.name({'h': tensor})"


class Recorder:
    """The observer that fills a tape; made by `record`. Inner and outer recorders see the same run."""

    def __init__(self, tape: Tape | None = None) -> None:
        self.tape = Tape() if tape is None else tape
        self._outer: list[Any] = []
        self._running: list[Call] = []  # calls of modules that have not ended

    def __enter__(self) -> Tape:
        self._outer.append(state.observer)
        self.tape.learn_names(sys._getframe(1).f_locals)
        state.observer = self
        return self.tape

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        state.observer = self._outer.pop()
        self.tape.learn_names(sys._getframe(1).f_locals)
        if error is not None:
            self.tape.error = f"{type(error).__name__}: {error}"

    def forward(self, node: Node, arrays: list[Any], output: Any) -> None:
        """A node was recorded."""
        self.tape.add(("forward", node, arrays, output, node.residuals))
        if self._outer[-1] is not None:
            self._outer[-1].forward(node, arrays, output)

    def backward(self, node: Node, g: Any, contributions: Any) -> None:
        """A backward pass has been at a node."""
        self.tape.add(("backward", node, g, contributions, node.residuals))
        if self._outer[-1] is not None:
            self._outer[-1].backward(node, g, contributions)

    def arrived(self, node: Node, g: Any) -> None:
        """A gradient has arrived at a leaf."""
        self.tape.add(("arrived", node, g))
        if self._outer[-1] is not None:
            self._outer[-1].arrived(node, g)

    def cut(self, node: Node, how: str, position: Position | None) -> None:
        """The value of a node has been used in a way through which no gradient comes back."""
        self.tape.cuts[Cut(node, how, position)] = None
        if self._outer[-1] is not None:
            self._outer[-1].cut(node, how, position)

    def entered(self, module: Any) -> None:
        """A module has been called."""
        self.tape.calls.append(Call(module, take_number()))
        self._running.append(self.tape.calls[-1])
        if self._outer[-1] is not None:
            self._outer[-1].entered(module)

    def left(self, module: Any) -> None:
        """A call of a module has ended."""
        if self._running:  # else it began before the recording
            self._running.pop().last = take_number()
        if self._outer[-1] is not None:
            self._outer[-1].left(module)


@overload
def record() -> Recorder: ...
@overload
def record(fn: Callable[..., Any]) -> Callable[..., Tape]: ...
def record(fn: Callable[..., Any] | None = None) -> Recorder | Callable[..., Tape]:
    """Watch what runs: ``with cp.record() as tape: …``, or ``tape = cp.record(fn)(*args)`` for one call of a function.

    The tape of a block that raises holds everything up to the error.

    >>> import clearprop as cp
    >>> def square(x):
    ...     y = x * x
    ...     y.backward()
    ...     return y
    >>> tape = cp.record(square)(cp.tensor(3.0, requires_grad=True))
    >>> [row.primitive for row in tape.rows], tape.result.item(), tape["x"].gradient.item()
    (['leaf', 'multiply'], 9.0, 6.0)
    """
    if fn is None:
        return Recorder()

    @wraps(fn)
    def recorded(*args: Any, **kwargs: Any) -> Tape:
        recorder = Recorder()
        with recorder as tape:
            tape.result = fn(*args, **kwargs)
        tape.learn_names(_arguments(fn, args, kwargs))
        return tape

    return recorded


def _arguments(fn: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any]:
    """The arguments of a call by the names of the function's parameters."""
    try:
        return dict(inspect.signature(fn).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):  # a callable without a signature
        return {}

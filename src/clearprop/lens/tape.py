"""The tape: the record of forward and backward runs, as data, and the questions that it answers.

While it records, each step of a run costs the tape one tuple of references. The rows are made when somebody looks.
The core knows no tape: it tells whoever is registered as the thread's observer what it does.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from clearprop.cell import Cell
from clearprop.errors import UsageError
from clearprop.graph import Node
from clearprop.lens import notebook, table
from clearprop.lens.births import Birth, birth_of_nan
from clearprop.lens.causes import Cause, why
from clearprop.lens.cost import Cost, cost
from clearprop.lens.derivation import Derivation, explain
from clearprop.lens.difference import Difference, diff
from clearprop.lens.drawing import Drawing, draw
from clearprop.lens.memory import Memory, memory
from clearprop.lens.names import variables
from clearprop.lens.paths import MOST_GROUPS, Paths, paths
from clearprop.lens.player import Player
from clearprop.lens.recording import Recording
from clearprop.lens.rows import Row, Visit
from clearprop.tensor import Tensor

ROWS_SHOWN = 50


class Tape(Recording):
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


def suggestion(name: str, rows: Iterable[Row], form: str = "tape[{!r}]") -> str:
    """What may have been meant by a name that no row has; the form says how to write it."""
    names = sorted({row.name for row in rows if row.name})
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return form.format(close[0])
    return f"one of {', '.join(names[:20])}" if names else "name it: tape.name({'h': tensor})"

"""A network as a printed tree, with the shapes and counts of its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from clearprop import markup
from clearprop.cell import Cell, Parameter

if TYPE_CHECKING:
    from clearprop.nn.module import Module


_MOST_UNFOLDED = 40  # modules; of larger networks only the outermost are shown at first
_UNFOLDED = 2

MOST_SHOWN = 4
"""Of the parameters of one module; two layers of an LSTM in both directions have sixteen."""


class Line(NamedTuple):
    """A module in the printed tree.

    Attributes:
        indent: lines of the tree that stand before the title.
        title: its name, class and settings.
        cells: its own parameters and buffers.
        numbers: how many numbers its own parameters have; None if it has none.
        depth: how many modules are around it.
    """

    indent: str
    title: str
    cells: list[str]
    numbers: int | None
    depth: int

    @property
    def label(self) -> str:
        """The title with the lines of the tree."""
        return self.indent + self.title


def tree(module: Module) -> str:
    """The module and all below it, one per line; the last line is the number of parameters.

    A parameter that several modules share is counted with the first of them.
    """
    lines, ending = described(module)
    if len(lines) == 1:
        parameters = [] if lines[0].numbers is None else [f"{lines[0].numbers:,} parameters"]
        return "  ".join([lines[0].label, *lines[0].cells, *parameters])
    return "\n".join([*_columns(lines), ending])


def described(module: Module) -> tuple[list[Line], str]:
    """The module and all below it, and the number of parameters in words."""
    seen: set[Cell] = set()
    lines = list(_lines(module, "", heading(module), "", seen, {module}, 0))
    parameters = [cell for cell in seen if isinstance(cell, Parameter)]
    total = sum(parameter.size for parameter in parameters)
    frozen = sum(parameter.size for parameter in parameters if not parameter.requires_grad)
    return lines, f"{total:,} parameters" + (f", of which {frozen:,} are frozen" if frozen else "")


def card(module: Module) -> str:
    """The tree as HTML: what is inside a module can be folded up, and is where the network is large."""
    lines, ending = described(module)
    pieces: list[str] = []
    for i, line in enumerate(lines[1:], 1):
        has_parts = i + 1 < len(lines) and lines[i + 1].depth > line.depth
        opening = "<details open>" if line.depth < _UNFOLDED or len(lines) <= _MOST_UNFOLDED else "<details>"
        pieces.append(f"<li>{opening}<summary>{_row(line)}</summary><ul>" if has_parts else f"<li>{_row(line)}</li>")
        after = lines[i + 1].depth if i + 1 < len(lines) else 1
        pieces.append("</ul></details></li>" * max(0, line.depth - after))
    own = f"<div>{_row(lines[0], titled=False)}</div>"
    return markup.card(lines[0].title, [ending], own, f"<ul>{''.join(pieces)}</ul>" if pieces else "")


def _row(line: Line, *, titled: bool = True) -> str:
    title = f"<code>{markup.text(line.title)}</code> " if titled else ""
    count = [] if line.numbers is None else [f"{line.numbers:,} parameters"]
    return f'{title}<span class="quiet">{markup.facts([*line.cells, *count])}</span>'


def heading(module: Module) -> str:
    """The class and what it says of itself, such as ``Linear(2, 16)``; just the class for one that has children."""
    about = module.extra_repr()
    has_children = next(module.children(), None) is not None
    return type(module).__name__ if has_children and not about else f"{type(module).__name__}({about})"


def _lines(
    module: Module, branch: str, title: str, indent: str, seen: set[Cell], shown: set[Module], depth: int
) -> Iterator[Line]:
    cells, count = [], 0
    own = [(name, member) for name, member in vars(module).items() if isinstance(member, Cell)]
    for name, cell in own:
        shared = cell in seen
        seen.add(cell)
        note = " shared" if shared else " frozen" if isinstance(cell, Parameter) and not cell.requires_grad else ""
        cells.append(f"{name} {cell.shape}{note}")
        count += cell.size if isinstance(cell, Parameter) and not shared else 0
    cells = shortened(cells)
    has_parameters = any(isinstance(cell, Parameter) for _, cell in own)
    yield Line(branch, title, cells, count if has_parameters else None, depth)
    children = [(name, member) for name, member in vars(module).items() if hasattr(member, "named_modules")]
    for i, (name, child) in enumerate(children):
        last = i == len(children) - 1
        branch, title = f"{indent}{'└─' if last else '├─'} ", f"{name}: {heading(child)}"
        if child in shown:
            yield Line(branch, f"{title} shared", [], None, depth + 1)
            continue
        shown.add(child)
        yield from _lines(child, branch, title, indent + ("   " if last else "│  "), seen, shown, depth + 1)


def shortened(cells: list[str]) -> list[str]:
    """The first few, and how many more there are."""
    return [*cells[:MOST_SHOWN], f"and {len(cells) - MOST_SHOWN} more"] if len(cells) > MOST_SHOWN + 1 else cells


def _columns(lines: list[Line]) -> Iterator[str]:
    width = max(len(line.label) for line in lines) + 1
    columns = max(len(line.cells) for line in lines)
    widths = [max((len(line.cells[i]) for line in lines if i < len(line.cells)), default=0) for i in range(columns)]
    counts = [f"{line.numbers:,}" if line.numbers is not None else "" for line in lines]
    longest = max(len(count) for count in counts)
    for line, count in zip(lines, counts, strict=True):
        cells = [*line.cells, *[""] * (columns - len(line.cells))]
        padded = [cell.ljust(size) for cell, size in zip(cells, widths, strict=True)]
        yield "  ".join([line.label.ljust(width), *padded, count.rjust(longest)]).rstrip()

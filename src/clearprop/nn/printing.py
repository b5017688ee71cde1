"""A network as a printed tree, with the shapes and counts of its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from clearprop.cell import Cell, Parameter

if TYPE_CHECKING:
    from clearprop.nn.module import Module


MOST_SHOWN = 4
"""Of the parameters of one module; two layers of an LSTM in both directions have sixteen."""


class _Line(NamedTuple):
    label: str
    cells: list[str]
    numbers: int | None


def tree(module: Module) -> str:
    """The module and all below it, one per line; the last line is the number of parameters.

    A parameter that several modules share is counted with the first of them.
    """
    seen: set[Cell] = set()
    lines = list(_lines(module, heading(module), "", seen, {module}))
    parameters = [cell for cell in seen if isinstance(cell, Parameter)]
    total = sum(parameter.size for parameter in parameters)
    if len(lines) == 1:
        return "  ".join([lines[0].label, *lines[0].cells, *([f"{total:,} parameters"] if parameters else [])])
    frozen = sum(parameter.size for parameter in parameters if not parameter.requires_grad)
    ending = f"{total:,} parameters" + (f", of which {frozen:,} are frozen" if frozen else "")
    return "\n".join([*_columns(lines), ending])


def heading(module: Module) -> str:
    """The class and what it says of itself, such as ``Linear(2, 16)``; just the class for one that has children."""
    about = module.extra_repr()
    has_children = next(module.children(), None) is not None
    return type(module).__name__ if has_children and not about else f"{type(module).__name__}({about})"


def _lines(module: Module, label: str, indent: str, seen: set[Cell], shown: set[Module]) -> Iterator[_Line]:
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
    yield _Line(label, cells, count if has_parameters else None)
    children = [(name, member) for name, member in vars(module).items() if hasattr(member, "named_modules")]
    for i, (name, child) in enumerate(children):
        last = i == len(children) - 1
        branch = f"{indent}{'└─' if last else '├─'} {name}: {heading(child)}"
        if child in shown:
            yield _Line(f"{branch} shared", [], None)
            continue
        shown.add(child)
        yield from _lines(child, branch, indent + ("   " if last else "│  "), seen, shown)


def shortened(cells: list[str]) -> list[str]:
    """The first few, and how many more there are."""
    return [*cells[:MOST_SHOWN], f"and {len(cells) - MOST_SHOWN} more"] if len(cells) > MOST_SHOWN + 1 else cells


def _columns(lines: list[_Line]) -> Iterator[str]:
    width = max(len(line.label) for line in lines) + 1
    columns = max(len(line.cells) for line in lines)
    widths = [max((len(line.cells[i]) for line in lines if i < len(line.cells)), default=0) for i in range(columns)]
    counts = [f"{line.numbers:,}" if line.numbers is not None else "" for line in lines]
    longest = max(len(count) for count in counts)
    for line, count in zip(lines, counts, strict=True):
        cells = [*line.cells, *[""] * (columns - len(line.cells))]
        padded = [cell.ljust(size) for cell, size in zip(cells, widths, strict=True)]
        yield "  ".join([line.label.ljust(width), *padded, count.rjust(longest)]).rstrip()

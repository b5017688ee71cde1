"""What comes out of each module: one forward pass, watched by hooks, as rows of data and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.array.promotion import whole_numbers
from clearprop.autodiff import no_grad
from clearprop.autodiff.tree import flatten
from clearprop.cell import Parameter
from clearprop.dtypes import to_numpy
from clearprop.nn.printing import shortened
from clearprop.tensor import Tensor

if TYPE_CHECKING:
    from clearprop.nn.module import Module

_BATCH = 2  # more than 1, so that an axis of length 1 is not taken for the batch


@dataclass(frozen=True)
class SummaryRow:
    """One module of the network.

    Args:
        path: its dotted name; empty for the whole network.
        kind: its class, such as ``Linear``.
        output: the shape of what it gave last, as text, such as ``(N, 256)``; empty if it was not called.
        parameters: its own parameters (not those of its children) with their shapes; one that several modules share
            stands with the first.
    """

    path: str
    kind: str
    output: str = ""
    parameters: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many numbers its own parameters hold."""
        return sum(math.prod(shape) for shape in self.parameters.values())


@dataclass(frozen=True)
class Summary:
    """The rows of all modules, parents before their children. Printing it gives a table."""

    rows: list[SummaryRow]

    @property
    def count(self) -> int:
        """The number of parameters."""
        return sum(row.count for row in self.rows)

    def __str__(self) -> str:
        cells = [("module", "type", "output", "parameters", "count"), *map(_cells, self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(5)]
        lines = []
        for *texts, count in cells:
            padded = [text.ljust(width) for text, width in zip(texts, widths, strict=False)]
            lines.append("  ".join([*padded, count.rjust(widths[4])]).rstrip())
        return "\n".join([*lines, f"{self.count:,} parameters"])


def _cells(row: SummaryRow) -> tuple[str, str, str, str, str]:
    shapes = ", ".join(shortened([f"{name} {shape}" for name, shape in row.parameters.items()]))
    return row.path, row.kind, row.output, shapes, f"{row.count:,}" if row.parameters else ""


def summary(model: Module, *input_shapes: Sequence[int], dtype: Any = None) -> Summary:
    """One row for each module, with the shape of its output.

    The network is run once on zeros, in evaluation mode and without recording; nothing of it is changed but the buffers
    that its ``forward`` assigns.

    Args:
        input_shapes: the shape of one example, without the batch, for each argument of the network.
        dtype: of the inputs; float32 by default.

    >>> from clearprop import nn
    >>> rows = nn.summary(nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)), (784,))
    >>> print(rows)
    module  type        output    parameters                        count
            Sequential  (N, 10)
    0       Linear      (N, 256)  weight (784, 256), bias (256,)  200,960
    1       ReLU        (N, 256)
    2       Linear      (N, 10)   weight (256, 10), bias (10,)      2,570
    203,530 parameters
    """
    wanted = np.dtype(np.float32) if dtype is None else to_numpy(dtype)
    shapes = [whole_numbers(shape, "summary", "input_shapes") for shape in input_shapes]
    inputs = [Tensor(np.zeros((_BATCH, *shape), wanted)) for shape in shapes]
    return summarize(model, inputs, batch=_BATCH)


def summarize(model: Module, inputs: Sequence[Any], batch: int | None = None) -> Summary:
    """The summary for given inputs; a first axis of length ``batch`` is printed as N."""
    outputs: dict[Module, str] = {}

    def watch(module: Module, _: Any, output: Any) -> None:
        outputs[module] = _shapes(output, batch)

    modules = list(model.named_modules())
    modes = [module.training for _, module in modules]
    handles = [module.register_forward_hook(watch) for _, module in modules]
    try:
        model.eval()
        with no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
        for (_, module), mode in zip(modules, modes, strict=True):
            module.training = mode
    return Summary(_rows(modules, outputs))


def _rows(modules: Sequence[tuple[str, Module]], outputs: dict[Module, str]) -> list[SummaryRow]:
    seen: set[Parameter] = set()
    rows = []
    for path, module in modules:
        shapes = {}
        for name, member in vars(module).items():
            if isinstance(member, Parameter) and member not in seen:
                seen.add(member)
                shapes[name] = member.shape
        rows.append(SummaryRow(path, type(module).__name__, outputs.get(module, ""), shapes))
    return rows


def _shapes(output: Any, batch: int | None) -> str:
    """The shapes of all tensors in an output."""
    texts = []
    for value in flatten(output):
        shape = [str(length) for length in getattr(value, "shape", ())]
        if batch is not None and shape and shape[0] == str(batch):
            shape[0] = "N"
        texts.append(f"({', '.join(shape)}{',' if len(shape) == 1 else ''})")
    return ", ".join(texts)

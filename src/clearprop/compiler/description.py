"""What a compiled program consists of, for people: its kernels, what is in each, and what each has to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from clearprop.primitive import Spec
from clearprop.source import Position, describe


@dataclass(frozen=True)
class KernelDescription:
    """One kernel, or one operation that NumPy computes.

    Attributes:
        number: the kernels run in this order.
        operations: the names of the primitives in it.
        shape: that it walks over, or the shape of what it computes.
        outputs: what it writes to memory.
        flops: floating-point operations of one run.
        nbytes: bytes that it reads and writes, each buffer counted once.
        how: "threads" if all threads share it, "native" if one computes it, "NumPy".
        position: of the user's line behind its first operation.
        seconds: of one run, if that has been measured.
        algorithm: its name, where it is not the one that defines the operation.
    """

    number: int
    operations: tuple[str, ...]
    shape: tuple[int, ...]
    outputs: tuple[Spec, ...]
    flops: int
    nbytes: int
    how: str
    position: Position | None
    seconds: float | None = None
    algorithm: str = ""

    @property
    def where(self) -> str:
        """The user's line behind its first operation."""
        return describe(self.position)


@dataclass(frozen=True)
class Description:
    """A program as its executor has made it.

    Attributes:
        kernels: in the order in which they run.
        different: so many of them have code of their own; the others share it.
        arena_bytes: memory for values between kernels, used again and again.
        threads: that work on it together.
        seconds: what the stages of its making took.
        notes: what else is to be said.
    """

    kernels: list[KernelDescription]
    different: int = 0
    arena_bytes: int = 0
    threads: int = 1
    seconds: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def flops(self) -> int:
        """Floating-point operations of one run."""
        return sum(kernel.flops for kernel in self.kernels)

    @property
    def nbytes(self) -> int:
        """Bytes that all kernels read and write in one run."""
        return sum(kernel.nbytes for kernel in self.kernels)

    def __str__(self) -> str:
        first = (
            f"{len(self.kernels)} kernels, {self.different} of them different; {amount(self.flops)}FLOP, "
            f"{amount(self.nbytes)}B read and written; arena {amount(self.arena_bytes)}B; "
            f"{self.threads} thread{'s' * (self.threads != 1)}"
        )
        return "\n".join([first, *self.notes, *table(self.kernels)])


_LEFT = frozenset({1, 4})
"""Columns of text."""


def table(kernels: Sequence[KernelDescription]) -> list[str]:
    """A line for each kernel, under a heading; times only where there are any."""
    total = sum(kernel.seconds or 0.0 for kernel in kernels)
    rows = [["", "walks over", "FLOP", "bytes", "by", *(["µs", "share"] if total else []), "operations"]]
    for kernel in kernels:
        times = [f"{1e6 * (kernel.seconds or 0):.1f}", f"{(kernel.seconds or 0) / total:.0%}"] if total else []
        shape = "x".join(map(str, kernel.shape)) or "1"
        work = [amount(kernel.flops).strip(), amount(kernel.nbytes).strip()]
        named = counted(kernel.operations) + (f" by {kernel.algorithm}" if kernel.algorithm else "")
        rows.append([str(kernel.number), shape, *work, kernel.how, *times, named])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[-1] = 0
    return ["  ".join(_aligned(row, widths)) for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if i in _LEFT else cell.rjust(width)


def counted(names: Iterable[str]) -> str:
    """Names in order; one that follows itself is counted.

    >>> counted(["matmul", "add", "add", "relu"])
    'matmul add×2 relu'
    """
    runs: list[tuple[str, int]] = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1] = name, runs[-1][1] + 1
        else:
            runs.append((name, 1))
    return " ".join(name if count == 1 else f"{name}×{count}" for name, count in runs)


def amount(count: float) -> str:
    """A large number, short, to be followed by its unit.

    >>> amount(0), amount(812), amount(25_690_112), amount(1.2e12)
    ('0 ', '812 ', '25.7 M', '1.2 T')
    """
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} "

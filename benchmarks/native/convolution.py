"""The kernels of convolution against PyTorch's: forward, by data and by weights, on one thread.

PyTorch is asked with channels in front and with channels last; the quicker one counts. The contestants take turns, time
is the processor's, and the best turn of each counts: whatever else runs on the machine only ever adds to it.

    python benchmarks/native/convolution.py [words that a shape's name has ...]      (needs torch)
"""

from __future__ import annotations

import os

os.environ.update(
    dict.fromkeys(("CLEARPROP_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
)

import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any, NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from clearprop.compiler.native.program import NativeProgram
from clearprop.compiler.simplify import simplify
from clearprop.compiler.whole import Whole
from clearprop.primitive import spec_of
from clearprop.primitives import convolution, convolution_data_gradient, convolution_weight_gradient
from clearprop.primitives.windows import Moves, output_lengths

_SECONDS, _ROUNDS = 0.6, 15  # at least, for each row


class Shape(NamedTuple):
    """Images, channels into and out of it, length of a side, window, stride, padding, groups, dilation."""

    name: str
    images: int
    channels: int
    outputs: int
    side: int
    window: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    dilation: int = 1


SHAPES = [
    Shape("cnn 3-32", 64, 3, 32, 32, 3, 1, 1),
    Shape("cnn 32-64", 64, 32, 64, 32, 3, 1, 1),
    Shape("cnn 64-128", 64, 64, 128, 16, 3, 1, 1),
    Shape("resnet 3-16", 128, 3, 16, 32, 3, 1, 1),
    Shape("resnet 16-16", 128, 16, 16, 32, 3, 1, 1),
    Shape("resnet 16-32", 128, 16, 32, 32, 3, 2, 1),
    Shape("resnet 32-32", 128, 32, 32, 16, 3, 1, 1),
    Shape("resnet 32-64", 128, 32, 64, 16, 3, 2, 1),
    Shape("resnet 64-64", 128, 64, 64, 8, 3, 1, 1),
    Shape("shortcut 16-32", 128, 16, 32, 32, 1, 2),
    Shape("shortcut 32-64", 128, 32, 64, 16, 1, 2),
    Shape("1x1", 64, 64, 128, 16, 1),
    Shape("5x5 odd", 31, 20, 40, 27, 5, 1, 2),
    Shape("7x7 odd side", 16, 64, 64, 7, 3, 1, 1),
    Shape("14 wide", 16, 64, 64, 14, 3, 1, 1),
    Shape("7x7 stride 2", 8, 3, 64, 112, 7, 2, 3),
    Shape("large", 2, 32, 32, 112, 3, 1, 1),
    Shape("dilated", 16, 32, 32, 28, 3, 1, 2, 1, 2),
    Shape("groups", 32, 32, 64, 20, 3, 1, 1, 4),
    Shape("depthwise", 32, 64, 64, 28, 3, 1, 1, 64),
    Shape("depthwise 5x5 stride 2", 32, 48, 48, 28, 5, 2, 2, 48),
    Shape("depthwise 7 wide", 32, 128, 128, 7, 3, 1, 1, 128),
]


_BY = ("forward", "data", "weights")


def problems(shape: Shape) -> list[tuple[Callable[..., Any], list[Any]]]:
    """For each direction the function and its operands."""
    lengths, window, padding = (shape.side,) * 2, (shape.window,) * 2, ((shape.padding,) * 2,) * 2
    moves = Moves((shape.stride,) * 2, padding, (shape.dilation,) * 2, shape.groups)
    places = output_lengths(lengths, window, moves)
    random = np.random.default_rng(0)
    x, w, y = (
        random.standard_normal(lengths, dtype=np.float32)
        for lengths in (
            (shape.images, shape.channels, *lengths),
            (shape.outputs, shape.channels // shape.groups, *window),
            (shape.images, shape.outputs, *places),
        )
    )
    return [
        (lambda x, w: convolution(x, w, moves=moves), [x, w]),
        (lambda y, w: convolution_data_gradient(y, w, lengths=lengths, moves=moves), [y, w]),
        (lambda x, y: convolution_weight_gradient(x, y, window=window, moves=moves), [x, y]),
    ]


def by_torch(shape: Shape, direction: int, *, last: bool) -> Callable[[], Any]:
    """PyTorch's function for that direction, on its own random numbers."""
    form = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(shape.images, shape.channels, shape.side, shape.side).to(memory_format=form)
    w = torch.randn(shape.outputs, shape.channels // shape.groups, shape.window, shape.window).to(memory_format=form)
    stride, padding, dilation = ([n, n] for n in (shape.stride, shape.padding, shape.dilation))
    if direction == 0:
        return lambda: torch.conv2d(x, w, None, stride, padding, dilation, shape.groups)
    y = torch.randn_like(torch.conv2d(x, w, None, stride, padding, dilation, shape.groups))
    wanted = [direction == 1, direction == 2, False]
    backward = torch.ops.aten.convolution_backward
    return lambda: backward(y, x, w, None, stride, padding, dilation, False, [0, 0], shape.groups, wanted)


def native(f: Callable[..., Any], arrays: list[Any]) -> tuple[NativeProgram, float]:
    """The function compiled, and the milliseconds that took."""

    def listed(*xs: Any) -> list[Any]:
        return [f(*xs)]

    program = simplify(Whole(listed, [(spec_of(array), False) for array in arrays]).program)
    start = thread_time()
    made = NativeProgram(program)
    return made, 1e3 * (thread_time() - start)


def best(contestants: list[Callable[[], Any]]) -> list[float]:
    """The best time of each in milliseconds; they take turns."""
    times: list[list[float]] = [[] for _ in contestants]
    for contestant in contestants:
        contestant()
    end = perf_counter() + _SECONDS
    while perf_counter() < end or len(times[0]) < _ROUNDS:
        for contestant, taken in zip(contestants, times, strict=True):
            start = thread_time()
            contestant()
            taken.append(1e3 * (thread_time() - start))
    return [min(taken) for taken in times]


def main(words: list[str]) -> None:
    """Print a row for each shape and direction."""
    torch.set_num_threads(1)
    print(f"{'':24} {'':8} {'ours':>9} {'torch':>9} {'ratio':>6} {'GFLOP/s':>8} {'compile':>8} {'scratch':>9}")
    for shape in SHAPES:
        if words and not any(word in shape.name for word in words):
            continue
        for direction, (f, arrays) in enumerate(problems(shape)):
            program, milliseconds = native(f, arrays)
            with torch.no_grad():
                theirs = [by_torch(shape, direction, last=last) for last in (False, True)]
                ours, *others = best([lambda program=program, arrays=arrays: program(arrays), *theirs])
            print(
                f"{shape.name:24} {_BY[direction]:8} {ours:6.2f} ms {min(others):6.2f} ms {min(others) / ours:6.2f} "
                f"{flops(shape) / ours / 1e6:8.1f} {milliseconds:5.0f} ms {program.arena_bytes / 1024:6.0f} KB"
                f"{'  by NumPy' if program.by_numpy() else ''}",
                flush=True,
            )


def flops(shape: Shape) -> int:
    """Multiplications and additions, the same in all directions."""
    places = (shape.side + 2 * shape.padding - shape.dilation * (shape.window - 1) - 1) // shape.stride + 1
    window = shape.channels // shape.groups * shape.window**2
    return 2 * shape.images * shape.outputs * places**2 * window


if __name__ == "__main__":
    main(sys.argv[1:])

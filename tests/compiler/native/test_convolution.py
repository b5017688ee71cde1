"""Convolution and its two gradients, natively: any window, stride, padding, dilation and groups, any layout.

Sums of many numbers are compared with those of NumPy in double precision, and the difference with the sum of the
absolute values of what is added up: that is what rounding can amount to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compiler.native.layouts import half, layouts, numbers
from tests.compiler.native.protected import run_protected
from tests.compiler.native.test_native import EAGER_TO_SHARE
from tests.core.test_trace import traced

from clearprop import primitives
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.program import NativeProgram
from clearprop.compiler.native.workers import workers
from clearprop.compiler.simplify import simplify
from clearprop.primitives.windows import Moves, output_lengths

ROUNDING = {"float32": 2e-6, "float64": 4e-15}
DIRECTIONS = ("forward", "data", "weights")


class Case(NamedTuple):
    """Shapes of x and w, and how the window moves."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    moves: Moves

    @property
    def y(self) -> tuple[int, ...]:
        return (self.x[0], self.w[0], *output_lengths(self.x[2:], self.w[2:], self.moves))

    def function(self, direction: str) -> tuple[Callable[..., Any], list[tuple[int, ...]]]:
        """A direction, and the shapes of its operands."""
        moves, lengths, window = self.moves, self.x[2:], self.w[2:]
        if direction == "forward":
            return lambda x, w: primitives.convolution(x, w, moves=moves), [self.x, self.w]
        if direction == "data":
            return (
                lambda y, w: primitives.convolution_data_gradient(y, w, lengths=lengths, moves=moves),
                [self.y, self.w],
            )
        return (
            lambda x, y: primitives.convolution_weight_gradient(x, y, window=window, moves=moves),
            [self.x, self.y],
        )


def case(
    images: int,
    channels: int,
    outputs: int,
    lengths: Sequence[int],
    window: Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[tuple[int, int]] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Case:
    """One number for all axes, or one for each."""
    axes = range(len(lengths))
    by, step = (tuple(n) if isinstance(n, Sequence) else tuple(n for _ in axes) for n in (stride, dilation))
    around = tuple(padding) if isinstance(padding, Sequence) else tuple((padding, padding) for _ in axes)
    moves = Moves(by, around, step, groups)
    return Case((images, channels, *lengths), (outputs, channels // groups, *window), moves)


def compiled(f: Callable[..., Any], arrays: Sequence[Any], machine: Machine = EAGER_TO_SHARE) -> NativeProgram:
    return NativeProgram(simplify(traced(f, *arrays).program), machine)


def check(f: Callable[..., Any], *arrays: Any, machine: Machine = EAGER_TO_SHARE) -> NativeProgram:
    """Natively what NumPy finds, twice, with buffers that nothing may be read or written beyond."""
    program = compiled(f, arrays, machine)
    assert program.by_numpy() == []
    exact, limits = (
        np.asarray(f(*(change(array.astype(np.float64)) for array in arrays))) for change in (np.asarray, np.abs)
    )
    if any(kernel.algorithm for kernel in program.describe().kernels):
        limits = _largest_near(limits)
    for found in (program(arrays), program(arrays), *(run_protected(program, arrays, end) for end in (True, False))):
        (z,) = found
        assert z.dtype == arrays[0].dtype
        np.testing.assert_array_less(np.abs(z - exact), ROUNDING[z.dtype.name] * limits + 1e-300)
    return program


def _largest_near(limits: Any) -> Any:
    """By minimal filtering rounding is that of the largest sum in a tile of 2×2 results, or of a window of 3×3."""
    reach = 2 if limits.shape[2:] == (3, 3) else 1
    wide = np.pad(limits, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    return np.lib.stride_tricks.sliding_window_view(wide, (2 * reach + 1,) * 2, (2, 3)).max((-1, -2))


def check_all(about: Case, dtype: str = "float32", machine: Machine = EAGER_TO_SHARE) -> None:
    for direction in DIRECTIONS:
        f, shapes = about.function(direction)
        check(f, *(numbers(shape, dtype, i) for i, shape in enumerate(shapes)), machine=machine)


# Any ------------------------------------------------------------------------------------------------------------------


@st.composite
def cases(draw: Any) -> Case:
    axes = draw(st.integers(1, 3))

    def each(*choices: int) -> list[int]:
        return [draw(st.sampled_from(choices)) for _ in range(axes)]

    window, stride, dilation = each(1, 1, 2, 3, 3, 4, 5), each(1, 1, 1, 2, 3), each(1, 1, 1, 2, 3)
    padding = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(axes)]
    spread = [step * (size - 1) + 1 for step, size in zip(dilation, window, strict=True)]
    least = [max(1, need - sum(pair)) for need, pair in zip(spread, padding, strict=True)]
    most = {1: 70, 2: 19, 3: 7}[axes]
    lengths = [draw(st.integers(n, max(n, most))) for n in least]
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, outputs = (draw(st.sampled_from([1, 1, 2, 3, 4, 7, 8, 9, 17])) for _ in range(2))
    images = draw(st.sampled_from([1, 2, 3, 5]))
    return case(images, channels * groups, outputs * groups, lengths, window, stride, padding, dilation, groups)


directions, dtypes = st.sampled_from(DIRECTIONS), st.sampled_from(["float32", "float64"])


@half
@given(about=cases(), direction=directions, dtype=dtypes, data=st.data())
def test_any_convolution_of_any_views(about: Case, direction: str, dtype: str, data: Any) -> None:
    f, shapes = about.function(direction)
    one, other = (data.draw(layouts(shape)) for shape in shapes)
    check(lambda x, y: f(one.view(x), other.view(y)), numbers(one.stored, dtype), numbers(other.stored, dtype, 1))


# Those that networks have, and those that are awkward -----------------------------------------------------------------

CASES = {
    "3x3": case(3, 16, 24, (12, 16), (3, 3), padding=1),
    "first layer": case(5, 3, 16, (18, 18), (3, 3), padding=1),
    "1x1": case(4, 20, 12, (9, 9), (1, 1)),
    "1x1, stride 2": case(4, 20, 12, (9, 10), (1, 1), stride=2),
    "1x1, stride 3, padded": case(2, 3, 5, (1, 7), (1, 1), stride=3, padding=1),
    "5x5": case(3, 10, 20, (13, 13), (5, 5), padding=2),
    "7x7, stride 2": case(2, 3, 32, (29, 31), (7, 7), stride=2, padding=3),
    "3x3, stride 2, even": case(3, 8, 16, (16, 16), (3, 3), stride=2, padding=1),
    "stride larger than the window": case(3, 4, 6, (11, 11), (2, 2), stride=3),
    "padding on one side": case(3, 4, 6, (9, 9), (3, 3), padding=((2, 0), (0, 3))),
    "more padding than image": case(2, 4, 6, (2, 1), (3, 3), stride=2, padding=4),
    "dilated": case(2, 8, 8, (15, 15), (3, 3), padding=2, dilation=2),
    "dilated, stride with a common factor": case(2, 4, 4, (17, 17), (3, 3), stride=4, padding=3, dilation=2),
    "groups": case(2, 12, 24, (10, 10), (3, 3), padding=1, groups=3),
    "depthwise": case(3, 10, 10, (14, 14), (3, 3), padding=1, groups=10),
    "depthwise, narrow": case(3, 10, 10, (7, 7), (3, 3), padding=1, groups=10),
    "depthwise, 5x5, stride 2": case(3, 6, 6, (15, 18), (5, 5), stride=2, padding=2, groups=6),
    "depthwise, stride 3": case(3, 6, 6, (15, 40), (3, 3), stride=3, groups=6),
    "depthwise, several outputs": case(2, 5, 15, (9, 20), (3, 3), padding=1, groups=5),
    "depthwise, several channels": case(2, 15, 5, (9, 20), (3, 3), padding=1, groups=5),
    "one place": case(6, 9, 10, (4, 4), (4, 4)),
    "one column": case(6, 9, 10, (20, 1), (3, 1), padding=((1, 1), (0, 0))),
    "sequence": case(3, 12, 20, (50,), (5,), padding=2),
    "causal sequence": case(3, 12, 20, (50,), (3,), padding=((4, 0),), dilation=2),
    "depthwise sequence": case(3, 12, 12, (50,), (4,), padding=((3, 0),), groups=12),
    "volume": case(2, 6, 10, (5, 6, 7), (3, 3, 3), padding=1),
    "volume, stride": case(2, 6, 10, (5, 6, 7), (3, 2, 1), stride=(2, 1, 2), padding=1),
    "depthwise volume": case(2, 6, 6, (5, 6, 9), (3, 3, 3), padding=1, groups=6),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_convolutions_of_networks(name: str, dtype: str) -> None:
    check_all(CASES[name], dtype)


FILTERED = {
    "3x3": CASES["3x3"],
    "wide": case(5, 16, 24, (10, 32), (3, 3), padding=1),
    "wide, odd": case(3, 20, 16, (9, 31), (3, 3), padding=1),
    "narrow": case(9, 16, 32, (8, 8), (3, 3), padding=1),
    "narrow, odd": case(9, 24, 20, (7, 5), (3, 3), padding=1),
    "not padded": case(3, 16, 16, (12, 13), (3, 3)),
    "padding on one side": case(3, 16, 16, (11, 12), (3, 3), padding=((2, 0), (0, 1))),
    "more padding than window": case(3, 16, 16, (8, 9), (3, 3), padding=3),
    "windows that see nothing but zeros": case(8, 16, 24, (9, 6), (3, 3), padding=3),
    "one image": case(1, 16, 16, (20, 24), (3, 3), padding=1),
    "large images": case(2, 16, 16, (51, 65), (3, 3), padding=1),
}
"""Those that minimal filtering computes."""


@pytest.mark.parametrize("name", FILTERED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_minimal_filtering(name: str, dtype: str) -> None:
    about = FILTERED[name]
    for direction in DIRECTIONS:
        f, shapes = about.function(direction)
        program = check(f, *(numbers(shape, dtype, i) for i, shape in enumerate(shapes)))
        assert [kernel.algorithm for kernel in program.describe().kernels] == ["minimal filtering"]
        assert "by minimal filtering" in str(program.describe())


@pytest.mark.parametrize("name", ["first layer", "1x1", "5x5", "3x3, stride 2, even", "dilated", "groups", "depthwise"])
def test_direct_sums(name: str) -> None:
    for direction in DIRECTIONS:
        f, shapes = CASES[name].function(direction)
        program = compiled(f, [np.empty(shape, np.float32) for shape in shapes])
        assert [kernel.algorithm for kernel in program.describe().kernels] == [""]


def test_a_small_image_by_itself_is_not_worth_transforming_the_windows() -> None:
    f, shapes = case(1, 64, 64, (8, 8), (3, 3), padding=1).function("forward")
    (kernel,) = compiled(f, [np.empty(shape, np.float32) for shape in shapes]).describe().kernels
    assert kernel.algorithm == ""


OF_ANY_WIDTH = [
    *("3x3", "wide", "narrow, odd", "3x3, stride 2, even"),
    *("depthwise", "depthwise, narrow", "depthwise sequence"),
]


@pytest.mark.parametrize("vectors", ["avx512", "none"])
@pytest.mark.parametrize("name", OF_ANY_WIDTH)
def test_vectors_of_other_widths(name: str, vectors: str) -> None:
    """What a processor has no registers for, LLVM takes apart."""
    check_all({**CASES, **FILTERED}[name], machine=replace(EAGER_TO_SHARE, vectors=vectors))


LARGE = {
    "many images": case(131, 8, 8, (12, 12), (3, 3), padding=1),
    "large images": case(2, 16, 16, (100, 101), (3, 3), padding=1),
    "large images, stride": case(2, 16, 8, (140, 100), (3, 3), stride=2, padding=1),
    "large images, depthwise": case(2, 24, 24, (100, 70), (3, 3), padding=1, groups=24),
    "large volumes": case(1, 8, 8, (30, 30, 30), (3, 3, 3), padding=1),
    "large weights": case(9, 300, 310, (7, 7), (3, 3), padding=1),
    "large weights, 1x1": case(9, 1200, 1210, (2, 2), (1, 1)),
    "long sequences": case(2, 8, 8, (20_000,), (3,), padding=1),
}

WEIGHTS = [name for name in LARGE if name.startswith("large weights")]


@pytest.mark.parametrize("name", LARGE)
def test_what_is_divided_into_blocks(name: str) -> None:
    check_all(LARGE[name])


@pytest.mark.parametrize("name", ["many images", "large images", "large images, stride", "large images, depthwise"])
def test_memory_is_that_of_a_few_blocks(name: str) -> None:
    """However many images there are: what is copied is a block of them."""
    about = LARGE[name]
    more = about._replace(x=(4 * about.x[0], *about.x[1:]))
    for direction in DIRECTIONS:
        sizes = []
        for one in (about, more):
            f, shapes = one.function(direction)
            sizes.append(compiled(f, [np.empty(shape, np.float32) for shape in shapes]).arena_bytes)
        assert max(sizes) < 2 << 20
        assert sizes[1] <= 1.5 * sizes[0]


@pytest.mark.parametrize("name", [*CASES, *FILTERED, "many images", "large images", "large images, stride", *WEIGHTS])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_bits_do_not_depend_on_the_number_of_threads(name: str, direction: str) -> None:
    f, shapes = {**CASES, **FILTERED, **LARGE}[name].function(direction)
    arrays = [numbers(shape, "float32", i) for i, shape in enumerate(shapes)]
    results = [compiled(f, arrays, replace(EAGER_TO_SHARE, threads=n))(arrays)[0] for n in (1, 2, 3)]
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_one_thread_alone_does_all_blocks(direction: str) -> None:
    """As it does while the others are busy, with what several would share."""
    f, shapes = LARGE["many images"].function(direction)
    arrays = [numbers(shape, "float32", i) for i, shape in enumerate(shapes)]
    program = compiled(f, arrays)
    expected = program(arrays)[0].copy()
    with workers(EAGER_TO_SHARE.threads)._free:  # a step of another Python thread
        for _ in range(2):
            np.testing.assert_array_equal(program(arrays)[0], expected)


# What does not change -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dilated", "1x1", "5x5", "7x7, stride 2", "depthwise", "groups"])
def test_infinities_and_nan_come_out_where_numpy_has_them(name: str) -> None:
    about = CASES[name]
    for direction in DIRECTIONS:
        f, shapes = about.function(direction)
        one, other = (numbers(shape, "float64", i) for i, shape in enumerate(shapes))
        one.flat[[3, 50, -1]] = np.inf, np.nan, -np.inf
        with np.errstate(invalid="ignore"):
            expected = np.asarray(f(one, other))
            (found,) = compiled(f, [one, other])([one, other])
        assert np.isnan(expected).any()
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FILTERED)
def test_minimal_filtering_spreads_what_is_not_finite_within_a_tile_only(name: str) -> None:
    """Where NumPy has something that is not finite there is such a thing; what is not beside it has none."""
    about = FILTERED[name]
    for direction in DIRECTIONS:
        f, shapes = about.function(direction)
        one, other = (numbers(shape, "float64", i) for i, shape in enumerate(shapes))
        one[0, 1, 2, 2], one[-1, 0, -1, -1] = np.inf, np.nan
        with np.errstate(invalid="ignore"):
            expected = np.asarray(f(one, other))
            (found,) = compiled(f, [one, other])([one, other])
        bad = ~np.isfinite(expected)
        assert bad.any()
        assert not np.isfinite(found[bad]).any()
        if direction == "weights":
            near = np.broadcast_to(bad.any((2, 3), keepdims=True), bad.shape)
        else:
            near = _largest_near(bad)
        assert not near.all()
        np.testing.assert_allclose(found[~near], expected[~near], rtol=1e-9, atol=1e-9)


def test_zeros_around_an_image_are_multiplied() -> None:
    """An infinite weight that meets one makes NaN, as it does by NumPy."""
    x, w = np.ones((1, 2, 4, 4)), np.ones((3, 2, 3, 3))
    w[1, 0, 0, 0] = np.inf
    f, _ = case(1, 2, 3, (4, 4), (3, 3), padding=1).function("forward")
    with np.errstate(invalid="ignore"):
        expected = np.asarray(f(x, w))
        (found,) = compiled(f, [x, w])([x, w])
    assert np.isnan(expected[0, 1]).sum() == 7
    np.testing.assert_array_equal(found, expected)


def test_a_gradient_by_data_needs_the_product_of_the_convolution() -> None:
    """With as many outputs as channels it is the same product; only the weights are turned round."""
    about = case(4, 16, 16, (12, 16), (3, 3), padding=1)
    texts = []
    for direction in ("forward", "data"):
        f, shapes = about.function(direction)
        texts.append(compiled(f, [numbers(shape, "float32") for shape in shapes]).text())
    forward, data = (set(re.findall(r'@"(gemm_\w+)"', text)) for text in texts)
    assert len(forward) == 1
    assert forward == data


def test_one_array_as_both_operands() -> None:
    about = case(3, 4, 3, (5, 5), (5, 5), padding=2)
    f, _ = about.function("forward")
    check(lambda x: f(x, x[:, :4]), numbers((3, 4, 5, 5), "float64"))


def test_what_numpy_computes() -> None:
    """Integers, and batches without images, whose gradient by weights is 0."""
    f, shapes = CASES["3x3"].function("forward")
    assert compiled(f, [np.ones(shape, np.int32) for shape in shapes]).by_numpy() == ["convolution"]
    empty = case(0, 3, 4, (5, 5), (3, 3))
    f, shapes = empty.function("weights")
    arrays = [np.ones(shape) for shape in shapes]
    (z,) = compiled(f, arrays)(arrays)
    np.testing.assert_array_equal(z, np.zeros(empty.w))
    f, shapes = empty.function("forward")
    arrays = [np.ones(shape) for shape in shapes]
    (z,) = compiled(f, arrays)(arrays)
    assert z.shape == empty.y

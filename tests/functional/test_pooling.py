"""Pooling, padding, and images of other lengths: what PyTorch's figures do not say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional
from clearprop.errors import ClearpropError, ShapeError, UsageError

INF, NAN = float("inf"), float("nan")
RANDOM = np.random.default_rng(0)


def image(*rows: list[float]) -> Any:
    """One image with one channel."""
    return np.array([[list(rows)]])


def drawn(*shape: int) -> Any:
    return RANDOM.uniform(-1.0, 1.0, shape)


def gradient(function: Callable[[Any], Any], x: Any) -> Any:
    return cp.grad(lambda x: function(x).sum())(cp.tensor(x)).numpy()


# The maximum ----------------------------------------------------------------------------------------------------------


def test_the_first_of_equal_elements_receives_the_gradient() -> None:
    x = image([2.0, 2.0, 0.0, 1.0], [2.0, 2.0, 1.0, 1.0])
    np.testing.assert_array_equal(gradient(lambda x: functional.max_pool2d(x, 2), x), image([1, 0, 0, 1], [0, 0, 0, 0]))
    overlapping = gradient(lambda x: functional.max_pool2d(x, 2, stride=1), x)
    np.testing.assert_array_equal(overlapping, image([1, 1, 0, 1], [0, 0, 0, 0]))


def test_row_by_row_not_column_by_column() -> None:
    x = image([0.0, 3.0], [3.0, 0.0])
    np.testing.assert_array_equal(gradient(lambda x: functional.max_pool2d(x, 2), x), image([0, 1], [0, 0]))


def test_what_is_not_a_number_is_the_maximum() -> None:
    x = image([1.0, NAN, 5.0, 6.0], [NAN, INF, 7.0, 8.0])
    np.testing.assert_array_equal(functional.max_pool2d(x, 2), image([NAN, 8.0]))
    np.testing.assert_array_equal(gradient(lambda x: functional.max_pool2d(x, 2), x), image([0, 1, 0, 0], [0, 0, 0, 1]))


def test_padding_is_less_than_everything_even_than_minus_infinity() -> None:
    x = np.full((1, 1, 3, 3), -INF)
    z, positions = functional.max_pool2d(x, 3, stride=2, padding=1, return_indices=True)
    assert (z.numpy() == -INF).all()
    np.testing.assert_array_equal(positions, image([0, 1], [3, 4]))
    low = np.full((1, 1, 2, 2), -7, np.int64)
    np.testing.assert_array_equal(functional.max_pool2d(low, 2, stride=1, padding=1), np.full((1, 1, 3, 3), -7))


def test_positions_point_at_the_maxima() -> None:
    x = drawn(2, 3, 5, 6)
    z, positions = functional.max_pool2d(x, (3, 2), stride=1, padding=1, return_indices=True)
    assert positions.dtype == cp.int64
    flat = np.take_along_axis(x.reshape(2, 3, 30), positions.numpy().reshape(2, 3, -1), 2)
    np.testing.assert_array_equal(flat.reshape(z.shape), z)


def test_pooling_over_all_keeps_the_order_of_the_image_in_memory() -> None:
    """Gradients too: what a convolution made with its channels last stays so."""
    x = np.ascontiguousarray(drawn(2, 6, 6, 4)).transpose(0, 3, 1, 2)
    leaf = cp.tensor(x, requires_grad=True)
    inner = leaf * 2.0
    inner.retain_grad()
    functional.max_pool2d(inner, 2).sum().backward()
    assert inner.grad is not None
    assert inner.grad.array.transpose(0, 2, 3, 1).flags.c_contiguous


# Gradients ------------------------------------------------------------------------------------------------------------

X1, X2, X3 = drawn(2, 2, 7), drawn(1, 2, 5, 6), drawn(1, 1, 3, 4, 3)
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "max_pool1d": (lambda x: functional.max_pool1d(x, 3, 2), X1),
    "max_pool2d": (lambda x: functional.max_pool2d(x, 3, 2, 1, ceil_mode=True), X2),
    "max_pool2d dilated": (lambda x: functional.max_pool2d(x, 2, 1, dilation=(2, 3)), X2),
    "max_pool3d": (lambda x: functional.max_pool3d(x, 2, 1), X3),
    "avg_pool2d": (lambda x: functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False), X2),
    "avg_pool3d": (lambda x: functional.avg_pool3d(x, 2), X3),
    "adaptive_avg_pool2d": (lambda x: functional.adaptive_avg_pool2d(x, (3, 4)), X2),
    "adaptive_max_pool2d": (lambda x: functional.adaptive_max_pool2d(x, (3, 4)), X2),
    "adaptive_max_pool3d": (lambda x: functional.adaptive_max_pool3d(x, 1), X3),
    "pad": (lambda x: functional.pad(x, (1, 2, -1, 0), value=3.0), X2),
    "reflect": (lambda x: functional.pad(x, (1, 2, 3, 0), "reflect"), X2),
    "replicate": (lambda x: functional.pad(x, (1, 2, 3, 0), "replicate"), X2),
    "circular": (lambda x: functional.pad(x, (1, 2, 3, 0), "circular"), X2),
    "nearest": (lambda x: functional.interpolate(x, (7, 12)), X2),
    "bilinear": (lambda x: functional.interpolate(x, scale_factor=1.5, mode="bilinear"), X2),
    "bicubic": (lambda x: functional.interpolate(x, 8, mode="bicubic", align_corners=True), X2),
    "unfold": (lambda x: functional.unfold(x, (2, 3), stride=2, padding=1), X2),
    "fold": (lambda x: functional.fold(x, (4, 3), 2), drawn(1, 8, 6)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_first_and_second_order(name: str) -> None:
    function, x = FUNCTIONS[name]
    cp.check_gradients(function, x, order=2)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap_is_a_loop(name: str) -> None:
    """With gradients of each example; images without a batch axis where the function takes them."""
    function, x = FUNCTIONS[name]
    xs = np.stack([x, -x, x[..., ::-1]])

    def loss(x: Any) -> Any:
        return cp.sin(function(x)).sum()

    values = cp.vmap(function)(cp.tensor(xs))
    gradients = cp.vmap(cp.grad(loss))(cp.tensor(xs))
    for i, one in enumerate(xs):
        np.testing.assert_allclose(values[i], function(one), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(gradients[i], cp.grad(loss)(cp.tensor(one)), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if "pool" in name])
def test_one_image_without_a_batch(name: str) -> None:
    function, x = FUNCTIONS[name]
    np.testing.assert_array_equal(function(x[0]), function(x)[0])


def test_unfolding_makes_a_convolution_a_matrix_product() -> None:
    x, weight = drawn(2, 3, 5, 4), drawn(4, 3, 3, 2)
    columns = functional.unfold(x, (3, 2), padding=1).numpy()
    expected = functional.conv2d(x, weight, padding=1)
    np.testing.assert_allclose((weight.reshape(4, -1) @ columns).reshape(expected.shape), expected, rtol=1e-12)


def test_what_is_not_a_number_stays_near() -> None:
    """A mean, or a mixture, of others has no trace of it."""
    x = drawn(1, 1, 6, 6)
    x[0, 0, 0, 0] = NAN
    for z in (
        functional.adaptive_avg_pool2d(x, 4),
        functional.interpolate(x, 9, mode="bilinear"),
        functional.interpolate(x, 9, mode="bicubic"),
        functional.avg_pool2d(x, 3, 1, 1),
        functional.pad(x, (0, 1, 0, 1), value=2.0),
    ):
        assert np.isnan(z.numpy()[0, 0, 0, 0])
        assert np.isfinite(z.numpy()[0, 0, -3:, -3:]).all()


def test_stretching_by_a_whole_number_needs_no_positions() -> None:
    with cp.record() as tape:
        functional.interpolate(cp.tensor(X2, requires_grad=True), scale_factor=2)
    assert {row.node.name for row in tape.rows if not row.node.is_leaf} == {"broadcast", "reshape"}


# What does not fit ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ShapeError, r"the window \(7, 7\) is larger than the image", lambda: functional.max_pool2d(X2, 7)),
        (ShapeError, r"it must be \(N, C, H, W\)", lambda: functional.avg_pool2d(X3, 2)),
        (ShapeError, "the axis of the channels is missing", lambda: functional.max_pool2d(np.ones((4, 4)), 2)),
        (UsageError, "padding=2 for a window", lambda: functional.max_pool2d(X2, 3, padding=2)),
        (UsageError, "kernel_size=0", lambda: functional.avg_pool2d(X2, 0)),
        (UsageError, r"kernel_size=\(2, 2, 2\)", lambda: functional.avg_pool2d(X2, (2, 2, 2))),
        (UsageError, "divisor_override=0", lambda: functional.avg_pool2d(X2, 2, divisor_override=0)),
        (UsageError, "output_size=0", lambda: functional.adaptive_avg_pool2d(X2, 0)),
        (UsageError, r"output_size=\(2,\)", lambda: functional.adaptive_max_pool2d(X2, (2,))),
        (ShapeError, "images without elements", lambda: functional.adaptive_max_pool1d(np.ones((1, 1, 0)), 2)),
        (UsageError, r"pad=\(1,\)", lambda: functional.pad(X2, (1,))),
        (UsageError, "pad=1.5", lambda: functional.pad(X2, 1.5)),  # type: ignore[arg-type]
        (UsageError, "mode='mirror'", lambda: functional.pad(X2, (1, 1), "mirror")),
        (UsageError, "value=1.0", lambda: functional.pad(X2, (1, 1), "reflect", 1.0)),
        (ShapeError, "2 pairs", lambda: functional.pad([1.0], (1, 1, 1, 1))),
        (ShapeError, "no 3 can be reflected", lambda: functional.pad([1.0, 2.0, 3.0], (3, 0), "reflect")),
        (ShapeError, "no 4 can be wrapped", lambda: functional.pad([1.0, 2.0, 3.0], (0, 4), "circular")),
        (ShapeError, "nothing to replicate", lambda: functional.pad(np.ones(0), (0, 1), "replicate")),
        (ShapeError, "more than there is", lambda: functional.pad([1.0, 2.0], (-2, -1))),
        (UsageError, "one of the two", lambda: functional.interpolate(X2)),
        (UsageError, "one of the two", lambda: functional.interpolate(X2, 3, 2.0)),
        (UsageError, "mode='linear' for x", lambda: functional.interpolate(X2, 3, mode="linear")),
        (UsageError, "mode='cubic'", lambda: functional.interpolate(X2, 3, mode="cubic")),
        (UsageError, "align_corners=True", lambda: functional.interpolate(X2, 3, align_corners=True)),
        (UsageError, "scale_factor=-1", lambda: functional.interpolate(X2, scale_factor=-1.0)),
        (ShapeError, "leaves nothing", lambda: functional.interpolate(X2, scale_factor=0.1)),
        (ShapeError, "it must be", lambda: functional.interpolate(X2[0, 0], 3)),
        (ShapeError, "are no windows of 4", lambda: functional.fold(drawn(1, 6, 4), 3, 2)),
        (ShapeError, "places in an image", lambda: functional.fold(drawn(1, 8, 5), 3, 2)),
        (ShapeError, "larger than the image", lambda: functional.unfold(X2, 9)),
    ],
)
def test_what_is_said(error: type[ClearpropError], message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(error, match=message):
        call()

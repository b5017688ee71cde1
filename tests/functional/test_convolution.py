"""Convolutions and their transposes: what they are, their gradients, and what is said when arguments do not fit."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional
from clearprop.errors import ClearpropError, DTypeError, ShapeError, UsageError

RANDOM = np.random.default_rng(0)


def drawn(*shape: int) -> Any:
    return RANDOM.uniform(-1.0, 1.0, shape)


X, W, B = drawn(2, 4, 5, 4), drawn(6, 2, 3, 2), drawn(6)
BACK = drawn(4, 3, 3, 2)


# The two operations by their own names --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_one_axis_is_what_numpy_computes(size: int) -> None:
    x, kernel = drawn(7), drawn(size)
    for mode in ("valid", "full"):
        np.testing.assert_allclose(
            functional.cross_correlate(x, kernel, padding=mode), np.correlate(x, kernel, mode), atol=1e-15
        )
        np.testing.assert_allclose(
            functional.convolve(x, kernel, padding=mode), np.convolve(x, kernel, mode), atol=1e-15
        )
    if size % 2:
        np.testing.assert_allclose(
            functional.convolve(x, kernel, padding="same"), np.convolve(x, kernel, "same"), atol=1e-15
        )


def test_convolution_turns_the_kernel_and_cross_correlation_does_not() -> None:
    kernel = drawn(2, 3)
    impulse = np.zeros((3, 5))
    impulse[1, 2] = 1.0
    np.testing.assert_allclose(functional.convolve(impulse, kernel), kernel, atol=1e-15)
    np.testing.assert_allclose(functional.cross_correlate(impulse, kernel), kernel[::-1, ::-1], atol=1e-15)


def test_convolution_is_symmetric_and_associative() -> None:
    x, k, m = drawn(4, 5), drawn(2, 3), drawn(3, 2)

    def full(a: Any, b: Any) -> Any:
        return functional.convolve(a, b, padding="full")

    np.testing.assert_allclose(full(x, k), full(k, x), atol=1e-14)
    np.testing.assert_allclose(full(full(x, k), m), full(x, full(k, m)), atol=1e-14)


def test_each_is_the_gradient_of_the_other() -> None:
    x, kernel, g = (cp.tensor(drawn(*shape)) for shape in ((5, 4), (3, 2), (3, 3)))
    _, pullback = cp.vjp(lambda x: functional.cross_correlate(x, kernel), x)
    np.testing.assert_allclose(pullback(g)[0], functional.convolve(g, kernel, padding="full"), atol=1e-15)
    _, pullback = cp.vjp(lambda x: functional.convolve(x, kernel), x)
    np.testing.assert_allclose(pullback(g)[0], functional.cross_correlate(g, kernel, padding="full"), atol=1e-15)


def test_arrays_with_any_number_of_axes() -> None:
    x, kernel = drawn(2, 3, 2, 3), drawn(2, 2, 1, 2)
    assert functional.cross_correlate(x, kernel, padding="same").shape == (2, 3, 2, 3)
    assert functional.convolve(x, kernel, stride=(1, 2, 1, 2)).shape == (1, 1, 2, 1)
    assert functional.convolve([1, 2], [1, 10], padding="full").tolist() == [1, 12, 20]


# What they compute ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"stride": (2, 1)}, {"padding": (1, 2)}, {"dilation": 2, "padding": 2}])
def test_the_transpose_is_the_transpose(settings: dict[str, Any]) -> None:
    """<conv x, y> = <x, transposed y> for the same weights and settings."""
    x, weight = drawn(2, 3, 6, 5), drawn(4, 3, 3, 2)
    z = functional.conv2d(x, weight, **settings)
    y = drawn(*z.shape)
    smallest = functional.conv_transpose2d(y, weight, **settings)
    more = [want - have for want, have in zip(x.shape[2:], smallest.shape[2:], strict=True)]
    back = functional.conv_transpose2d(y, weight, output_padding=more, **settings)
    assert back.shape == x.shape
    np.testing.assert_allclose((z.numpy() * y).sum(), (back.numpy() * x).sum(), rtol=1e-12)


def test_places_that_no_window_reaches_are_the_bias() -> None:
    z = functional.conv_transpose1d(
        np.ones((1, 1, 2)), np.ones((1, 1, 2)), np.full(1, 7.0), dilation=4, output_padding=3
    ).numpy()
    np.testing.assert_array_equal(z, [[[8.0, 8.0, 7.0, 7.0, 8.0, 8.0, 7.0, 7.0, 7.0]]])


def test_one_image_without_a_batch() -> None:
    np.testing.assert_array_equal(functional.conv2d(X[1], W, B, groups=2), functional.conv2d(X, W, B, groups=2)[1])
    one = functional.conv_transpose2d(X[1], BACK, padding=1)
    np.testing.assert_array_equal(one, functional.conv_transpose2d(X, BACK, padding=1)[1])


def test_what_is_not_a_number_stays_where_its_window_is() -> None:
    """In a sum, and in other channels, images and places there is no trace of it."""
    x = X.copy()
    x[0, 1, 0, 0] = np.nan
    x[1, 3, 4, 3] = np.inf
    for groups, weight in ((2, W), (4, drawn(4, 1, 3, 2))):
        z, clean = (
            functional.conv2d(x, weight, groups=groups).numpy(),
            functional.conv2d(X, weight, groups=groups).numpy(),
        )
        touched = np.zeros(z.shape, bool)
        per_group = weight.shape[0] // groups
        touched[0, 1 // (4 // groups) * per_group :][:per_group, 0, 0] = True
        touched[1, 3 // (4 // groups) * per_group :][:per_group, -1, -1] = True
        assert np.isfinite(z[~touched]).all()
        assert not np.isfinite(z[touched]).any()
        np.testing.assert_array_equal(z[~touched], clean[~touched])


def test_integers_are_taken_as_numbers_of_the_weights_dtype() -> None:
    z = functional.conv2d(np.ones((1, 1, 2, 2), np.uint8), cp.ones((1, 1, 2, 2)))
    assert z.dtype == cp.float32
    assert z.item() == 4.0


def test_a_convolution_is_three_nodes() -> None:
    with cp.record() as tape:
        functional.conv2d(cp.tensor(X), cp.tensor(W, requires_grad=True), cp.tensor(B, requires_grad=True), groups=2)
    assert [row.node.name for row in tape.rows if not row.node.is_leaf] == ["convolution", "broadcast", "add"]


# Gradients ------------------------------------------------------------------------------------------------------------

SETTINGS = [
    {"groups": 2},
    {"groups": 2, "stride": 2, "padding": 1},
    {"groups": 2, "padding": "same", "dilation": (1, 2)},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_gradients_of_first_and_second_order(settings: dict[str, Any]) -> None:
    cp.check_gradients(lambda x, w, b: functional.conv2d(x, w, b, **settings), X[:1], W, B, order=2)


def test_gradients_of_the_others() -> None:
    cp.check_gradients(functional.conv1d, drawn(1, 2, 5), drawn(2, 2, 3), drawn(2), order=2)
    cp.check_gradients(functional.conv3d, drawn(1, 1, 3, 2, 3), drawn(2, 1, 2, 2, 2), order=2)
    cp.check_gradients(lambda x, w: functional.conv_transpose2d(x, w, stride=2, padding=1), X[:1], BACK, order=2)
    cp.check_gradients(lambda x, k: functional.convolve(x, k, padding="same"), drawn(4, 3), drawn(2, 2), order=2)


@pytest.mark.parametrize("function", [functional.conv2d, functional.conv_transpose2d])
def test_gradients_of_each_example(function: Any) -> None:
    """vmap of grad: every image with gradients of its own, of the weights too."""
    weight = W if function is functional.conv2d else drawn(4, 3, 3, 2)

    def loss(w: Any, b: Any, x: Any) -> Any:
        z = function(x, w, b, groups=2, padding=1)
        return (z * cp.sin(z)).sum()

    bias = drawn(6)
    xs = drawn(3, 4, 5, 4)
    found = cp.vmap(cp.grad(loss, argnums=(0, 1, 2)), in_axes=(None, None, 0))(
        cp.tensor(weight), cp.tensor(bias), cp.tensor(xs)
    )
    for i, x in enumerate(xs):
        alone = cp.grad(loss, argnums=(0, 1, 2))(cp.tensor(weight), cp.tensor(bias), cp.tensor(x))
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_allclose(one[i], other, rtol=1e-11, atol=1e-13)


def test_several_networks_at_once() -> None:
    """vmap over the weights, over images, over both."""
    ws, xs = drawn(3, 4, 2, 2, 2), drawn(3, 2, 2, 4, 3)
    for axes in ((0, None), (None, 0), (0, 0)):
        pairs = [(xs[i] if axes[0] == 0 else xs[0], ws[i] if axes[1] == 0 else ws[0]) for i in range(3)]
        mapped = [values if axis == 0 else values[0] for values, axis in zip((xs, ws), axes, strict=True)]
        found = cp.vmap(functional.conv2d, in_axes=axes)(*map(cp.tensor, mapped))
        np.testing.assert_allclose(found, np.stack([functional.conv2d(x, w).numpy() for x, w in pairs]), rtol=1e-12)


# What does not fit ----------------------------------------------------------------------------------------------------

CONV = [functional.conv1d, functional.conv2d, functional.conv3d]


def test_wrong_numbers_of_axes() -> None:
    for axes, function in enumerate(CONV, 1):
        weight = np.ones((2, 3, *[1] * axes))
        for count in range(5):
            if count in (axes + 1, axes + 2):
                continue
            with pytest.raises(ShapeError, match=rf"conv{axes}d: x has shape .*; it must be \(N, C"):
                function(np.ones((3,) * count), weight)
        with pytest.raises(ShapeError, match=f"conv{axes}d: weight has shape"):
            function(np.ones((1, 3, *[4] * axes)), weight[0])
    with pytest.raises(ShapeError, match="the axis of the channels is missing"):
        functional.conv2d(np.ones((8, 8)), np.ones((2, 1, 3, 3)))


def test_the_axis_of_the_channel_is_missing() -> None:
    with pytest.raises(ShapeError, match=r"x.reshape\(64, 1, 28, 28\), if these are 64 images"):
        functional.conv2d(np.ones((64, 28, 28)), np.ones((2, 1, 3, 3)))


def test_channels_come_first() -> None:
    with pytest.raises(ShapeError, match=r"cp.moveaxis\(x, -1, 1\)"):
        functional.conv2d(np.ones((2, 28, 28, 3)), np.ones((2, 3, 3, 3)))


def test_errors_name_the_parameter() -> None:
    model = cp.nn.Sequential(cp.nn.Conv2d(3, 4, 3), cp.nn.ReLU(), cp.nn.Conv2d(5, 4, 3))
    with pytest.raises(ShapeError, match=r"conv2d: x has shape \(1, 4, 6, 6\), 4 channels; weight 2.weight has shape"):
        model(np.ones((1, 3, 8, 8), np.float32))


ONE, IMAGE = np.ones((1, 1, 1)), np.ones((1, 1, 2))  # a weight and an image along one axis


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (
            ShapeError,
            r"the window \(3, 3\) is larger than the image \(2, 9\)",
            lambda: functional.conv2d(np.ones((1, 1, 2, 9)), np.ones((1, 1, 3, 3))),
        ),
        (
            ShapeError,
            r"\(3,\), \(5,\) with its dilation, is larger than the image \(2,\), \(4,\) with its padding",
            lambda: functional.conv1d(IMAGE, np.ones((1, 1, 3)), dilation=2, padding=1),
        ),
        (
            ShapeError,
            "groups=2 does not divide the 3 outputs",
            lambda: functional.conv1d(np.ones((1, 2, 5)), np.ones((3, 1, 3)), groups=2),
        ),
        (
            ShapeError,
            r"bias has shape \(1,\); it must be \(3,\)",
            lambda: functional.conv1d(IMAGE, np.ones((3, 1, 1)), np.ones(1)),
        ),
        (ShapeError, "leaves nothing", lambda: functional.conv_transpose1d(IMAGE, ONE, padding=2)),
        (ShapeError, "takes 3", lambda: functional.conv_transpose1d(IMAGE, np.ones((3, 2, 2)))),
        (ShapeError, "both need as many axes", lambda: functional.convolve([1.0, 2.0], [[1.0]])),
        (ShapeError, "both need as many axes", lambda: functional.cross_correlate(1.0, 1.0)),
        (ShapeError, "larger than the image", lambda: functional.cross_correlate([1.0], [1.0, 2.0])),
        (DTypeError, "x is float64, weight is float32", lambda: functional.conv1d(IMAGE, cp.ones((1, 1, 1)))),
        (DTypeError, "bias is float32, weight is float64", lambda: functional.conv1d(IMAGE, ONE, cp.ones(1))),
        (UsageError, "groups=0", lambda: functional.conv1d(IMAGE, ONE, groups=0)),
        (UsageError, "groups=1.5", lambda: functional.conv1d(IMAGE, ONE, groups=1.5)),  # type: ignore[arg-type]
        (UsageError, "stride=0", lambda: functional.conv1d(IMAGE, ONE, stride=0)),
        (UsageError, "stride=True", lambda: functional.conv1d(IMAGE, ONE, stride=True)),
        (UsageError, r"dilation=\(1, 1\)", lambda: functional.conv1d(IMAGE, ONE, dilation=(1, 1))),
        (UsageError, "padding=-1", lambda: functional.conv1d(IMAGE, ONE, padding=-1)),
        (UsageError, "padding='full'", lambda: functional.conv1d(IMAGE, ONE, padding="full")),
        (UsageError, 'padding="same" with', lambda: functional.conv1d(IMAGE, ONE, stride=2, padding="same")),
        (
            UsageError,
            "output_padding",
            lambda: functional.conv_transpose1d(IMAGE, ONE, stride=2, output_padding=2),
        ),
    ],
)
def test_what_is_said(error: type[ClearpropError], message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(error, match=message):
        call()


def test_nothing_to_do() -> None:
    """No images, no channels, no outputs."""
    for n, c, o in product((0, 1), repeat=3):
        if n and c and o:
            continue
        x, w = cp.zeros((n, c, 3, 3)), cp.tensor(np.zeros((o, c, 2, 2), np.float32), requires_grad=True)
        z = functional.conv2d(x, w)
        assert z.shape == (n, o, 2, 2)
        z.sum().backward()
        assert w.grad is not None
        assert w.grad.shape == w.shape

"""Reductions, shapes, products, creation: the public functions against NumPy, values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cp

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((2, 3, 4))
AXES: list[Any] = [None, 0, 1, -1, -3, (0, 2), (-1, 0), (0, 1, 2), ()]


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-12, atol=1e-14, strict=True)


# Reductions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min"])
def test_reductions(name: str, axis: Any, keepdims: bool) -> None:
    f: Any = getattr(cp, name)
    close(f(cp.tensor(X), axis, keepdims=keepdims), getattr(np, name)(X, axis=axis, keepdims=keepdims))
    close(getattr(cp.tensor(X), name)(axis, keepdims=keepdims), getattr(np, name)(X, axis=axis, keepdims=keepdims))
    cp.check_gradients(lambda x: f(x, axis, keepdims=keepdims), X)


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_logical_reductions(axis: Any) -> None:
    for f, reference in ((cp.all, np.all), (cp.any, np.any)):
        close(f(cp.tensor(X > 0), axis), reference(X > 0, axis))
        close(f(cp.tensor(X), axis, keepdims=True), reference(X, axis, keepdims=True))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_positions_of_extremes(axis: int | None, keepdims: bool) -> None:
    close(cp.argmax(cp.tensor(X), axis, keepdims=keepdims), np.argmax(X, axis, keepdims=keepdims))
    close(cp.argmin(cp.tensor(X), axis, keepdims=keepdims), np.argmin(X, axis, keepdims=keepdims))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_running_sums(axis: int) -> None:
    close(cp.cumulative_sum(cp.tensor(X), axis=axis), np.cumsum(X, axis))
    close(cp.cumulative_sum(cp.tensor(X[0, 0])), np.cumsum(X[0, 0]))


@pytest.mark.parametrize("axis", [None, 0, -1, (1, 2)])
def test_logsumexp(axis: Any) -> None:
    close(cp.logsumexp(cp.tensor(X), axis), np.log(np.sum(np.exp(X), axis)))


def test_reductions_of_nothing() -> None:
    empty = cp.zeros((0, 3), dtype=cp.float64)
    close(cp.sum(empty, 0), np.zeros(3))
    close(cp.prod(empty, 0), np.ones(3))
    assert np.isnan(cp.mean(empty, 0).numpy()).all()
    assert cp.max(empty, 1).shape == (0,)
    for f in (cp.max, cp.min, cp.argmax, cp.logsumexp):
        with pytest.raises(cp.ShapeError, match="nothing to choose from"):
            f(empty, 0)


def test_axes_that_are_numpys_integers() -> None:
    close(cp.sum(cp.tensor(X), np.int64(1)), X.sum(1))
    close(cp.mean(cp.tensor(X), axis=(np.int32(0), np.uint8(2))), X.mean((0, 2)))


def test_reductions_of_0d() -> None:
    x = cp.tensor(3.0)
    for f in (cp.sum, cp.prod, cp.mean, cp.max, cp.min):
        assert (f(x).shape, f(x).item()) == ((), 3.0)
    assert cp.sum(x, ()).item() == 3.0


@pytest.mark.parametrize("f", [cp.sum, cp.mean, cp.max, cp.prod, cp.logsumexp, cp.any])
def test_axes_that_do_not_exist(f: Any) -> None:
    for axis in (3, -4):
        with pytest.raises(cp.ShapeError, match=f"axis {axis} of a tensor with 3 axes") as caught:
            f(cp.tensor(X), axis)
        assert isinstance(caught.value, IndexError)  # as the standard has it, and as NumPy's is both
    with pytest.raises(cp.ShapeError, match="names an axis twice"):
        f(cp.tensor(X), (0, -3))


# Shapes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "reference"),
    [
        (lambda x: cp.reshape(x, (6, 4)), lambda x: x.reshape(6, 4)),
        (lambda x: x.reshape(-1, 2), lambda x: x.reshape(-1, 2)),
        (lambda x: x.reshape((4, -1)), lambda x: x.reshape(4, -1)),
        (lambda x: cp.reshape(x, -1), lambda x: x.reshape(-1)),
        (lambda x: x.flatten(), lambda x: x.reshape(-1)),
        (lambda x: x.flatten(1), lambda x: x.reshape(2, 12)),
        (lambda x: cp.permute_dims(x, (2, 0, -2)), lambda x: x.transpose(2, 0, 1)),
        (lambda x: x.mT, lambda x: x.swapaxes(-1, -2)),
        (lambda x: x[0].T, lambda x: x[0].T),
        (lambda x: cp.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1)),
        (lambda x: cp.expand_dims(x, -1), lambda x: np.expand_dims(x, -1)),
        (lambda x: cp.squeeze(cp.expand_dims(x, 1)), lambda x: x),
        (lambda x: cp.squeeze(x[:1, :, None], (0, 2)), lambda x: x[0]),
        (lambda x: cp.broadcast_to(x[:, :1], (5, 2, 3, 4)), lambda x: np.broadcast_to(x[:, :1], (5, 2, 3, 4))),
        (lambda x: cp.concat([x, x[:, :1], x], axis=1), lambda x: np.concatenate([x, x[:, :1], x], 1)),
        (lambda x: cp.concat([x, x[0]], axis=None), lambda x: np.concatenate([x.reshape(-1), x[0].reshape(-1)])),
        (lambda x: cp.stack([x, x * 2.0], axis=-1), lambda x: np.stack([x, x * 2.0], -1)),
        (lambda x: cp.split(x, 3, axis=1)[1], lambda x: np.split(x, 3, 1)[1]),
        (lambda x: cp.split(x, [1, 3], axis=-1)[1], lambda x: x[..., 1:]),
        (lambda x: cp.flip(x), np.flip),
        (lambda x: cp.flip(x, (0, -1)), lambda x: np.flip(x, (0, -1))),
        (lambda x: cp.pad(x, [(0, 1), (2, 0), (1, 1)]), lambda x: np.pad(x, [(0, 1), (2, 0), (1, 1)])),
        (lambda x: cp.pad(x, 1), lambda x: np.pad(x, 1)),
        (lambda x: cp.take(x, [2, 0, 0], axis=1), lambda x: np.take(x, [2, 0, 0], axis=1)),
        (lambda x: cp.take_along_axis(x, cp.argmax(x, 1, keepdims=True), axis=1), lambda x: x.max(1, keepdims=True)),
        (lambda x: cp.broadcast_arrays(x, x[0, 0])[1], lambda x: np.broadcast_to(x[0, 0], x.shape)),
    ],
)
def test_shapes_and_places(f: Any, reference: Any) -> None:
    close(f(cp.tensor(X)), reference(X))
    cp.check_gradients(lambda x: f(x) * f(x), X)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda x: x.reshape(5, 5), r"reshape: .*\(2, 3, 4\) \(24 elements\)"),
        (lambda x: x.reshape(-1, -1), "reshape"),
        (lambda x: x.reshape(-1, 7), "reshape"),
        (lambda x: cp.zeros((0, 3)).reshape(0, -1), "reshape"),
        (lambda x: cp.permute_dims(x, (0, 1)), "permute_dims"),
        (lambda x: cp.permute_dims(x, (0, 0, 1)), "permute_dims"),
        (lambda x: x.T, "needs a matrix"),
        (lambda x: x[0, 0].mT, "is no matrix"),
        (lambda x: cp.squeeze(x, 0), "squeeze"),
        (lambda x: cp.broadcast_to(x, (2, 3)), "broadcast_to"),
        (lambda x: cp.broadcast_to(x, (2, 5, 4)), "broadcast_to"),
        (lambda x: cp.concat([x, x[0]]), "concat"),
        (lambda x: cp.concat([x, x[:, :1]]), "concat: input 1 has shape"),
        (lambda x: cp.concat([]), "no tensors"),
        (lambda x: cp.stack([x, x[0]]), "stack"),
        (lambda x: cp.split(x, 2, axis=1), "split"),
        (lambda x: cp.split(x, [1, 1], axis=1), "split"),
        (lambda x: cp.pad(x, [(1, 1)]), "pad"),
        (lambda x: cp.pad(x, -1), "pad"),
        (lambda x: cp.pad(x, 1.5), "pad: widths 1.5"),
        (lambda x: cp.pad(x, [1, 2, 3]), "pad: widths"),
        (lambda x: cp.flip(x, 3), "flip: axis 3"),
        (lambda x: cp.take(x, [0]), "name the axis"),
        (lambda x: cp.zeros((2, -1)), r"cannot have shape \(2, -1\)"),
        (lambda x: cp.arange(0, 5, 0), "has no end"),
        (lambda x: cp.linspace(0, 1, -1), "linspace: -1 numbers"),
        (lambda x: len(cp.tensor(1.0)), r"len\(\)"),
        (lambda x: x.item(), "needs a tensor with one element"),
        (lambda x: bool(x), "needs a tensor with one element"),
    ],
)
def test_shapes_that_do_not_fit(call: Any, what: str) -> None:
    with pytest.raises(cp.ShapeError, match=what) as caught:
        call(cp.tensor(X))
    assert "test_functions.py" in caught.value.where


# Products -------------------------------------------------------------------------------------------------------------

PRODUCTS = [
    ((2, 3), (3, 4)),
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 4)),
    ((5, 1, 2, 3), (6, 3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((0, 3), (3, 4)),
    ((2, 0), (0, 4)),
    ((0,), (0,)),
    ((0, 2, 3), (3, 4)),
]


@pytest.mark.parametrize(("a", "b"), PRODUCTS)
def test_matmul_of_all_ranks(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = RANDOM.standard_normal(a), RANDOM.standard_normal(b)
    close(cp.tensor(x) @ cp.tensor(y), x @ y)
    close(cp.matmul(x, cp.tensor(y)), x @ y)
    close(x @ cp.tensor(y), x @ y)
    cp.check_gradients(cp.matmul, x, y, order=2)


def test_matmul_promotes() -> None:
    assert (cp.ones((2, 2)) @ cp.ones((2, 2), dtype=cp.float64)).dtype is cp.float64
    assert (cp.ones((2, 2), dtype=cp.int32) @ cp.ones((2, 2))).dtype is cp.float32
    assert (cp.ones((2, 2), dtype=cp.int32) @ cp.ones((2, 2), dtype=cp.int64)).dtype is cp.int64


@pytest.mark.parametrize(
    ("a", "b", "hint"),
    [
        ((64, 784), (256, 784), "x @ y.mT"),
        ((784, 64), (784, 256), "x.mT @ y"),
        ((2, 3), (4, 5), "reshape"),
        ((2, 3), (2,), "reshape"),
        ((), (3,), "reshape"),
        ((2, 2, 3), (5, 3, 2), ""),
    ],
)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_products_that_do_not_fit(a: Any, b: Any, hint: str, requires_grad: bool) -> None:
    x, y = cp.tensor(np.zeros(a), requires_grad=requires_grad), cp.tensor(np.zeros(b))
    with pytest.raises(cp.ShapeError) as caught:
        x @ y
    assert caught.value.message.startswith(f"matmul: x has shape {a}, y has shape {b}")
    assert hint in caught.value.hint
    assert "x @ y" in caught.value.where


# Creation -------------------------------------------------------------------------------------------------------------


def test_creation() -> None:
    assert cp.zeros(2).tolist() == [0.0, 0.0]
    assert cp.ones((1, 2), dtype=cp.int8).dtype is cp.int8
    assert cp.full((2,), 7).tolist() == [7, 7]
    assert cp.full_like([1.0], 2).dtype is cp.float32
    assert cp.zeros_like(cp.tensor([1, 2])).dtype is cp.int64
    assert cp.ones_like(cp.tensor([1.0]), dtype=cp.float64).dtype is cp.float64
    close(cp.arange(2, 11, 3), np.arange(2, 11, 3))
    close(cp.arange(5), np.arange(5))
    assert cp.arange(0.0, 1.0, 0.25).dtype is cp.float32
    close(cp.linspace(0.0, 1.0, 5, dtype=cp.float64, endpoint=False), np.linspace(0, 1, 5, endpoint=False))
    close(cp.eye(2, 3, k=1, dtype=cp.float64), np.eye(2, 3, 1))
    assert cp.empty((0, 2)).shape == (0, 2)
    for wrong in ("complex64", "float80", object):
        with pytest.raises(cp.DTypeError):
            cp.zeros(2, dtype=wrong)


def test_astype() -> None:
    x = cp.tensor([1.7, -1.7], requires_grad=True)
    assert x.astype("int64").tolist() == [1, -1]
    assert not x.astype(cp.int64).requires_grad
    assert x.astype(cp.float32) is x
    assert x.astype(cp.float64).requires_grad


def test_conversions_to_python() -> None:
    assert (float(cp.tensor(1.5)), int(cp.tensor([7])), bool(cp.tensor(False))) == (1.5, 7, False)
    assert [10, 20, 30][cp.tensor(1)] == 20
    with pytest.raises(cp.DTypeError, match="only an integer tensor can be an index"):
        [10, 20, 30][cp.tensor(1.0)]
    assert [x.item() for x in cp.tensor([1.0, 2.0])] == [1.0, 2.0]
    assert cp.tensor([[1, 2]]).tolist() == [[1, 2]]
    assert repr(cp.tensor([1.0], requires_grad=True)) == "Tensor([1.], dtype=float32, requires_grad=True)"
    assert repr(cp.zeros((0, 3))) == "Tensor([], shape=(0, 3), dtype=float32)"


# Properties -----------------------------------------------------------------------------------------------------------

shapes = st.lists(st.integers(0, 3), min_size=0, max_size=4).map(tuple)


@given(shape=shapes, data=st.data())
def test_any_reduction_of_any_shape(shape: tuple[int, ...], data: Any) -> None:
    axes = tuple(data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True))) if shape else ()
    keepdims = data.draw(st.booleans())
    x = np.random.default_rng(len(shape)).standard_normal(shape)
    np.testing.assert_allclose(cp.sum(x, axes, keepdims=keepdims).numpy(), x.sum(axes, keepdims=keepdims), rtol=1e-9)
    gradient = cp.grad(lambda x: (cp.mean(x, axes, keepdims=keepdims) * 2.0).sum())(x)
    count = int(np.prod([shape[axis] for axis in axes]))
    np.testing.assert_allclose(gradient.numpy(), np.full(shape, 2.0 / max(count, 1)))


@pytest.mark.parametrize(
    "wrong",
    [lambda x: x.sum(axis="rows"), lambda x: x.sum(axis=0.5), lambda x: x.reshape(6.0), lambda x: x.reshape("6")],
)
def test_axes_and_shapes_that_are_no_whole_numbers(wrong: Any) -> None:
    with pytest.raises(cp.errors.DTypeError, match=r"sum|reshape") as caught:
        wrong(cp.zeros((2, 3)))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cp.zeros((2.5, 3)), r"shape=\(2\.5, 3\) are no whole numbers"),
        (lambda: cp.zeros("ab"), "shape='ab'"),
        (lambda: cp.full((2, 3), [1.0, 2.0]), "full: "),
        (lambda: cp.full((), [1.0, 2.0]), "full: a value of shape"),
        (lambda: cp.arange("a"), "arange: stop='a'"),
        (lambda: cp.arange(float("nan")), "arange: stop=nan"),
        (lambda: cp.linspace(0.0, 1.0, 2.5), "linspace: num=2.5"),
        (lambda: cp.linspace(None, 1.0, 2), "linspace: start=None"),
        (lambda: cp.broadcast_to(cp.zeros(2), None), "broadcast_to: shape=None"),
        (lambda: cp.concat(3.0), "concat: 3.0 are no tensors"),
        (lambda: cp.stack(None), "stack: None are no tensors"),
        (lambda: cp.permute_dims(cp.zeros((2, 3)), None), "permute_dims: axes=None"),
        (lambda: cp.flatten(cp.zeros((2, 3)), 5), "flatten: axis 5"),
        (lambda: cp.flatten(cp.zeros((2, 3)), "a"), "flatten: 'a' is no axis"),
        (lambda: cp.split(cp.zeros(4), 0), "split: axis 0 of shape .* cannot be cut into 0"),
        (lambda: cp.split(cp.zeros(4), [5, -1]), r"cannot be cut into \[5, -1\]"),
        (lambda: cp.split(cp.zeros(4), "ab"), "sections='ab'"),
        (lambda: cp.var(cp.zeros(4), correction="a"), "var: correction='a'"),
        (lambda: cp.asarray([1.0], dtype=cp.zeros(2)), "is not a dtype"),
    ],
)
def test_arguments_that_make_no_sense(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(cp.ClearpropError, match=words) as caught:
        call()
    assert "\nTry: " in str(caught.value)


def test_a_single_number_is_flattened_to_a_vector() -> None:
    assert cp.flatten(3.0).shape == (1,)
    assert cp.flatten(cp.zeros((2, 3, 4)), -2).shape == (2, 12)

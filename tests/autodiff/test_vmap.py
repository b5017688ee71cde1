"""vmap: batches against loops, axes in and out, nesting, and what cannot be batched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop.tensor import Tensor

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> Tensor:
    return cp.tensor(RANDOM.standard_normal(shape))


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-12, atol=1e-13)


XS, W = normal(5, 3), normal(3)


def loss(w: Any, x: Any) -> Any:
    return cp.tanh(w * x).sum() * x[0]


# Axes -----------------------------------------------------------------------------------------------------------------


def test_a_function_of_one_example() -> None:
    close(cp.vmap(lambda x: x @ W)(XS), XS.numpy() @ W.numpy())


def test_inside_the_function_there_is_one_example() -> None:
    shapes = []

    def f(x: Any) -> Any:
        shapes.append((x.shape, x.ndim, x.size, len(x), x.dtype))
        return x

    cp.vmap(f)(XS)
    assert shapes == [((3,), 1, 3, 3, cp.float64)]


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_in_axes_and_out_axes(axis: int) -> None:
    x = normal(2, 3, 4)
    moved = np.moveaxis(x.numpy(), axis, 0)
    close(cp.vmap(lambda x: x * 2.0, in_axes=axis)(x), moved * 2.0)
    close(cp.vmap(lambda x: x * 2.0, in_axes=axis, out_axes=axis)(x), x.numpy() * 2.0)
    close(cp.vmap(lambda x: x.sum(), in_axes=axis)(x), moved.sum((1, 2)))


def test_none_for_what_all_examples_share() -> None:
    close(cp.vmap(lambda w, x: w * x, in_axes=(None, 0))(W, XS), W.numpy() * XS.numpy())
    close(cp.vmap(lambda w, x: w * x, in_axes=[0, None])(XS, W), W.numpy() * XS.numpy())


def test_arguments_that_are_not_mapped_stay_what_they_are() -> None:
    def f(x: Any, axis: int, name: str) -> Any:
        assert (type(axis), name) == (int, "mean")
        return x.mean(axis)

    close(cp.vmap(f, in_axes=(0, None, None))(normal(2, 3, 4), 1, "mean").shape, (2, 3))
    half = cp.ones(3, dtype=cp.float16)
    assert cp.vmap(lambda x, n: x * n, in_axes=(0, None))(half, 2.0).dtype is cp.float16


def test_nested_arguments_and_results() -> None:
    batch = {"x": XS, "y": [normal(5), (normal(5),)]}

    def f(batch: Any) -> Any:
        return {"s": batch["x"].sum() + batch["y"][0], "t": (batch["y"][1][0],)}

    found = cp.vmap(f)(batch)
    close(found["s"], XS.numpy().sum(1) + batch["y"][0].numpy())
    close(found["t"][0], batch["y"][1][0])


def test_axes_nested_like_the_arguments() -> None:
    parameters = {"w": W, "x": XS}
    close(cp.vmap(lambda p: p["w"] * p["x"], in_axes=({"w": None, "x": 0},))(parameters), W.numpy() * XS.numpy())
    a, b = cp.vmap(lambda x: (x, {"sum": x.sum()}), out_axes=(1, {"sum": 0}))(XS)
    assert (a.shape, b["sum"].shape) == ((3, 5), (5,))


def test_results_that_do_not_depend_on_the_example() -> None:
    close(cp.vmap(lambda x: W)(XS), np.stack([W.numpy()] * 5))
    close(cp.vmap(lambda x: 3.0)(XS), np.full(5, 3.0))
    close(cp.vmap(lambda x: W, out_axes=None)(XS), W)


def test_keyword_arguments_are_shared() -> None:
    close(cp.vmap(lambda x, w: x * w)(XS, w=W), XS.numpy() * W.numpy())


def test_empty_batch() -> None:
    assert cp.vmap(lambda x: (x * x).sum())(cp.zeros((0, 3))).shape == (0,)
    assert cp.vmap(cp.grad(loss), in_axes=(None, 0))(W, cp.zeros((0, 3), dtype=cp.float64)).shape == (0, 3)


# Everything that a user may call inside -------------------------------------------------------------------------------

SQUARE = normal(5, 3, 3)
INDEX = cp.tensor(RANDOM.integers(0, 3, (5, 2)))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x[0, ::-1] + x[-1] + x[..., 1] + x[None, 0][0],
        lambda x: x[[0, 2], 1:] @ x[1:, [0, 1]],
        lambda x: x.at[0].set(x[1]).at[:, 1].add(5.0),
        lambda x: cp.where(x > 0.0, x, -2.0 * x),
        lambda x: cp.concat([x, cp.ones((1, 3), dtype=cp.float64)]),
        lambda x: cp.stack([x, x.T], axis=1),
        lambda x: cp.concat(cp.split(x, [1, 2], axis=1), axis=0 if False else 1),
        lambda x: cp.pad(cp.flip(x, 1), [(0, 1), (2, 0)]),
        lambda x: x.mean(axis=0, keepdims=True) + x.max(axis=1, keepdims=True) - x.min(),
        lambda x: cp.logsumexp(x, axis=-1) + cp.prod(x, axis=0) + cp.cumulative_sum(x, axis=1)[0],
        lambda x: x @ cp.ones(3, dtype=cp.float64) + cp.ones(3, dtype=cp.float64) @ x,
        lambda x: x.reshape(9)[3:] * cp.broadcast_to(x[0, 0], (6,)),
        lambda x: cp.take_along_axis(x, cp.argmax(x, axis=1, keepdims=True), axis=1),
        lambda x: cp.clip(x, -0.5, 0.5) // 0.3 + x % 0.7 + abs(x) ** 1.5 + cp.atan2(x, 2.0) + cp.maximum(x, x.T),
        lambda x: cp.permute_dims(cp.expand_dims(x, 1), (2, 0, 1)).squeeze(2),
        lambda x: cp.astype(cp.any(x > 0.5, axis=0), cp.float64) * x.astype(cp.float32).astype(cp.float64),
        lambda x: cp.erf(x) + cp.sqrt(abs(x)) + cp.logaddexp(x, 0.0) + cp.sign(x) + cp.floor(x),
    ],
)
def test_against_a_loop(f: Any) -> None:
    close(cp.vmap(f)(SQUARE), np.stack([f(x).numpy() for x in SQUARE]))
    scalar: Any = lambda x: cp.sin(f(x)).sum()  # noqa: E731
    close(cp.vmap(cp.grad(scalar))(SQUARE), np.stack([cp.grad(scalar)(x).numpy() for x in SQUARE]))


def test_batched_indices() -> None:
    close(
        cp.vmap(lambda x, i: x[i])(XS, INDEX), np.stack([x[i] for x, i in zip(XS.numpy(), INDEX.numpy(), strict=True)])
    )
    table = normal(3, 4)
    close(cp.vmap(lambda i: table[i])(INDEX), table.numpy()[INDEX.numpy()])
    gradient = cp.grad(lambda t: cp.sin(cp.vmap(lambda i: t[i])(INDEX)).sum())(table)
    close(gradient, cp.grad(lambda t: cp.sin(t[INDEX]).sum())(table))


# Composed -------------------------------------------------------------------------------------------------------------


def test_gradients_of_each_example() -> None:
    found = cp.vmap(cp.grad(loss), in_axes=(None, 0))(W, XS)
    close(found, np.stack([cp.grad(loss)(W, x).numpy() for x in XS]))


def test_gradient_of_a_batch() -> None:
    found = cp.grad(lambda w: cp.vmap(loss, in_axes=(None, 0))(w, XS).sum())(W)
    close(found, cp.vmap(cp.grad(loss), in_axes=(None, 0))(W, XS).numpy().sum(0))


def test_vmap_of_vmap() -> None:
    a, b = normal(2), normal(3)
    table = cp.vmap(cp.vmap(lambda a, b: a * b, in_axes=(None, 0)), in_axes=(0, None))
    close(table(a, b), np.outer(a.numpy(), b.numpy()))
    turned = cp.vmap(cp.vmap(lambda a, b: a * b, in_axes=(None, 0)), in_axes=(0, None), out_axes=1)
    close(turned(a, b), np.outer(a.numpy(), b.numpy()).T)
    x, y = normal(2, 4, 3), normal(3, 4)
    found = cp.vmap(cp.vmap(lambda x, y: x @ y, in_axes=(0, None)), in_axes=(0, None), out_axes=-1)(x, y)
    close(found, np.einsum("bik,kj->ijb", x.numpy(), y.numpy()))


def test_closures_over_the_outer_example() -> None:
    a, b = normal(2, 3), normal(4, 3)
    found = cp.vmap(lambda x: cp.vmap(lambda y: (x * y).sum())(b))(a)
    close(found, a.numpy() @ b.numpy().T)
    gradient = cp.vmap(cp.grad(lambda x: cp.sin(cp.vmap(lambda y: (x * y).sum())(b)).sum()))(a)
    close(gradient, np.cos(a.numpy() @ b.numpy().T) @ b.numpy())


@pytest.mark.parametrize(
    ("transform", "shape"),
    [(cp.hessian, (5, 3, 3)), (lambda f: cp.jacobian(cp.grad(f), mode="reverse"), (5, 3, 3)), (cp.grad, (5, 3))],
)
def test_derivatives_of_each_example(transform: Any, shape: tuple[int, ...]) -> None:
    f: Any = lambda x: (cp.tanh(x) * W).sum() ** 2.0  # noqa: E731
    found = cp.vmap(transform(f))(XS)
    assert found.shape == shape
    close(found, np.stack([transform(f)(x).numpy() for x in XS]))


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobian_of_each_example(mode: Any) -> None:
    f: Any = lambda x: cp.sin(x)[:2] * x.sum()  # noqa: E731
    found = cp.vmap(cp.jacobian(f, mode=mode, layout="denominator"))(XS)
    close(found, np.stack([cp.jacobian(f)(x).numpy().T for x in XS]))


def test_pullbacks_and_pushes_of_batches() -> None:
    _, pullback = cp.vjp(lambda x: cp.sin(x) * x.sum(), W)
    close(cp.vmap(pullback)(cp.eye(3, dtype=cp.float64))[0], cp.jacobian(lambda x: cp.sin(x) * x.sum())(W))
    pushed = cp.vmap(lambda v: cp.jvp(cp.sin, (W,), (v,))[1])(XS)
    close(pushed, np.cos(W.numpy()) * XS.numpy())


def test_parameters_inside() -> None:
    w = cp.Parameter(W.numpy())
    cp.vmap(lambda x: (w * x).sum())(XS).sum().backward()
    assert w.grad is not None
    close(w.grad, XS.numpy().sum(0))


def test_random_numbers_differ_between_examples_and_repeat_with_the_seed() -> None:
    def noisy(x: Any) -> Any:
        return x + cp.random.normal((2,))

    cp.random.seed(5)
    first = cp.vmap(noisy)(cp.zeros(4)).numpy()
    cp.random.seed(5)
    np.testing.assert_array_equal(first, cp.vmap(noisy)(cp.zeros(4)).numpy())
    assert len(np.unique(first)) == 8


# What cannot be -------------------------------------------------------------------------------------------------------


def test_batch_sizes_that_differ() -> None:
    with pytest.raises(cp.ShapeError, match=r"batch sizes \[3, 5\] of the arguments"):
        cp.vmap(lambda x, y: x)(XS, W)


def test_no_batch_at_all() -> None:
    with pytest.raises(cp.ShapeError, match=r"batch sizes \[\]"):
        cp.vmap(lambda x: x, in_axes=None)(XS)


@pytest.mark.parametrize("axis", [2, -3])
def test_axes_that_do_not_exist(axis: int) -> None:
    with pytest.raises(cp.ShapeError, match=rf"in_axes says axis {axis} of a tensor of shape \(5, 3\)"):
        cp.vmap(lambda x: x, in_axes=axis)(XS)
    with pytest.raises(cp.ShapeError, match=rf"out_axes says axis {axis} of results of shape \(5, 3\)"):
        cp.vmap(lambda x: x, out_axes=axis)(XS)


@pytest.mark.parametrize("in_axes", [(0, 0), (0, 0, 0, 0), ({"a": 0},), ((0, 1),)])
def test_axes_that_are_nested_otherwise(in_axes: Any) -> None:
    with pytest.raises(cp.ShapeError, match="in_axes"):
        cp.vmap(lambda x, y, z: x, in_axes=in_axes)(XS, XS, XS)


def test_a_batched_result_without_an_axis() -> None:
    with pytest.raises(cp.ShapeError, match="out_axes=None for a result that differs between examples"):
        cp.vmap(lambda x: x, out_axes=None)(XS)


@pytest.mark.parametrize("look", [bool, float, lambda x: x.item(), lambda x: x.numpy(), np.asarray])
def test_looking_at_a_value(look: Any) -> None:
    with pytest.raises(cp.GradientError, match="stands for a whole batch and has no single value") as caught:
        cp.vmap(lambda x: look(x.sum()))(XS)
    assert "cp.where" in caught.value.hint


def test_backward_inside() -> None:
    with pytest.raises(cp.GradientError, match="no meaning inside vmap") as caught:
        cp.vmap(lambda x: x.sum().backward())(XS)
    assert "cp.vmap(cp.grad(loss))" in caught.value.hint


def test_errors_inside_name_the_shapes_of_the_primitive_and_the_line() -> None:
    with pytest.raises(cp.ShapeError, match="do not broadcast") as caught:
        cp.vmap(lambda x: x + cp.ones(7))(XS)
    assert "cp.ones(7)" in caught.value.where


def test_after_an_error_nothing_is_left_running() -> None:
    with pytest.raises(ZeroDivisionError):
        cp.vmap(lambda x: 1 / 0)(XS)
    assert cp.random.uniform(3).shape == (3,)

"""A scan as a real loop: the same as step by step, whatever is carried, read and returned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.compiler.native.test_native import same
from tests.core.test_trace import traced

import clearprop as cp
from clearprop.compiler.native.kernels import Fusion
from clearprop.compiler.native.loop import loop_writer
from clearprop.compiler.native.lowerings import is_shared, writer
from clearprop.compiler.native.machine import host
from clearprop.compiler.simplify import simplify

XS = np.random.default_rng(0).standard_normal((7, 2, 3))
H = np.random.default_rng(1).standard_normal((2, 3))
SCALE = np.random.default_rng(2).standard_normal(3)


def smooth(x: Any) -> Any:
    """Bounded, and made of what is native from the first day."""
    return x / cp.sqrt(x * x + 1.0)


def state_is_output(h: Any, x: Any) -> Any:
    h = smooth(h * SCALE + x)
    return h, h


def state_and_others(h: Any, x: Any) -> Any:
    following = smooth(h + x)
    return following, (following * 2.0, h, x[0], following.sum(), following.mT)


def nothing_returned(h: Any, x: Any) -> Any:
    return smooth(h - x), None


def several_carried(carry: Any, x: Any) -> Any:
    a, b, n = carry
    return (b, smooth(a + x), n + 1), (a.sum() * n, n)  # parts change places


def turned(h: Any, x: Any) -> Any:
    return cp.flip(h, axis=1) + 0.5 * x, h[:, ::-1]


def unchanged(carry: Any, x: Any) -> Any:
    h, same = carry
    return (smooth(h + same * x), same), x


def constant_after(h: Any, x: Any) -> Any:
    return cp.asarray(H), h + x


SINGLE = [state_is_output, state_and_others, nothing_returned, turned, constant_after]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("step", SINGLE)
def test_values(step: Any, reverse: bool) -> None:
    compiled = same(lambda h, xs: flat(cp.scan(step, h, xs, reverse=reverse)), H, XS)
    assert compiled.by_numpy() == []


def flat(tree: Any) -> list[Any]:
    if tree is None:
        return []
    return [leaf for part in tree for leaf in flat(part)] if isinstance(tree, (tuple, list)) else [tree]


@pytest.mark.parametrize("step", [several_carried, unchanged])
def test_several_parts_are_carried(step: Any) -> None:
    first = (lambda h: (h, h * 2.0, cp.asarray(0))) if step is several_carried else (lambda h: (h, h + 1.0))
    compiled = same(lambda h, xs: flat(cp.scan(step, first(h), xs)), H, XS)
    assert compiled.by_numpy() == []


@pytest.mark.parametrize("step", SINGLE)
def test_gradients(step: Any) -> None:
    def loss(h: Any, xs: Any) -> Any:
        return sum(((part * part).sum() for part in flat(cp.scan(step, h, xs))), cp.tensor(np.float64(0.0)))

    same(lambda h, xs: list(cp.grad(loss, (0, 1))(h, xs)), H, XS, rtol=1e-9)


def test_operands_that_lie_otherwise() -> None:
    """Steps along the last axis, a state that is a transpose, constants that are turned."""
    factor = np.random.default_rng(3).standard_normal((3, 2))

    def f(h: Any, xs: Any, factor: Any) -> Any:
        return flat(cp.scan(lambda h, x: (smooth(h * factor.mT + x), h), h.mT, cp.permute_dims(xs, (2, 0, 1))))

    compiled = same(f, H.T.copy(), np.ascontiguousarray(np.moveaxis(XS, 0, 2)), factor)
    assert compiled.by_numpy() == []


def test_a_single_step_and_many() -> None:
    for steps in (1, 2, 1000):
        xs = np.random.default_rng(4).standard_normal((steps, 5))
        same(lambda xs: flat(cp.scan(lambda s, x: (s * 0.9 + x, s.sum()), cp.zeros(5, dtype=cp.float64), xs)), xs)


def test_loops_in_loops() -> None:
    def f(h: Any, xs: Any) -> Any:
        inner = lambda h, row: (smooth(h + row), h.sum())  # noqa: E731
        return flat(cp.scan(lambda h, x: cp.scan(inner, h, x), h, xs))

    compiled = same(f, SCALE, XS)
    assert compiled.by_numpy() == []


def test_equal_loops_one_behind_the_other() -> None:
    """Their code is the same: both find it."""

    def f(x: Any, w: Any) -> Any:
        for _ in range(3):
            x, _ = cp.scan(lambda c, i: (cp.tanh(c @ w), c), x, cp.arange(4))
        return x

    random = np.random.default_rng(0)
    x, w = (cp.asarray(random.standard_normal(shape).astype(np.float32)) for shape in ((2, 3), (3, 3)))
    np.testing.assert_allclose(cp.compile(f)(x, w).numpy(), f(x, w).numpy(), rtol=1e-5, atol=1e-6)


def test_code_does_not_grow_with_the_number_of_steps() -> None:
    def f(h: Any, xs: Any) -> Any:
        return flat(cp.scan(state_is_output, h, xs))

    sizes = [len(same(f, H, np.ones((steps, 2, 3))).text()) for steps in (10, 10_000)]
    assert abs(sizes[0] - sizes[1]) < 100


def test_what_threads_do_together_they_do_whole() -> None:
    """The first thread copied and added alone in every step of a GRU, while the others waited: a fifth of the time."""
    layer = cp.nn.GRU(256, 256)
    program = simplify(traced(lambda x: layer(x)[0], np.ones((8, 32, 256), np.float32)).program)
    fusion, machine = Fusion(program), replace(host(), threads=2)
    (loop,) = [kernel for kernel in fusion.kernels if kernel.node.name == "scan"]
    made = loop_writer(fusion, loop, machine, writer)
    assert made is not None
    assert len(made.writers) > 2
    assert all(map(is_shared, made.writers))


def test_only_what_is_needed_is_written() -> None:
    compiled = same(lambda h, xs: cp.scan(state_and_others, h, xs)[0], H, XS)
    (segment,) = compiled.steps
    (loop,) = [kernel for kernel in segment.kernels if kernel.space is None]
    assert len(loop.stored) == 1

"""Programs of many kernels: equal layers are the same code, and nothing grows faster than the number of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.compiler.native.test_native import native, same

import clearprop as cp
from clearprop.compiler.native.kernels import Fusion, Kernel

X = np.linspace(-1, 1, 24).reshape(4, 6)


def layers(count: int) -> Any:
    """A network of equal layers with weights of its own for each, forward and backward."""

    def f(x: Any, *weights: Any) -> Any:
        def loss(*weights: Any) -> Any:
            h = x
            for w in weights:
                h = h + cp.tanh(h @ w)
            return cp.sum(h**2)

        return list(cp.grad(loss, argnums=tuple(range(count)))(*weights))

    return f


def weights(count: int) -> list[Any]:
    return [np.random.default_rng(i).standard_normal((6, 6)) / 6 for i in range(count)]


def test_equal_layers_are_the_same_code() -> None:
    few, many = (same(layers(count), X, *weights(count)) for count in (6, 30))
    assert len(many.fusion.kernels) >= 4 * len(few.fusion.kernels)
    assert many.functions == few.functions


def test_fusion_looks_at_each_kernel_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    search = Kernel.may_need

    def counted(self: Kernel, *args: Any, **settings: Any) -> bool:
        nonlocal looked
        looked += 1
        return search(self, *args, **settings)

    monkeypatch.setattr(Kernel, "may_need", counted)
    counts = []
    for count in (20, 40, 80):
        looked = 0
        Fusion(native(layers(count), X, *weights(count)).program)
        counts.append(looked)
    assert counts[2] - counts[1] <= 2.2 * (counts[1] - counts[0])


def test_a_long_chain_is_cut() -> None:
    """The time that LLVM takes grows faster than the length of a function."""

    def f(x: Any) -> Any:
        for _ in range(150):
            x = cp.abs(x - 0.5) * 1.5
        return [x]

    compiled = same(f, X)
    assert len(compiled.fusion.kernels) > 1
    assert max(len(kernel.nodes) for kernel in compiled.fusion.kernels) <= 128


def test_many_that_read_the_same_are_joined_in_parts() -> None:
    """However many kernels read one array, none becomes too large, and all are found."""

    def f(x: Any) -> Any:
        return [cp.sum(x * float(i), axis=1) for i in range(2, 200)]

    compiled = same(f, X)
    assert max(len(kernel.nodes) for kernel in compiled.fusion.kernels) <= 128
    assert len(compiled.fusion.kernels) < 20

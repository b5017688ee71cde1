"""What follows a matrix product element by element is computed with it, in one kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.compiler.native.protected import check
from tests.compiler.native.test_native import native

import clearprop as cp

RANDOM = np.random.default_rng(0)


def arrays(*shapes: tuple[int, ...], dtype: str = "float32") -> list[Any]:
    return [RANDOM.standard_normal(shape).astype(dtype) for shape in shapes]


def inputs(shapes: list[tuple[int, ...]], dtype: str = "float32", *, masked: bool = False) -> list[Any]:
    """Of a case; the last of them is a mask."""
    found = arrays(*shapes, dtype=dtype)
    return [*found[:-1], found[-1] > 0] if masked else found


def relu(x: Any) -> Any:
    return cp.where(x > 0, x, 0 * x)


FOLLOWED = {
    "bias": (lambda x, w, b: (x @ w + b,), [(5, 170), (170, 33), (33,)]),
    "bias and activation": (lambda x, w, b: (cp.tanh(x @ w + b),), [(13, 164), (164, 40), (40,)]),
    "booleans": (lambda x, w, b: (x @ w + b > 0, relu(x @ w + b)), [(40, 160), (160, 24), (24,)]),
    "nothing but booleans": (lambda x, w, b: (x @ w > b,), [(40, 160), (160, 24), (24,)]),
    "a small mask": (lambda x, w, r: (cp.where(r, x @ w, 0.0),), [(6, 200), (200, 48), (6, 48)]),
    "a transposed small mask": (lambda x, w, r: (cp.where(r.mT, x @ w, 0.0),), [(6, 200), (200, 48), (48, 6)]),
    "a column": (lambda x, w, c: (c * (x @ w),), [(6, 200), (200, 48), (6, 1)]),
    "a gradient": (lambda x, g, w: (-0.1 * (x.mT @ g),), [(164, 19), (164, 37), ()]),
    "several passes": (lambda x, g, r: (cp.where(r, x.mT @ g, -1.0),), [(1500, 19), (1500, 128), (19, 128)]),
    "words of examples": (lambda x, w, b: (cp.exp(x @ w + b),), [(3, 5, 160), (160, 35), (35,)]),
    "words with positions": (lambda x, w, p: (x @ w + p,), [(3, 5, 160), (160, 35), (5, 35)]),
    "a batch": (lambda x, y, m: (cp.sin(x @ y) * m,), [(2, 3, 5, 164), (2, 3, 164, 16), (5, 16)]),
    "a batch with one matrix": (lambda x, y, m: (x @ y + m,), [(2, 3, 5, 164), (164, 16), (3, 1, 1)]),
    "few rows": (lambda x, w, b: (relu(x @ w + b),), [(1, 300), (300, 50), (50,)]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FOLLOWED)
def test_one_kernel_with_the_same_values(name: str, dtype: str) -> None:
    f, shapes = FOLLOWED[name]
    values = inputs(shapes, dtype, masked="mask" in name or name == "several passes")
    compiled = check(f, *values, rtol=1e-4 if dtype == "float32" else 1e-12)
    products = [kernel for kernel in compiled.fusion.kernels if kernel.node.name == "matmul"]
    assert len(compiled.fusion.kernels) == len(products) == 1


APART = {
    "a sum of its rows": (lambda x, w, b: (cp.sum(x @ w + b, axis=0),), [(5, 164), (164, 32), (32,)]),
    "the product turned": (lambda x, w, b: ((x @ w).mT + b,), [(5, 164), (164, 32), (5,)]),
    "its neighbours": (lambda x, w, b: ((x @ w)[:, 1:] * b,), [(5, 164), (164, 32), (31,)]),
    "what needs it by way of others": (
        lambda x, w, b: (x @ w * cp.sum(x @ w, axis=0) + b,), [(5, 164), (164, 32), (32,)]
    ),
    "several arrays": (lambda x, w, a, b: (cp.sin(x @ w * a * b),), [(50, 164), (164, 32), (50, 32), (50, 32)]),
    "few columns": (lambda x, w, b: (x @ w + b,), [(50, 164), (164, 3), (3,)]),
    "a residual": (lambda x, w, r: (r + x @ w,), [(60, 200), (200, 48), (60, 48)]),
    "a product that is needed too": (lambda x, w, b: (x @ w, relu(x @ w + b)), [(100, 164), (164, 32), (32,)]),
    "a small depth": (lambda x, w, b: (cp.tanh(2.0 * (x @ w) + b),), [(50, 8), (8, 33), (33,)]),
    "a mask": (lambda x, w, m: (cp.where(m, x @ w, 0.0),), [(60, 200), (200, 148), (60, 148)]),
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_others_have_a_kernel_of_their_own(name: str) -> None:
    f, shapes = APART[name]
    compiled = check(f, *inputs(shapes, masked=name == "a mask"), rtol=1e-4)
    assert all(len(kernel.nodes) == 1 for kernel in compiled.fusion.kernels if kernel.node.name == "matmul")


def test_layers_have_no_pass_of_their_own_for_biases() -> None:
    def f(v: Any, b: Any, w: Any, c: Any, x: Any) -> Any:
        return cp.tanh(x @ v + b) @ w + c

    compiled = native(f, *arrays((164, 48), (48,), (48, 40), (40,), (160, 164)))
    names = [[node.name for node in kernel.nodes] for kernel in compiled.fusion.kernels]
    assert names == [["matmul", "add", "tanh"], ["matmul", "add"]]

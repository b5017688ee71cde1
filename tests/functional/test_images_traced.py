"""Functions of images, and their gradients, are traced into programs that compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np

import clearprop as cp
from clearprop import functional
from clearprop.primitive import Spec
from clearprop.trace import Tracer, trace

X = np.random.default_rng(0).uniform(-1.0, 1.0, (2, 2, 6, 5))
W = np.cos(np.arange(36.0)).reshape(2, 2, 3, 3)


def network(x: Any, w: Any) -> Any:
    """Every kind of function of images, one after the other."""
    y = functional.conv2d(x, w, stride=2, padding=1)
    y = functional.conv_transpose2d(y, w, stride=2, padding=1)
    y = functional.pad(functional.pad(y, (1, 1), "reflect"), (0, 0, 1, 0), value=2.0)
    y = functional.interpolate(functional.max_pool2d(y, 2, 1), 7, mode="bilinear")
    y = functional.avg_pool2d(y, 3, 2, 1, count_include_pad=False)
    y = functional.fold(functional.unfold(y, 2), 4, 2)
    return functional.adaptive_max_pool2d(functional.adaptive_avg_pool2d(y, 3), 2)


def test_program_computes_the_same() -> None:
    def gradients(x: Any, w: Any) -> Any:
        return cp.grad(lambda x, w: cp.sin(network(x, w)).sum(), argnums=(0, 1))(x, w)

    specs = [Spec(X.shape, np.dtype(np.float64)), Spec(W.shape, np.dtype(np.float64))]
    program = trace(lambda x, w: [network(x, w), *gradients(x, w)], specs, Tracer())
    expected = [network(X, W), *gradients(cp.tensor(X), cp.tensor(W))]
    for found, value in zip(program.run([X, W]), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-13, atol=1e-15)

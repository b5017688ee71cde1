"""Kernels that are alike have one writer; what only looks alike has its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.compiler.native.test_many import X, layers, weights
from tests.compiler.native.test_native import native, same

import clearprop as cp
from clearprop.compiler.native import alike
from clearprop.compiler.native.machine import host

SQUARE = np.linspace(-2, 2, 36).reshape(6, 6)


def writers(f: Any, *arrays: Any) -> int:
    """How many the kernels of a function have, which computes what it should."""
    compiled = same(f, *arrays)
    return len({id(made.writer) for made in alike.coded(compiled.fusion, host()).values()})


def test_equal_layers_have_the_same_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so the time to make them does not grow with their number."""
    made = 0
    make = alike.writer

    def counted(*args: Any) -> Any:
        nonlocal made
        made += 1
        return make(*args)

    monkeypatch.setattr(alike, "writer", counted)
    counts = []
    for count in (6, 30):
        made = 0
        native(layers(count), X, *weights(count))
        counts.append(made)
    assert counts[0] == counts[1]


def test_each_kernel_takes_its_own_buffers() -> None:
    compiled = native(layers(6), X, *weights(6))
    for kernel, made in alike.coded(compiled.fusion, host()).items():
        assert set(kernel.stored) <= set(made.buffers)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x, y: x @ y, lambda x, y: x @ y.mT),  # read in another order
        (lambda x, y: x @ y, lambda x, y: x @ x),  # the same buffer twice
        (lambda x, y: cp.exp(x) - y, lambda x, y: y - cp.exp(x)),
        (lambda x, y: cp.exp(x) + y, lambda x, y: cp.exp(x) + cp.flip(y, axis=0)),
        (lambda x, y: cp.sum(cp.exp(x), axis=0), lambda x, y: cp.sum(cp.exp(x), axis=1)),
        (lambda x, y: cp.exp(x[:3]), lambda x, y: cp.exp(x[3:])),  # from another place on
        (lambda x, y: cp.clip(x, 0.0, None), lambda x, y: cp.clip(x, -0.0, None)),
        (lambda x, y: cp.astype(x, cp.int32), lambda x, y: cp.astype(x, cp.int64)),
    ],
)
def test_only_what_is_computed_and_read_in_the_same_way_is_alike(one: Any, other: Any) -> None:
    arrays = [SQUARE * (0.5 + 0.1 * i) + i for i in range(4)]
    assert writers(lambda x, y, u, v: [one(x, y), one(u, v)], *arrays) == 1
    assert writers(lambda x, y, u, v: [one(x, y), other(u, v)], *arrays) == 2


def test_kernels_that_are_alike_write_over_what_they_read() -> None:
    """Each update of equal layers in the place of its own weight."""
    parameters = [cp.Parameter(np.full((8, 8), 0.1 * i)) for i in range(5)]
    optimizer = cp.optim.SGD(parameters, lr=0.1, momentum=0.9)

    def train(x: Any) -> Any:
        optimizer.zero_grad()
        h = x
        for parameter in parameters:
            h = cp.tanh(h @ parameter)
        loss = cp.sum(h * h)
        loss.backward()
        optimizer.step()
        return loss

    step = cp.compile(train)
    x = cp.asarray(np.linspace(-1, 1, 16).reshape(2, 8))
    step(x)
    (entry,) = (entry for entries in step._entries.values() for entry in entries)
    assert entry.runner is not None
    assert set(parameters) <= set(entry._updated)

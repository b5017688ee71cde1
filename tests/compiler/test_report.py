"""What compiled functions tell of themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional, nn, optim


def training_step() -> Any:
    cp.random.seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return cp.compile(step)


BATCH = cp.asarray(np.ones((5, 8), np.float32)), cp.asarray(np.array([0, 1, 2, 3, 0]))


def test_the_report_names_what_was_fused_and_what_it_took() -> None:
    step = training_step()
    assert step.report() == "step: executor native, traced 0 times"
    step(*BATCH)
    report = step.report()
    assert "program of float32[5, 8], int64[5]" in report
    assert "matmul" in report
    assert "tanh" in report
    for stage in ("trace", "simplify", "native", "write", "compile", "load"):
        assert stage in report
    assert "computed by NumPy" not in report


def test_what_numpy_computes_and_its_share() -> None:
    f = cp.compile(lambda x: cp.sum(cp.sort(x * 2.0)))
    f(cp.ones(100))
    assert "computed by NumPy: sort; " in f.report()
    assert "% of the time of all runs" in f.report()


def test_both_passes_of_a_network() -> None:
    f = cp.compile(nn.Linear(3, 2))
    f(cp.ones((4, 3)))
    assert "forward pass" in f.report()
    assert "backward pass" in f.report()


def test_flops_and_bytes_are_those_of_the_operations() -> None:
    f = cp.compile(lambda x, y: cp.exp(x @ y))
    x = cp.ones((32, 20))
    f(x, x.mT)
    (kernel,) = f.profile(x, x.mT, calls=2).kernels
    assert kernel.operations == ("matmul", "exp")
    assert kernel.flops >= 2 * 32 * 20 * 32
    assert kernel.nbytes == 4 * (640 + 640 + 1024)
    assert kernel.seconds is not None
    assert kernel.seconds > 0
    assert "test_report.py" in kernel.where


def test_profiling_a_step_trains_as_ever() -> None:
    one, other = training_step(), training_step()
    for _ in range(4):
        one(*BATCH)
    other.profile(*BATCH, calls=3)  # after a first call
    np.testing.assert_allclose(one(*BATCH).item(), other(*BATCH).item(), rtol=1e-6)


def test_profiling_what_is_not_native() -> None:
    with pytest.raises(cp.UsageError, match="reference"):
        cp.compile(lambda x: x, executor="reference").profile(cp.ones(2))
    with pytest.raises(cp.UsageError, match="gradient"):
        cp.compile(nn.Linear(3, 2)).profile(cp.ones((4, 3)))
    with pytest.raises(cp.UsageError, match="calls"):
        cp.compile(lambda x: x).profile(cp.ones(2), calls=0)


def test_code_can_be_read() -> None:
    f = cp.compile(lambda x: cp.sum(cp.sin(x) * x))
    assert f.code() == ""
    f(cp.ones(100))
    assert "define" in f.code()
    assert "fmul" in f.code()
    plain = cp.compile(lambda x: cp.sin(x), executor="reference")
    plain(cp.ones(3))
    assert "sin(" in plain.code()


def test_too_little_memory_for_the_values_in_between() -> None:
    def f(x: Any) -> Any:
        y = cp.tanh(cp.reshape(x, (-1, 1)) @ cp.reshape(x, (1, -1)))
        return cp.sum(y @ y)

    with pytest.raises(cp.OutOfMemoryError, match="bytes") as caught:
        cp.compile(f)(cp.ones(3_000_000))
    assert isinstance(caught.value, MemoryError)

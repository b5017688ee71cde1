"""Looking at programs kernel by kernel: guards around buffers, and times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.compiler.native.test_native import native

import clearprop as cp
from clearprop.compiler.native.code import Code, index
from clearprop.compiler.native.finite import Finite
from clearprop.compiler.native.inspection import GuardError, Guards, Timer
from clearprop.compiler.native.single import Array


@pytest.mark.parametrize("beyond", [-1, 5])
def test_code_that_writes_beyond_a_buffer_is_found_and_named(monkeypatch: pytest.MonkeyPatch, beyond: int) -> None:
    right = Finite.body

    def wrong(self: Finite, code: Code, operands: Sequence[Array], output: Array) -> None:
        right(self, code, operands, output)
        (x,) = operands
        place = code.at(output.pointer, x.dtype, index(beyond))
        code.store(code.load(x.pointer, x.dtype), place, x.dtype)

    monkeypatch.setattr(Finite, "body", wrong)
    monkeypatch.setattr(Finite, "settings", lambda self: ("beyond", beyond))  # other code has another name
    x = np.ones(5, np.float32)
    for inner in (False, True):  # a result, and a value in the arena

        def f(x: Any, inner: bool = inner) -> Any:
            y = cp.check_finite(x)
            return (cp.sort(y),) if inner else (y,)

        with pytest.raises(GuardError, match="finite") as caught:
            native(f, x, inspector=Guards())([x])
        assert "test_inspection.py" in str(caught.value)


def test_times_of_all_kernels() -> None:
    x, timer = np.ones((50, 50), np.float32), Timer()
    program = native(lambda x: (cp.sort(cp.tanh(x @ x)), cp.sum(x)), x, inspector=timer)
    program([x])
    timed = [(kernel, who) for kernel, who in program.kernels() if who != "NumPy"]
    assert {kernel for kernel, _ in timed} <= timer.seconds.keys()
    assert all(timer.seconds[kernel] > 0 for kernel, _ in timed)


def test_guards_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """They change nothing but that nothing is written over."""
    w = cp.Parameter(np.ones(2000, np.float32))

    @cp.compile
    def step(x: Any) -> Any:
        w.assign(w * x)
        return cp.sum(w)

    monkeypatch.setenv("CLEARPROP_GUARDS", "1")
    assert [step(cp.asarray(np.float32(2.0))).item() for _ in range(3)] == [4000.0, 8000.0, 16000.0]

"""Deep programs: equal layers are looked at once, and what is of no use any more is let go of."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop.compiler.collection import uncollected
from clearprop.graph import Node
from clearprop.heap import give_back
from clearprop.primitives import matmul


def trained(layers: int) -> Any:
    """A step of training of equal layers."""
    network = cp.nn.Sequential(*(module for _ in range(layers) for module in (cp.nn.Linear(4, 4), cp.nn.ReLU())))
    optimizer = cp.optim.SGD(network.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = cp.mean(network(x) ** 2)
        loss.backward()
        optimizer.step()
        return {"loss": loss, "layers": layers}

    return cp.compile(step)


def test_shapes_of_equal_layers_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = 0
    rule = type(matmul).shape

    def counted(*args: Any, **attributes: Any) -> Any:
        nonlocal found
        found += 1
        return rule(*args, **attributes)

    monkeypatch.setattr(type(matmul), "shape", counted)
    counts = []
    for layers in (3, 12):
        found = 0
        trained(layers)(cp.ones((2, 4)))
        counts.append(found)
    assert counts[0] == counts[1] > 0


def test_of_what_was_traced_the_program_alone_is_kept() -> None:
    """Although the function returns a loss with a history."""
    step, before = trained(30), nodes()
    result = step(cp.ones((2, 4)))
    assert result["layers"] == 30
    assert result["loss"].shape == ()
    (entry,) = (entry for entries in step._entries.values() for entry in entries)
    program = entry.whole.program
    kept = {*program.inputs, *program.constants, *program.order}
    assert [node for node in nodes() - before - kept if node is not result["loss"].node] == []


def nodes() -> set[Node]:
    gc.collect()
    return {one for one in gc.get_objects() if type(one) is Node}


def test_what_was_made_is_not_looked_through_for_garbage() -> None:
    kept = uncollected(lambda: [[i] for i in range(5000)])()
    assert gc.isenabled()
    assert len(kept) == 5000
    assert len(gc.get_objects(generation=0)) < 1000


def test_what_others_have_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        uncollected(list)()
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="GNU's C library only"
)
def test_memory_that_nobody_uses_is_given_back() -> None:
    def used() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    weights = [np.ones(2048) for _ in range(4000)]
    weights = weights[-1:]  # the last one lies at the end, and keeps all before it from being given back
    before = used()
    give_back()
    assert weights[0].sum() == 2048
    assert used() < before - (40 << 20)

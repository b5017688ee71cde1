"""The order of kernels, and where values lie: little memory, and nothing overwritten that somebody needs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from tests.compiler.native.test_native import EAGER_TO_SHARE, native
from tests.core.test_trace import traced

import clearprop as cp
from clearprop.compiler.native.arena import Lifetime, plan
from clearprop.compiler.native.machine import host
from clearprop.compiler.native.program import NativeProgram
from clearprop.compiler.native.schedule import Task, schedule
from clearprop.compiler.simplify import simplify


def peak(lives: Sequence[Lifetime]) -> int:
    """So many bytes are needed at one time."""
    times = {life.first for life in lives}
    return max(sum(-(-life.nbytes // 64) * 64 for life in lives if life.first <= t <= life.last) for t in times)


@pytest.mark.parametrize("count", [3, 40, 1500])
def test_no_two_buffers_that_are_needed_at_the_same_time_overlap(count: int) -> None:
    choose = random.Random(count)
    for _ in range(5 if count < 1000 else 1):
        starts = [choose.randrange(count) for _ in range(count)]
        lives = [Lifetime(choose.choice([0, 1, 64, 100, 4000]), t, t + choose.randrange(20)) for t in starts]
        arena = plan(lives)
        assert peak(lives) <= arena.nbytes <= 1.5 * peak(lives)
        placed = sorted(zip(arena.offsets, lives, strict=True))
        for i, (offset, life) in enumerate(placed):
            assert offset % 64 == 0
            for other, later in placed[i + 1 :]:
                if other >= offset + life.nbytes:
                    break
                assert not later.nbytes or life.last < later.first or later.last < life.first


def test_many_equal_layers_share_their_memory() -> None:
    """Layer by layer, each value is needed by the next one alone."""
    lives = [Lifetime(4096, t, t + 1) for t in range(5000)]
    assert plan(lives).nbytes == 2 * 4096


# Schedules ------------------------------------------------------------------------------------------------------------


def of_one_size(buffer: str) -> int:
    return 0 if buffer.startswith("w") else 8


def test_what_frees_memory_runs_at_once() -> None:
    """Gradients and updates of layers: each update follows its gradient."""
    backward = [Task([f"g{i}"], [f"g{i + 1}", f"of w{i}"]) for i in range(4)]
    backward.append(Task(["g4"], ["end"]))
    updates = [Task([f"of w{i}", f"w{i}"], [f"w{i}'"], replaces={f"w{i}'": f"w{i}"}) for i in range(4)]
    found = schedule([Task([], ["g0"]), *backward, *updates], of_one_size)
    assert found.order == [0, 1, 6, 2, 7, 3, 8, 4, 5, 9]
    assert found.replaced == {f"w{i}'": f"w{i}" for i in range(4)}


def test_an_update_waits_for_all_who_read_the_old_value() -> None:
    update = Task(["w"], ["w'"], replaces={"w'": "w"})
    found = schedule([update, Task(["w"], ["a"]), Task(["w", "a"], ["b"])], of_one_size)
    assert found.order == [1, 2, 0]
    assert found.replaced == {"w'": "w"}


def test_an_update_waits_for_all_that_may_fail() -> None:
    update = Task(["w"], ["w'"], replaces={"w'": "w"})
    found = schedule([update, Task(["i"], ["a"], may_fail=True), Task(["a"], ["b"], may_fail=True)], of_one_size)
    assert found.order == [1, 2, 0]


def test_an_update_that_others_wait_for_goes_elsewhere() -> None:
    """Who reads the old value needs the new one of another, and so in a circle; or may fail later."""
    tasks = [
        Task(["w1"], ["w1'"], replaces={"w1'": "w1"}),
        Task(["w2"], ["w2'"], replaces={"w2'": "w2"}),
        Task(["w1", "w2'"], ["a"]),
        Task(["w2", "w1'"], ["b"]),
    ]
    found = schedule(tasks, of_one_size)
    assert sorted(found.order) == [0, 1, 2, 3]
    assert len(found.replaced) == 1
    late = [Task(["w"], ["w'"], replaces={"w'": "w"}), Task(["w'"], ["a"], may_fail=True)]
    assert schedule(late, of_one_size) == ([0, 1], {})


def test_random_tasks_come_behind_what_they_need() -> None:
    for seed in range(50):
        choose = random.Random(seed)
        tasks, buffers = list[Task[str]](), [f"w{i}" for i in range(5)]
        for i in range(40):
            reads = choose.sample(buffers, choose.randrange(min(4, len(buffers))))
            old = [b for b in reads if b in [f"w{k}" for k in range(5)] and choose.random() < 0.3][:1]
            if any(old[0] in task.replaces.values() for task in tasks if old):
                old = []
            tasks.append(Task(reads, [f"b{i}"], choose.random() < 0.1, {f"b{i}": old[0]} if old else {}))
            buffers.append(f"b{i}")
        found = schedule(tasks, of_one_size)
        place = {number: place for place, number in enumerate(found.order)}
        assert len(place) == len(tasks)
        writer = {task.writes[0]: i for i, task in enumerate(tasks)}
        for i, task in enumerate(tasks):
            assert all(place[writer[b]] < place[i] for b in task.reads if b in writer)
            if task.writes[0] in found.replaced:
                others = [
                    k for k, other in enumerate(tasks) if k != i and found.replaced[task.writes[0]] in other.reads
                ]
                assert all(place[k] < place[i] for k in others)
                assert all(place[k] < place[i] for k, other in enumerate(tasks) if other.may_fail)


# Programs -------------------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_number_of_layers() -> None:
    def chain(layers: int) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for _ in range(layers):
                x = cp.tanh(x @ x)
            return x.sum()

        return forward

    x = np.full((32, 32), 0.01)
    few, many = (native(chain(layers), x).arena_bytes for layers in (3, 30))
    assert many == few


def test_a_value_takes_the_place_of_one_that_is_read_for_the_last_time() -> None:
    """Each step needs a sum over all of the one before: they are not one kernel, but they are in one place."""

    def normalize(x: Any) -> Any:
        for _ in range(10):
            x = cp.exp(x - x.max())
        return x.sum()

    x = np.linspace(0.0, 1.0, 4096)
    compiled = native(normalize, x)
    assert compiled.arena_bytes < 2 * x.nbytes
    np.testing.assert_allclose(compiled([x])[0], np.asarray(normalize(cp.asarray(x))))
    assert x[0] == 0.0, "an input stays what it is"


def test_weights_are_not_all_waiting_for_the_last_gradient() -> None:
    """While the updates run, gradients need no more memory than some of the largest."""
    layers, width = 12, 64
    weights = [cp.Parameter(np.eye(width)) for _ in range(layers)]
    rule = cp.optim.Adam(weights, lr=0.1)

    @cp.compile(executor="native")
    def step(x: Any) -> None:
        rule.zero_grad()
        for w in weights:
            x = cp.tanh(x @ w)
        x.sum().backward()
        rule.step()

    step(cp.ones((2, width), dtype=cp.float64))
    (entries,) = step._entries.values()
    runner: Any = entries[0].runner
    assert runner.arena_bytes < 4 * 8 * width * width


def test_a_constant_that_repeats_itself_is_kept_once() -> None:
    """A mask for all heads of all sequences takes the memory of one, however many layers use it."""
    mask = np.tril(np.ones((64, 64), bool))
    x = np.linspace(-1.0, 1.0, 8 * 64 * 64).reshape(8, 64, 64)

    def masked(x: Any) -> Any:
        for _ in range(3):
            x = cp.where(cp.broadcast_to(cp.asarray(mask), x.shape), cp.exp(x), -1.0)
        return x

    compiled = native(masked, x)
    assert sum(array.nbytes for array in compiled.program.constants.values()) < 2 * mask.nbytes
    np.testing.assert_allclose(compiled([x])[0], np.asarray(masked(cp.asarray(x))))


UPDATES: dict[str, tuple[Callable[..., Any], bool]] = {
    "a step": (lambda w, g, x: w - 0.1 * g, True),
    "several reads": (lambda w, g, x: cp.tanh(w) * w + cp.where(w > g, w, g), True),
    "a sum of all": (lambda w, g, x: w * w.sum() - g, True),
    "sums of rows": (lambda w, g, x: w - w.mean(axis=1, keepdims=True), True),
    "behind a product": (lambda w, g, x: w - 0.1 * (g @ x), True),
    "a product with itself": (lambda w, g, x: w @ x, False),
    "its mirror image": (lambda w, g, x: w + cp.flip(w, axis=1), False),
    "a copy of itself": (lambda w, g, x: w + cp.roll(w, 1, axis=0), True),
    "a row for all": (lambda w, g, x: g + w[:1], False),
}
"""New values of w, and whether they can be written over the old one."""


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 33), (64, 48), (130, 67)])
@pytest.mark.parametrize("name", UPDATES)
def test_a_value_that_is_written_over_the_one_it_is_computed_from(name: str, shape: tuple[int, int]) -> None:
    """Divided between threads or not, with whole vectors or not."""
    f, is_possible = UPDATES[name]
    values = np.random.default_rng(3)
    arrays = [values.standard_normal(size) for size in (shape, shape, (shape[1], shape[1]))]
    program = simplify(traced(f, *arrays).program)
    for machine in (host(), EAGER_TO_SHARE):
        compiled = NativeProgram(program, machine, {program.outputs[0]: program.inputs[0]})
        (expected,) = compiled(arrays)
        if shape != (1, 1):  # where each place is the same as every other
            assert (program.inputs[0] in compiled.updates) is is_possible
        for over in (compiled.updates, frozenset[Any]()):
            before = arrays[0].copy()
            (found,) = compiled([before, *arrays[1:]], over)
            assert (found is before) is bool(over)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("depth", [40, 3000, 20_000])
def test_a_product_of_several_passes_keeps_what_follows_it_apart(depth: int) -> None:
    """What it has summed up so far stands where the result will be."""
    values = np.random.default_rng(4)
    w, x, y = (values.standard_normal(shape) for shape in ((17, 40), (17, depth), (depth, 40)))
    program = simplify(traced(lambda w, x, y: w - 0.01 * (x @ y), w, x, y).program)
    compiled = NativeProgram(program, host(), {program.outputs[0]: program.inputs[0]})
    (expected,) = compiled([w, x, y])
    np.testing.assert_array_equal(compiled([w.copy(), x, y], compiled.updates)[0], expected)
    np.testing.assert_allclose(expected, w - 0.01 * (x @ y))

"""Several threads run a step: the same bits, whatever their number; and nobody waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.compiler.native.test_native import EAGER_TO_SHARE, native, same

import clearprop as cp
from clearprop.compiler.native import gemm_plan
from clearprop.compiler.native.division import divide
from clearprop.compiler.native.kinds import is_product
from clearprop.compiler.native.machine import host
from clearprop.compiler.native.matmul import MatmulWriter
from clearprop.compiler.native.pace import Pace
from clearprop.compiler.native.program import NativeProgram
from clearprop.compiler.native.workers import workers
from clearprop.errors import RangeError

RANDOM = np.random.default_rng(0)


def network(x: Any, w: Any, b: Any) -> Any:
    """Products, sums along each axis and along both, and what is computed from them."""
    y = cp.tanh(x @ w + b)
    rows = y / cp.sum(y * y, axis=1, keepdims=True)
    return rows, cp.sum(rows, axis=0), cp.max(y, axis=1), cp.sum(y), cp.sum(y * rows)


def arrays(n: int, m: int, k: int) -> list[np.ndarray[Any, Any]]:
    return [RANDOM.standard_normal(shape).astype(np.float32) for shape in ((n, m), (m, k), (k,))]


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 2), (37, 19, 53), (2, 300, 1), (1, 7, 300), (129, 64, 64)])
def test_the_bits_do_not_depend_on_the_number_of_threads(shape: tuple[int, int, int]) -> None:
    same_bits(network, arrays(*shape))


def recurrent(xs: Any, h: Any, w: Any) -> Any:
    """A loop that is differentiated: a product, a state, gates, gradients of weights."""

    def loss(xs: Any, h: Any, w: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            gates = h @ w + x
            h = cp.tanh(gates[:, : h.shape[1]]) * cp.nn.functional.sigmoid(gates[:, h.shape[1] :])
            return h, h.mT

        last, ys = cp.scan(step, h, xs)
        return cp.sum(ys * ys) + cp.sum(last)

    value, gradients = cp.value_and_grad(loss, (0, 1, 2))(xs, h, w)
    return value, *gradients


def at_positions(x: Any, rows: Any, columns: Any, key: Any, counter: Any) -> Any:
    """Reading and adding at positions, bits, and what looks for the largest along an axis."""
    taken, numbers = x[rows], x[rows, columns]
    return (
        taken, numbers,
        cp.primitives.scatter_add(taken, rows, shape=x.shape),
        cp.primitives.scatter_add(numbers, rows, columns, shape=x.shape),
        cp.take_along_axis(x, columns[: x.shape[0], None], axis=1),
        cp.logsumexp(x, axis=1), cp.logsumexp(x, axis=0), cp.argmax(x, axis=1), cp.argmin(x, axis=0),
        cp.primitives.random_bits(key, counter, shape=(1003,)),
    )  # fmt: skip


def same_bits(f: Any, values: list[Any]) -> None:
    results = [native(f, *values, machine=replace(EAGER_TO_SHARE, threads=n))(values) for n in (1, 2, 3, 5)]
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shape", [(3, 4, 8), (5, 7, 33)])
def test_the_bits_of_a_loop_do_not_depend_on_the_number_of_threads(shape: tuple[int, int, int]) -> None:
    steps, n, width = shape
    sizes = ((steps, n, 2 * width), (n, width), (width, 2 * width))
    same_bits(recurrent, [RANDOM.standard_normal(size).astype(np.float32) for size in sizes])


@pytest.mark.parametrize("shape", [(1, 1), (17, 5), (3, 300)])
def test_nor_do_those_of_what_stands_at_positions(shape: tuple[int, int]) -> None:
    rows, columns = (RANDOM.integers(-length, length, 101) for length in shape)
    same_bits(at_positions, [RANDOM.standard_normal(shape), rows, columns, np.asarray(7, np.uint64), np.asarray(9)])


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    "sizes", [(130, 70, 50), (70, 50, 130), (300, 40, 700), (256, 512, 300), (250, 600, 600), (40, 60, 8)], ids=str
)
def test_parts_that_threads_take_in_turn(
    sizes: tuple[int, int, int], transposed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows or columns, in several passes over a long depth too, with one operand packed by all threads together."""
    monkeypatch.setattr(gemm_plan, "LARGE", 1)
    monkeypatch.setattr(gemm_plan, "LEAST_PART", 1)
    n, m, depth = sizes

    def f(x: Any, y: Any, b: Any) -> Any:
        return (cp.tanh((x.mT if transposed else x) @ y + b),)

    shapes = (depth, n) if transposed else (n, depth), (depth, m), (m,)
    values = [RANDOM.standard_normal(shape).astype(np.float32) for shape in shapes]
    same_bits(f, values)
    program = same(f, *values, rtol=1e-4)
    (product,) = [kernel for kernel in program.fusion.kernels if is_product(kernel.node)]
    assert len(MatmulWriter(program.fusion, product, program.machine).gemm.turns) > 4


def test_running_alone_gives_the_same_bits() -> None:
    values = arrays(60, 50, 70)
    compiled = native(network, *values)
    expected = [np.array(y) for y in compiled(values)]
    busy = workers(2)._free  # with a step of another Python thread
    with busy:
        alone = compiled(values)
    for one, other in zip(expected, alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_element_is_somebodys() -> None:
    for n, m in [(1, 1000), (3, 17), (1000, 1), (16, 16)]:
        x = RANDOM.standard_normal((n, m)).astype(np.float32)
        (found,) = native(lambda x: (x + 1.0,), x)([x])
        np.testing.assert_array_equal(found, x + 1)


def test_the_outermost_axis_is_divided_if_it_is_long_enough() -> None:
    assert divide((100, 200), [(False, True)]) == (0, 1, None)
    assert divide((100, 200), [(True, False)]) == (0, 1, 16)
    assert divide((2, 200), [(True, False)]) == (1, 16, None)
    assert divide((100,), [(True,)]) == (0, 16, 3)  # 7 times 16 neighbours, in parts of two at least
    assert divide((16, 4, 4096), [(False, False, True)]).axis == 0


def test_an_index_out_of_range_is_an_error_in_all_threads() -> None:
    table, ok, bad = np.ones((10, 40), np.float32), np.array([1, 2]), np.array([1, 20])

    def f(table: Any, i: Any) -> Any:
        return (cp.exp(cp.take(cp.exp(table), i, axis=0)),)

    compiled = native(f, table, ok)
    for _ in range(3):
        with pytest.raises(RangeError):
            compiled([table, bad])
        assert compiled([table, ok])[0].shape == (2, 40)


def test_several_python_threads_at_once() -> None:
    values = arrays(40, 30, 50)
    compiled = [native(network, *values) for _ in range(4)]
    expected = [np.array(y) for y in compiled[0](values)]
    wrong: list[int] = []

    def work(program: NativeProgram) -> None:
        for _ in range(200):
            for one, other in zip(expected, program(values), strict=True):
                if not np.array_equal(one, other):
                    wrong.append(1)

    users = [threading.Thread(target=work, args=(compiled[i % 4],)) for i in range(6)]
    for user in users:
        user.start()
    for user in users:
        user.join(60)
    assert not wrong
    assert not any(user.is_alive() for user in users)


@pytest.mark.parametrize("seconds", [{True: 1.0, False: 2.0}, {True: 3.0, False: 2.0}])
def test_the_faster_way_is_found_and_the_other_one_tried_again(seconds: dict[bool, float]) -> None:
    pace, ways = Pace(), []

    def run(count: int, seconds: dict[bool, float]) -> None:
        for i in range(count):
            ways.append(pace.together())
            pace.took(seconds[ways[-1]] * (50 if i % 97 == 50 else 1))  # now and then something comes in between

    faster = min(seconds, key=seconds.__getitem__)
    run(1000, seconds)
    assert ways.count(faster) > 800
    assert ways.count(not faster) >= 3
    run(1500, {way: seconds[not way] for way in seconds})  # now it is the other way round
    assert ways[-300:].count(not faster) > 250


def test_an_idle_process_takes_no_time() -> None:
    values = arrays(40, 30, 50)
    compiled = native(network, *values)
    for _ in range(3):
        compiled(values)
        time.sleep(0.01)  # the worker has gone to sleep
        used = time.process_time()
        time.sleep(0.2)
        assert time.process_time() - used < 0.1
    compiled(values)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_process_makes_threads_of_its_own() -> None:
    script = """
import os, sys
import numpy as np
import clearprop as cp
f = cp.compile(lambda x, y: cp.sum(cp.tanh(x @ y)), executor="native")
x = cp.asarray(np.ones((200, 200), np.float32))
before = f(x, x).item()
child = os.fork()
if child == 0:
    os._exit(0 if all(f(x, x).item() == before for _ in range(10)) else 1)
_, status = os.waitpid(child, 0)
assert f(x, x).item() == before
sys.exit(os.waitstatus_to_exitcode(status))
"""
    environment = {**os.environ, "CLEARPROP_THREADS": "2"}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, env=environment)


@pytest.mark.parametrize("chosen", ["0", "-1", "many", "1.5", "100000"])
def test_a_wrong_number_of_threads_says_so(chosen: str) -> None:
    script = "import clearprop as cp; cp.compile(lambda x: x, executor='native')(cp.ones(2))"
    environment = {**os.environ, "CLEARPROP_THREADS": chosen}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=environment)
    assert run.returncode == 1
    assert "CLEARPROP_THREADS" in run.stderr


def test_this_machine_has_a_thread() -> None:
    assert host().threads >= 1


def test_a_system_that_gives_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    values = arrays(40, 30, 50)
    expected = [np.array(y) for y in native(network, *values)(values)]
    monkeypatch.setattr(threading.Thread, "start", refuse)
    found = native(network, *values, machine=replace(EAGER_TO_SHARE, threads=7))(values)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)

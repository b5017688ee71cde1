"""The products of all contractions: values, bounds, threads, and what follows them."""

from __future__ import annotations

import ctypes
import itertools
import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import ir
from tests.compiler.native.products import (
    MACHINES,
    Compiled,
    Guarded,
    check,
    convolution,
    expected,
    extent,
    matrices,
    sweep,
    view,
)

from clearprop.compiler.native.code import Code, Value, constant
from clearprop.compiler.native.gemm import Gemm
from clearprop.compiler.native.gemm_place import Epilogue, Place
from clearprop.compiler.native.gemm_plan import plan
from clearprop.compiler.native.library import Library
from clearprop.compiler.native.machine import Machine, host
from clearprop.compiler.native.product import Axis, Product

# Values and bounds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vectors", MACHINES)
@pytest.mark.parametrize("product", sweep(), ids=str)
def test_the_sum_and_nothing_else(product: Product, vectors: str) -> None:
    check(product, MACHINES[vectors])


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
def test_nothing_beyond_is_touched() -> None:
    """In a process of its own, which ends if it touches a page that is not its own."""
    command = [sys.executable, "-m", "tests.compiler.native.products"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-1000:]}"


@pytest.mark.parametrize("missing", ["rows", "columns", "depth", "blocks", "batch"])
def test_no_rows_no_columns_no_depth(missing: str) -> None:
    product = replace(matrices(5, 9, 4), blocks=(Axis(2, a=20, b=36),), batch=(Axis(2, a=40, b=72, c=45),))
    axes = getattr(product, missing)
    empty = axes._replace(length=0) if isinstance(axes, Axis) else (axes[0]._replace(length=0),)
    check(replace(product, **{missing: empty}))
    check(replace(product, **{missing: empty}, accumulate=True))


@pytest.mark.parametrize("threads", [1, 4, 7, 100])
def test_more_threads_than_tiles(threads: int) -> None:
    check(matrices(20, 40, 5), threads=(threads,))
    check(replace(matrices(20, 40, 5), batch=(Axis(3, a=100, c=800),)), threads=(threads,))
    check(replace(matrices(20, 40, 5, "ntn"), batch=(Axis(3, b=200, c=800),)), threads=(threads,))


def test_steps_backwards() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 8, 8))
    product = Product("float64", Axis(8, a=-8, c=8), Axis(8, b=-1, c=1), Axis(8, a=1, b=8))
    c = np.empty((8, 8))
    Compiled(product)(a[7:], b[:, 7:], c)
    np.testing.assert_allclose(c, a[::-1] @ b[:, ::-1])


def test_a_convolution_is_a_sum_of_blocks() -> None:
    product = convolution(2, 6, 8, 5, 12)
    rng = np.random.default_rng(0)
    images, window = rng.standard_normal((2, 6, 8, 5)), rng.standard_normal((3, 3, 5, 12))
    x, w, y = images.astype("f4"), window.astype("f4"), np.empty((2, 4, 6, 12), "f4")
    Compiled(product)(x, w, y)
    patches = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2))
    np.testing.assert_allclose(y, np.einsum("nhwcij,ijcf->nhwf", patches, window), rtol=1e-5, atol=1e-5)


def test_infinities_and_nan_are_not_skipped() -> None:
    for m, n, k, order in [(4, 9, 3, "nnn"), (2, 9, 40, "ntn"), (9, 1, 40, "nnn"), (7, 20, 30, "ttt")]:
        product = matrices(m, n, k, order)
        a, b, c = (np.zeros(extent(product, side), "f4") for side in "abc")
        view(product, "a", a)[1, 2] = np.inf
        view(product, "b", b)[0, n - 1] = np.nan
        Compiled(product)(a, b, c)
        np.testing.assert_array_equal(view(product, "c", c), expected(product, a, b))
        assert np.isnan(view(product, "c", c)[1]).all()  # inf * 0


@pytest.mark.parametrize("order", ["nnn", "ntn", "tnn"])
def test_float32_is_as_exact_as_sums_of_float32_are(order: str) -> None:
    product = matrices(100, 90, 1000, order)
    rng = np.random.default_rng(0)
    a, b, c = (rng.random(extent(product, side)).astype("f4") for side in "abc")  # positive: well conditioned
    Compiled(product)(a, b, c)
    np.testing.assert_allclose(view(product, "c", c), expected(product, a, b), rtol=1e-5)


# Any order of axes ----------------------------------------------------------------------------------------------------

_COUNTS = [1, 1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 33, 50]


@st.composite
def products(draw: st.DrawFn) -> Product:
    """Axes of any length in any order in memory, some with gaps, some that an operand does not have."""
    names = {"rows": "ac", "columns": "bc", "depth": "ab"}
    for i in range(draw(st.integers(0, 2))):
        names[f"block {i}"] = draw(st.sampled_from(["ab", "ab", "a", "b"]))
    for i in range(draw(st.integers(0, 2))):
        names[f"batch {i}"] = "c" + draw(st.sampled_from(["ab", "ab", "a", "b", ""]))
    counts = {name: draw(st.sampled_from(_COUNTS if len(name) > 5 or "0" not in name else [1, 2, 3])) for name in names}
    counts = {name: count if len(names) <= 4 else min(count, 9) for name, count in counts.items()}
    strides: dict[str, dict[str, int]] = {name: {} for name in names}
    for side in "abc":
        step = draw(st.sampled_from([1, 1, 1, 2]))
        for name in draw(st.permutations([name for name in names if side in names[name]])):
            strides[name][side] = step
            step = step * counts[name] + draw(st.sampled_from([0, 0, 0, 1, 5]))
    axes = {name: Axis(counts[name], **strides[name]) for name in names}
    return Product(
        draw(st.sampled_from(["float32", "float64"])),
        axes["rows"],
        axes["columns"],
        axes["depth"],
        tuple(axis for name, axis in axes.items() if name.startswith("block")),
        tuple(axis for name, axis in axes.items() if name.startswith("batch")),
        draw(st.booleans()),
    )


@settings(max_examples=60)
@given(product=products(), vectors=st.sampled_from(list(MACHINES)), threads=st.integers(2, 9))
def test_any_order(product: Product, vectors: str, threads: int) -> None:
    check(product, MACHINES[vectors], threads=(1, threads), level=0)  # LLVM does not rewrite what is written here


# What follows ---------------------------------------------------------------------------------------------------------


def _bias_relu_mask(product: Product, *, is_long: bool) -> Epilogue:
    """c = max(c + bias[column], 0) * mask[..., row, column], the mask in an order of its own."""
    shape = [axis.length for axis in product.batch]
    m, n = product.rows.length, product.columns.length
    batch = [math.prod(shape[i + 1 :]) * m * n for i in range(len(shape))]

    def write(code: Code, value: Value, place: Place) -> Value:
        bias, mask = place.pointers
        value = code.builder.fadd(value, place.load(bias, product.dtype, columns=1))
        zero = constant(product.dtype, 0, place.lanes)
        value = code.builder.select(code.builder.fcmp_ordered(">", value, zero), value, zero)
        kept = place.load(mask, np.bool_, rows=1, columns=m, batch=batch)
        return code.builder.select(kept, value, zero)

    return Epilogue(("bias, relu, mask", is_long), write, pointers=2, is_long=is_long)


_FOLLOWED = {
    "matrices": matrices(11, 21, 6),
    "a column": matrices(11, 1, 6),
    "transposed": matrices(11, 21, 6, "nnt"),
    "along the depth": matrices(2, 21, 100, "ntn"),
    "several passes": matrices(300, 21, 900, "tnn"),
    "few rows of a large matrix": matrices(3, 1024, 130),
    "batch that is rows": replace(matrices(4, 21, 6), batch=(Axis(5, a=24, c=84),)),
    "batch that is not": replace(matrices(4, 21, 6), batch=(Axis(5, a=24, b=126, c=100), Axis(2, b=700, c=2000))),
    "batch that is columns": replace(matrices(21, 4, 6, "ntt"), batch=(Axis(5, b=24, c=84),)),
    "added to": replace(matrices(11, 21, 6, "tnn"), accumulate=True),
    "added to in several passes": replace(matrices(300, 21, 1300), accumulate=True),
    "no depth": matrices(11, 21, 0),
}


@pytest.mark.parametrize("is_long", [False, True])
@pytest.mark.parametrize("product", _FOLLOWED.values(), ids=_FOLLOWED)
def test_an_epilogue(product: Product, is_long: bool) -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(extent(product, side)).astype(product.dtype) for side in "abc")
    bias = rng.standard_normal(product.columns.length).astype(product.dtype)
    shape = [axis.length for axis in product.batch]
    mask = rng.random((*shape, product.columns.length, product.rows.length)) < 0.5
    wanted = expected(product, a, b) + (view(product, "c", c) if product.accumulate else 0)
    wanted = np.maximum(wanted + bias, 0) * mask.swapaxes(-1, -2)
    compiled = Compiled(product, epilogue=_bias_relu_mask(product, is_long=is_long))
    compiled(a, b, c, bias, mask, threads=2)
    np.testing.assert_allclose(view(product, "c", c), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("order", ["nnn", "nnt", "ntn"])
def test_a_place_knows_its_indices(order: str) -> None:
    product = replace(matrices(3, 5, 30, order), batch=(Axis(4, a=90, c=15), Axis(2, b=150, c=60)))

    def write(code: Code, value: Value, place: Place) -> Value:
        b = code.builder
        names = ("batch 0", "batch 1", "rows", "columns", "something else")
        digits = [place.index(name) for name in names[:4]]
        assert place.index(names[4]).constant == 0
        number: Any = digits[0]
        for digit in digits[1:]:
            number = b.add(b.mul(number, ir.Constant(number.type, 10)), digit)
        along = 10 if place.axis == "rows" else 1
        vector = ir.Constant(value.type, ir.Undefined)
        for lane in range(place.lanes):
            here = b.add(number, ir.Constant(number.type, lane * along))
            wide = b.uitofp(here, ir.FloatType())
            if place.lanes == 1:
                return wide
            vector = b.insert_element(vector, wide, ir.Constant(ir.IntType(32), lane))
        return vector

    compiled = Compiled(product, epilogue=Epilogue("indices", write))
    a, b, c = (np.zeros(extent(product, side), "f4") for side in "abc")
    compiled(a, b, c)
    for index in itertools.product(range(4), range(2), range(3), range(5)):
        assert view(product, "c", c)[index] == int("".join(map(str, index)))


_PACKED = {
    "small": matrices(3, 5, 7),
    "one row": matrices(1, 100, 64),
    "a recurrent network": matrices(8, 96, 64),
    "its gradient": matrices(8, 64, 96, "ntn"),
    "odd": matrices(7, 61, 37),
    "several passes": matrices(5, 70, 1300),
    "several passes of a transposed matrix": matrices(5, 70, 1300, "ntn"),
    "double": matrices(6, 50, 40, dtype="float64"),
    "added to": replace(matrices(6, 50, 700), accumulate=True),
}


@pytest.mark.parametrize("vectors", MACHINES)
@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("product", _PACKED.values(), ids=_PACKED)
def test_an_operand_that_is_packed_once(product: Product, side: str, vectors: str) -> None:
    gemm = Gemm(product, MACHINES[vectors], prepacked=side)
    module = ir.Module("test")
    names = [gemm.write_packing(module).name, gemm.write(module).name]
    library = Library(module, MACHINES[vectors])
    pack, multiply = (library.function(name, [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 2) for name in names)
    rng = np.random.default_rng(0)
    a, b, before = (rng.standard_normal(extent(product, one)).astype(product.dtype) for one in "abc")
    wanted = expected(product, a, b) + (view(product, "c", before) if product.accumulate else 0)
    results = []
    for threads in (1, 2, 3):
        packed, scratch, c = Guarded(gemm.plan.prepacked_bytes), Guarded(gemm.scratch_bytes * threads), before.copy()
        raw, copy = (a if side == "a" else b).ctypes.data, packed.bytes.ctypes.data
        for thread in range(threads):
            pack(raw, raw, copy, 0, thread, threads)
        operands = [copy if side == one else array.ctypes.data for one, array in (("a", a), ("b", b))]
        for thread in range(threads):
            multiply(*operands, c.ctypes.data, scratch.bytes.ctypes.data, thread, threads)
        packed.check()
        scratch.check()
        results.append(c)
    np.testing.assert_allclose(view(product, "c", results[0]), wanted, rtol=1e-4, atol=1e-3)
    for c in results[1:]:
        np.testing.assert_array_equal(c, results[0])


@pytest.mark.parametrize("kinds", ["nnn", "tnn", "ntn"])
def test_a_product_that_is_not_divided(kinds: str) -> None:
    """Less code, the same bits, and whoever calls does all of it."""
    product = replace(matrices(20, 70, 45, kinds), batch=(Axis(3, a=900, c=1400),))
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(extent(product, one)).astype(product.dtype) for one in "ab")
    results, sizes = [], []
    for alone in (False, True):
        gemm, module, c = Gemm(product, alone=alone), ir.Module("test"), np.zeros(extent(product, "c"), np.float32)
        name = gemm.write(module).name
        library, scratch = Library(module, host()), Guarded(gemm.scratch_bytes)
        multiply = library.function(name, [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 2)
        who = (1, 3) if alone else (0, 1)
        multiply(a.ctypes.data, b.ctypes.data, c.ctypes.data, scratch.bytes.ctypes.data, *who)
        scratch.check()
        results.append(c)
        sizes.append(len(str(module)))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_allclose(view(product, "c", results[0]), expected(product, a, b), rtol=1e-4, atol=1e-4)
    assert sizes[1] < sizes[0]


# Functions and plans --------------------------------------------------------------------------------------------------


def test_equal_products_are_one_function() -> None:
    module = ir.Module("test")
    first, again, other = (Gemm(matrices(4, n, 3)) for n in (8, 8, 9))
    assert first.write(module) is again.write(module)
    assert first.key == again.key
    assert other.write(module) is not first.write(module)
    assert first.key != other.key
    assert Gemm(matrices(4, 8, 3), epilogue=_bias_relu_mask(matrices(4, 8, 3), is_long=False)).name != first.name


@pytest.mark.parametrize(
    "axes",
    [
        (Axis(3, a=2, b=1, c=2), Axis(2, b=1, c=1), Axis(2, a=1, b=2)),
        (Axis(3, a=2, c=2), Axis(2, a=1, b=1, c=1), Axis(2, a=1, b=2)),
        (Axis(3, a=2, c=2), Axis(2, b=1, c=1), Axis(2, a=1, b=2, c=1)),
        (Axis(3, a=2), Axis(2, b=1, c=1), Axis(2, a=1, b=2)),
    ],
)
def test_axes_that_make_no_product(axes: tuple[Axis, Axis, Axis]) -> None:
    with pytest.raises(ValueError, match="Product"):
        Product("float32", *axes)
    with pytest.raises(ValueError, match="int64"):
        replace(matrices(2, 2, 2), dtype="int64")


_MACHINES = [
    Machine("skylake-avx512", "", "avx512"),
    Machine("haswell", "", "avx2"),
    Machine("generic", "", "neon"),
    Machine("x86-64", "", "none"),
]


@pytest.mark.parametrize("machine", _MACHINES, ids=lambda machine: machine.vectors)
@pytest.mark.parametrize("product", [*sweep(), matrices(2048, 2048, 2048), matrices(1021, 1031, 1033, "ttn")], ids=str)
def test_tiles_fit_the_registers_of_every_machine(product: Product, machine: Machine) -> None:
    made = plan(product, machine)
    rows = max((run.size for run in made.rows), default=0)
    columns = made.width if made.is_dot else made.width // made.lanes
    held = rows if made.is_dot and rows > 1 else columns if rows > 1 else 1
    assert rows * columns + held + 1 <= machine.registers
    assert (
        made.rows[-1].start + (made.rows[-1].last - made.rows[-1].first) * made.rows[-1].size == made.walks.rows.length
    )
    assert made.scratch_bytes <= 8 << 20
    assert made.scratch_bytes % 64 == 0


@pytest.mark.parametrize("machine", _MACHINES, ids=lambda machine: machine.vectors)
@pytest.mark.parametrize("sizes", [(32, 256, 768), (32, 256, 1024), (256, 1024, 784), (64, 2304, 64)], ids=str)
def test_one_thread_has_as_many_tiles_as_the_other(sizes: tuple[int, int, int], machine: Machine) -> None:
    """A step of a GRU had eleven tiles of columns: one of two threads waited for a twelfth of the time."""
    made = plan(matrices(*sizes), machine)
    rows, columns = (sum(run.last - run.first for run in runs) for runs in (made.rows, made.columns))
    divided = rows if made.walks.rows.length >= made.walks.columns.length else columns
    assert 2 * -(-divided // 2) / divided <= 1.05


@pytest.mark.skipif(host().vectors not in ("avx2", "avx512"), reason="x86 code")
@pytest.mark.parametrize(
    ("machine", "register"), [(_MACHINES[0], "zmm"), (_MACHINES[1], "ymm")], ids=["avx512", "avx2"]
)
@pytest.mark.parametrize("order", ["nnn", "ntn"])
def test_no_sum_leaves_its_register(machine: Machine, register: str, order: str) -> None:
    """Code for processors that may not be this one: multiplied in the widest vectors, none of them kept in memory."""
    for product in (matrices(1024, 1024, 1024, order), matrices(8, 1024, 1024, order)):
        module = ir.Module("test")
        Gemm(product, machine).write(module)
        lines = Library(module, machine).assembly().splitlines()
        multiplied = [line for line in lines if "vfmadd" in line]
        assert multiplied
        assert all(f"%{register}" in line for line in multiplied)
        assert not [line for line in lines if register in line and "%rsp" in line]

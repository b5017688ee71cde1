"""What tests of products share: matrices in any order, buffers with guards, and what NumPy finds."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.gemm import Gemm
from clearprop.compiler.native.gemm_place import Epilogue
from clearprop.compiler.native.library import Library
from clearprop.compiler.native.machine import Machine, host
from clearprop.compiler.native.product import Axis, Product

PLAIN = Machine(
    host().cpu,
    ",".join("-" + word[1:] if word[1:].startswith(("avx", "fma")) else word for word in host().features.split(",")),
    "none",
)
"""This machine, as if it had the least vectors that any has."""

MACHINES = {machine.vectors: machine for machine in (host(), PLAIN)}


def matrices(m: int, n: int, k: int, order: str = "nnn", dtype: str = "float32", gap: int = 0) -> Product:
    """The product of two matrices; for each of a, b and c, "t" if its columns are contiguous, not its rows.

    Args:
        gap: elements between rows (or columns) that belong to nobody.
    """
    shapes = ((m, k), (k, n), (m, n))
    (am, ak), (bk, bn), (cm, cn) = (
        (1, rows + gap) if letter == "t" else (columns + gap, 1)
        for letter, (rows, columns) in zip(order, shapes, strict=True)
    )
    return Product(dtype, Axis(m, a=am, c=cm), Axis(n, b=bn, c=cn), Axis(k, a=ak, b=bk))


def axes_of(product: Product, side: str) -> tuple[Axis, ...]:
    """Those that an array has, as NumPy needs them."""
    named = {"a": (product.rows, product.depth), "b": (product.depth, product.columns)}
    if side == "c":
        return (*product.batch, product.rows, product.columns)
    return (*product.batch, *product.blocks, *named[side])


def extent(product: Product, side: str) -> int:
    """How many elements an array spans; no step goes backwards."""
    axes = axes_of(product, side)
    if any(axis.length == 0 for axis in axes):
        return 0
    return 1 + sum((axis.length - 1) * getattr(axis, side) for axis in axes)


def view(product: Product, side: str, flat: Any) -> Any:
    """An array as its axes say."""
    axes = axes_of(product, side)
    strides = [getattr(axis, side) * flat.itemsize for axis in axes]
    return np.lib.stride_tricks.as_strided(flat, [axis.length for axis in axes], strides)


def expected(product: Product, a: Any, b: Any) -> Any:
    """The sums, in float64, in the order of the axes of c."""
    batch, blocks = len(product.batch), len(product.blocks)
    letters = "abcdefghijklmnop"
    outer, summed = letters[:batch], letters[batch : batch + blocks]
    operands = (view(product, side, flat).astype(np.float64) for side, flat in (("a", a), ("b", b)))
    with np.errstate(invalid="ignore"):
        return np.einsum(f"{outer}{summed}yz,{outer}{summed}zx->{outer}yx", *operands, optimize=True)


class Guarded:
    """Memory of which every byte beyond the array in it belongs to nobody.

    With pages, the next byte after the array (or before it) cannot be touched at all: the process would end. Without,
    what stands around it is compared afterwards.
    """

    _AROUND = 256

    def __init__(self, nbytes: int, pages: str = "") -> None:
        self._memory = None
        if not pages:
            self._memory = np.full(nbytes + 2 * self._AROUND + 64, 0xA5, np.uint8)
            self._start = self._AROUND + -self._memory.ctypes.data % 64
            self.bytes = self._memory[self._start : self._start + nbytes]
            return
        page = mmap.PAGESIZE
        inside = max(1, -(-nbytes // page)) * page
        self._map = mmap.mmap(-1, inside + 2 * page)
        whole = np.frombuffer(self._map, np.uint8)
        for at in (0, page + inside):
            if ctypes.CDLL(None).mprotect(ctypes.c_void_p(whole.ctypes.data + at), ctypes.c_size_t(page), 0):
                raise OSError("mprotect")
        first = page if pages == "before" else page + inside - nbytes
        self.bytes = whole[first : first + nbytes]

    def check(self) -> None:
        """Raises AssertionError if something was written beyond the array."""
        if self._memory is not None:
            end = self._start + self.bytes.size
            assert (self._memory[: self._start] == 0xA5).all()
            assert (self._memory[end:] == 0xA5).all()


class Compiled:
    """A product as a function of arrays."""

    def __init__(
        self, product: Product, machine: Machine | None = None, epilogue: Epilogue | None = None, level: int = 2
    ) -> None:
        self.product = product
        self.gemm = Gemm(product, machine or host(), epilogue)
        module = ir.Module("test")
        name = self.gemm.write(module).name
        self._library = Library(module, machine, level=level)
        extra = epilogue.pointers if epilogue else 0
        self._function = self._library.function(name, [ctypes.c_void_p] * (4 + extra) + [ctypes.c_int64] * 2)

    def __call__(self, a: Any, b: Any, c: Any, *extra: Any, threads: int = 1, pages: str = "") -> None:
        """All threads, one after the other."""
        scratch = Guarded(self.gemm.scratch_bytes * threads, pages)
        scratch.bytes[:] = 0xFF  # NaN
        pointers = [array.ctypes.data for array in (a, b, c, *extra, scratch.bytes)]
        for thread in range(threads):
            self._function(*pointers, thread, threads)
        scratch.check()


def check(
    product: Product,
    machine: Machine | None = None,
    threads: Sequence[int] = (1, 2, 3),
    pages: str = "",
    level: int = 2,
) -> Compiled:
    """Compares with NumPy: values, the bits for several numbers of threads, and that nothing else was touched."""
    dtype, rng = np.dtype(product.dtype), np.random.default_rng(0)
    compiled = Compiled(product, machine, level=level)
    memory = {side: Guarded(extent(product, side) * dtype.itemsize, pages) for side in "abc"}
    a, b, c = (memory[side].bytes.view(dtype) for side in "abc")
    a[:], b[:] = rng.standard_normal(a.size), rng.standard_normal(b.size)
    before = rng.standard_normal(c.size).astype(dtype)
    wanted, used = expected(product, a, b), np.zeros(c.size, bool)
    if c.size:
        view(product, "c", used)[...] = True
        if product.accumulate:
            wanted = wanted + view(product, "c", before)
    results = []
    for count in threads:
        c[:] = before
        compiled(a, b, c, threads=count, pages=pages)
        results.append(c.copy())
    first = results[0]
    scale = np.sqrt(max(1, product.operations // max(1, 2 * wanted.size)))
    if c.size:
        np.testing.assert_allclose(view(product, "c", first), wanted, rtol=1e-5, atol=scale * 40 * np.finfo(dtype).eps)
    assert (first[~used] == before[~used]).all()
    for result in results[1:]:
        np.testing.assert_array_equal(result, first)
    for guarded in memory.values():
        guarded.check()
    return compiled


def sweep() -> list[Product]:
    """Products of every kind: sizes at the edges of tiles and of blocks, orders, batches, sums of blocks."""
    sizes = [(1, 1, 1), (6, 16, 8), (7, 17, 9), (13, 31, 5), (2, 3, 40), (1, 37, 19), (37, 1, 19), (5, 10, 33)]
    orders = ["".join(letters) for letters in itertools.product("nt", repeat=3)]
    found = [
        matrices(*size, order, dtype)
        for (size, order), dtype in zip(itertools.product(sizes, orders), itertools.cycle(["float32", "float64"]))
    ]
    plain = matrices(7, 18, 5)
    batch = (Axis(3, a=35, b=90, c=126),)
    found += [
        replace(plain, batch=batch),
        replace(plain, batch=batch, accumulate=True),
        replace(plain, batch=(Axis(3, a=35, c=126),)),
        replace(plain, batch=(Axis(3, b=90, c=126),)),
        replace(plain, batch=(Axis(2, a=105, c=378), Axis(3, a=35, b=90, c=126))),
        replace(plain, blocks=(Axis(4, a=35, b=90),)),
        replace(plain, blocks=(Axis(2, a=105, b=270), Axis(3, a=40, b=95)), accumulate=True),
        matrices(9, 20, 11, gap=3),
        matrices(9, 20, 11, "ttn", gap=3),
        matrices(33, 1030, 40),
        matrices(4, 1024, 140),
        matrices(100, 40, 700, "tnn"),
        matrices(60, 70, 600, "ntn", "float64"),
        matrices(2, 70, 300, "ntn"),
        matrices(70, 3, 300),
        matrices(65, 130, 70, "tnn", gap=512),
        matrices(40, 600, 385),
        matrices(530, 590, 501),
        replace(matrices(40, 200, 70, "tnn", "float64"), blocks=(Axis(3, a=2800, b=14000),), accumulate=True),
        convolution(2, 7, 9, 3, 20),
        convolution(2, 12, 14, 100, 40),
        convolution(40, 12, 14, 3, 20),
        Product("float32", Axis(40, a=2, c=901), Axis(200, b=3, c=2), Axis(200, a=90, b=650)),
        Product("float32", Axis(40, a=2, c=200), Axis(200, b=1, c=1), Axis(200, a=90, b=200)),
        Product(
            "float32",
            rows=Axis(40, a=1, c=200),
            columns=Axis(200, b=1, c=1),
            depth=Axis(20, a=40, b=200),
            blocks=(Axis(10, a=900, b=4400),),
        ),
    ]
    return found


def convolution(images: int, height: int, width: int, channels: int, filters: int, window: int = 3) -> Product:
    """Over images whose channels are the last axis, without padding: rows are pixels, blocks the window."""
    above, beside = height - window + 1, width - window + 1
    return Product(
        "float32",
        rows=Axis(beside, a=channels, c=filters),
        columns=Axis(filters, b=1, c=1),
        depth=Axis(channels, a=1, b=filters),
        blocks=(
            Axis(window, a=width * channels, b=window * channels * filters),
            Axis(window, a=channels, b=channels * filters),
        ),
        batch=(
            Axis(images, a=height * width * channels, c=above * beside * filters),
            Axis(above, a=width * channels, c=beside * filters),
        ),
    )


def check_with_pages() -> None:
    """The sweep in memory that ends, or begins, where a page does that cannot be touched."""
    for vectors, machine in MACHINES.items():
        for i, product in enumerate(sweep()):
            for pages in ("after", "before") if i % 3 == 0 else ("after",):
                sys.stdout.write(f"{vectors} {pages} {product}\n")
                sys.stdout.flush()
                check(product, machine, threads=(2,), pages=pages, level=0)


if __name__ == "__main__":
    check_with_pages()

"""From the registers of a tile to c: add to what is there or overwrite it, and the epilogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clearprop.compiler.native.code import Code, Value, index
from clearprop.compiler.native.gemm_corner import Corner, Part, Tiles
from clearprop.compiler.native.gemm_finish import Finish, own_size, own_width
from clearprop.compiler.native.gemm_place import Epilogue
from clearprop.compiler.native.gemm_plan import Plan
from clearprop.compiler.native.gemm_tile import Sums
from clearprop.compiler.native.integers import Integer
from clearprop.compiler.native.lanes import part


class Store(Tiles):
    """Writes how tiles come to c.

    Args:
        extra: the additional pointers of the epilogue.
    """

    def __init__(self, code: Code, plan: Plan, epilogue: Epilogue | None, extra: Sequence[Value]) -> None:
        super().__init__(code, plan, extra)
        self.epilogue = epilogue
        self.is_long = epilogue is not None and (epilogue.is_long or plan.passes > 1)
        self._own: Value = None

    def prefetch(self, corner: Corner) -> None:
        """Have c at hand when the sums are complete."""
        for row in range(corner.rows):
            for column in (0, corner.columns - 1):
                self.code.prefetch(self.address(corner, row, column), to_write=True)

    def write(self, sums: Sums, corner: Corner, number: Integer) -> None:
        """Add to c, or overwrite it; then the epilogue.

        Args:
            number: of this pass over the depth: all but the first add to c, after the last comes the epilogue.
        """
        adds, passes = self.plan.product.accumulate, self.plan.passes
        if passes == 1:
            if self.is_long:
                self._finish(sums, corner, add=adds)
            else:
                self._store(sums, corner, add=adds)
        elif self.epilogue is None:
            self._store_pass(sums, corner, number)
        else:
            b = self.code.builder
            with b.if_else(b.icmp_signed("==", number, index(passes - 1))) as (last, before):
                with last:
                    self._finish(sums, corner, add=True)
                with before:
                    self._store_pass(sums, corner, number)

    def _store_pass(self, sums: Sums, corner: Corner, number: Integer) -> None:
        """The sums of one of several passes."""
        if self.plan.product.accumulate:
            self._store(sums, corner, add=True)
            return
        b = self.code.builder
        with b.if_else(b.icmp_signed("==", number, index(0))) as (first, later):
            with first:
                self._store(sums, corner, add=False)
            with later:
                self._store(sums, corner, add=True)

    def _store(self, sums: Sums, corner: Corner, *, add: bool) -> None:
        """Write to c, by way of a short epilogue."""
        for row, there, value in self._totals(sums, corner, add=add):
            if self.epilogue is not None and not self.is_long:
                value = self.epilogue.write(self.code, value, self.place(corner, self.row(corner, row), there))
            self.put(value, there)

    def _totals(self, sums: Sums, corner: Corner, *, add: bool) -> Iterator[tuple[int, Part, Value]]:
        """The parts of a tile, and the sums of each, with what c holds if it is added to."""
        vectors = -(-corner.columns // self.lanes)
        for row in range(corner.rows):
            for there in self.parts(corner, row):
                vector, first = divmod(there.column, self.lanes)
                value = part(self.code, sums[row * vectors + vector], first, there.lanes)
                yield row, there, self.code.builder.fadd(self.load(there), value) if add else value

    def _finish(self, sums: Sums, corner: Corner, *, add: bool) -> None:
        """A long epilogue: the sums are put into memory of the tile's own, and a function does the rest."""
        assert self.epilogue is not None
        if self._own is None:
            self._own = self.code.stack(self.dtype, own_size(self.plan))
        width = own_width(self.plan)
        for row, there, value in self._totals(sums, corner, add=add):
            self.code.store(value, self.code.at(self._own, self.dtype, index(row * width + there.column)), self.dtype)
        name = f"{self.code.builder.function.name}_finish"
        finish = Finish(self.code.module, name, self.plan, self.epilogue)
        finish.call(self.code, corner, self._own, self.extra)

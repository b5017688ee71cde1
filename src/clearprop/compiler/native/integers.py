"""Arithmetic of indices, some of which are known while code is written: no instruction is written for those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from clearprop.compiler.native.code import Code, Value, index

Integer: TypeAlias = Any
"""An ``int``, or a value of LLVM's type i64. None of them is negative where it is divided."""


class Integers:
    """Sums, products and quotients of indices, and loops over them."""

    def __init__(self, code: Code) -> None:
        self.code, self.builder = code, code.builder

    def value(self, x: Integer) -> Value:
        """As LLVM's value."""
        return index(x) if isinstance(x, int) else x

    def add(self, *terms: Integer) -> Integer:
        """The sum."""
        known = sum(term for term in terms if isinstance(term, int))
        total: Integer = None
        for term in terms:
            if not isinstance(term, int):
                total = term if total is None else self.builder.add(total, term)
        if total is None:
            return known
        return self.builder.add(total, index(known)) if known else total

    def sub(self, x: Integer, y: Integer) -> Integer:
        """x - y."""
        if isinstance(y, int):
            return self.add(x, -y)
        return self.builder.sub(self.value(x), y)

    def times(self, x: Integer, y: Integer) -> Integer:
        """The product."""
        if isinstance(x, int) and isinstance(y, int):
            return x * y
        known, other = (x, y) if isinstance(x, int) else (y, x)
        if isinstance(known, int) and known in (0, 1):
            return other if known else 0
        return self.builder.mul(other, self.value(known))

    def quotient(self, x: Integer, y: Integer) -> Integer:
        """x // y."""
        if isinstance(x, int) and isinstance(y, int):
            return x // y
        return x if isinstance(y, int) and y == 1 else self.builder.udiv(self.value(x), self.value(y))

    def remainder(self, x: Integer, y: Integer) -> Integer:
        """x % y."""
        if isinstance(x, int) and isinstance(y, int):
            return x % y
        return 0 if isinstance(y, int) and y == 1 else self.builder.urem(self.value(x), self.value(y))

    def smaller(self, x: Integer, y: Integer) -> Integer:
        """The smaller one."""
        if isinstance(x, int) and isinstance(y, int):
            return min(x, y)
        x, y = self.value(x), self.value(y)
        return self.builder.select(self.builder.icmp_signed("<", x, y), x, y)

    def larger(self, x: Integer, y: Integer) -> Integer:
        """The larger one."""
        if isinstance(x, int) and isinstance(y, int):
            return max(x, y)
        x, y = self.value(x), self.value(y)
        return self.builder.select(self.builder.icmp_signed(">", x, y), x, y)

    def each(self, start: Integer, stop: Integer, step: int, body: Callable[[Integer], None]) -> None:
        """``for i in range(start, stop, step)``, as a loop only if it may have more than one turn."""
        if isinstance(start, int) and isinstance(stop, int) and stop <= start + step:
            if start < stop:
                body(start)
            return
        self.code.loop(self.value(start), self.value(stop), step, lambda i, _: body(i))

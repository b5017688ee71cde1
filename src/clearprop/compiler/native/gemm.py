"""The one building block of contractions: a batch-reduce matrix product, written for one machine and one product.

A `Gemm` writes a function that computes what a `Product` describes, as its `Plan` says:

    name(a, b, c, additional pointers of the epilogue …, scratch, thread, threads)

Every thread calls it with its number; together they compute c. Of a small product each has its share, none waits for
another, and what is packed each packs for itself, in its own part of the scratch buffer. Of a large one, where they can
meet, they pack together and then take parts in turn. An element of c is summed in the same order whatever the number of
threads. No element is skipped because it is 0: NaN and infinities come out as the sums have them.

See Georganas et al., "Harnessing deep learning via a single building block" (IPDPS 2020), for why one is enough.
"""

from __future__ import annotations

import hashlib

from llvmlite import ir

from clearprop.compiler.native.code import Code
from clearprop.compiler.native.gemm_place import Epilogue
from clearprop.compiler.native.gemm_plan import plan
from clearprop.compiler.native.gemm_writer import GemmWriter
from clearprop.compiler.native.integers import Integers
from clearprop.compiler.native.machine import Machine, host
from clearprop.compiler.native.product import Product
from clearprop.compiler.native.single import Array
from clearprop.compiler.native.team import Team


class Gemm:
    """A product that can be written into a module.

    Args:
        prepacked: "a" or "b" if that one is given as `write_packing` leaves it: for what is multiplied again and again.
        alone: whether it is not divided: then there is less code, and the function does not look at ``thread`` and
            ``threads``.
        meets: whether threads can meet while they compute it; of a large product they then take parts in turn.

    Attributes:
        plan: how it is computed.
        turns: those parts; if there are any, the function takes the place where threads meet as its last argument.
        key: products with equal keys are the same function.
        scratch_bytes: what one thread needs; the buffer holds that much for each of them.
    """

    def __init__(
        self,
        product: Product,
        machine: Machine | None = None,
        epilogue: Epilogue | None = None,
        *,
        prepacked: str = "",
        alone: bool = False,
        meets: bool = False,
    ) -> None:
        self.product, self.machine, self.epilogue = product, machine or host(), epilogue
        self.prepacked, self.alone = prepacked, alone
        self.plan = plan(product, self.machine, join_columns=epilogue is None, prepacked=prepacked)
        self.turns = self.plan.turns(self.machine.threads) if meets else ()
        self.key = ("gemm", product, self.machine, epilogue, prepacked, alone, self.turns)
        self.scratch_bytes = self.plan.scratch_bytes

    @property
    def name(self) -> str:
        """Of the function: equal for equal keys, in every process."""
        way = self.prepacked, self.alone, self.turns
        words = repr((self.product, self.machine, way, self.epilogue and self.epilogue.key))
        return f"gemm_{hashlib.sha256(words.encode()).hexdigest()[:24]}"

    def write(self, module: ir.Module, name: str = "") -> ir.Function:
        """The function in that module; written if it is not there yet."""
        name = name or self.name
        if name not in module.globals:
            GemmWriter(module, name, self.plan, self.epilogue, alone=self.alone, turns=self.turns).write()
        return module.globals[name]

    def call(self, code: Code, a: Array, b: Array, c: Array, panels: Array, team: Team) -> None:
        """Write the call of the function, as a member of a team.

        Args:
            panels: memory for what this thread packs.
        """
        integers, itemsize = Integers(code), panels.dtype.itemsize
        first = panels.moved(code, integers.times(team.thread, -(self.scratch_bytes // itemsize)))
        pointers = [array.pointer for array in (a, b, c, first)]
        share = [integers.value(number) for number in (team.thread, team.threads)]
        code.builder.call(self.write(code.module), [*pointers, *share])

    def write_packing(self, module: ir.Module) -> ir.Function:
        """A function that packs what is to be prepacked: takes what the product takes, and writes to c's address."""
        name = f"{self.name}_pack"
        if name not in module.globals:
            GemmWriter(module, name, self.plan, None, alone=self.alone).write_packing()
        return module.globals[name]

"""Threads as generated code sees them: which part is whose, and how they wait for one another.

All threads call the same function, each with its number. What is shared they divide by that number; where one needs
what another has written, all of them meet at a barrier, see `clearprop.compiler.native.workers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from clearprop.compiler.native.code import I64, POINTER, VOID, Code, Value, index
from clearprop.compiler.native.integers import Integer, Integers

BARRIER = "clearprop_barrier"
"""The name of the function at which threads meet."""

_NEXT = 24
"""Which word of the meeting place says what `Team.each` takes next; the barrier sets it to 0."""

SHARED_ARGUMENTS = (I64, I64, POINTER)
"""The types of `Team.arguments`."""


class Team:
    """The threads that run a function together.

    Args:
        thread, threads: the number of this one, and how many there are.
        meeting: the address of memory that they have in common, for the barrier; not looked at if there is one only.
    """

    def __init__(self, code: Code, thread: Integer, threads: Integer, meeting: Value) -> None:
        self.code, self.thread, self.threads, self.meeting = code, thread, threads, meeting

    @classmethod
    def alone(cls, code: Code) -> Team:
        """A team of one."""
        return cls(code, 0, 1, ir.Constant(POINTER, None))

    @property
    def arguments(self) -> list[Value]:
        """What a shared kernel takes behind its buffers and its scratch memory."""
        integers = Integers(self.code)
        return [integers.value(self.thread), integers.value(self.threads), self.meeting]

    def share(self, count: int, multiple: int = 1) -> tuple[Integer, Integer]:
        """From where to where, of so many things, this thread's part goes; parts begin at multiples of a number."""
        integers = Integers(self.code)
        units = -(-count // multiple)
        first = integers.quotient(integers.times(self.thread, units), self.threads)
        last = integers.quotient(integers.times(integers.add(self.thread, 1), units), self.threads)
        first, last = integers.times(first, multiple), integers.times(last, multiple)
        return (first, last) if multiple == 1 else (first, integers.smaller(last, count))

    def each(self, count: int, body: Callable[[Integer], None]) -> None:
        """Call the body with 0 to count - 1, each time in a thread that has nothing else to do. First all of them meet.

        So a thread that is slower, because other processes run or the processor's cores differ, does less.
        """
        if self.threads == 1:
            Integers(self.code).each(0, count, 1, body)
            return
        self.wait()  # which sets what is taken next to 0
        b, before = self.code.builder, self.code.builder.block
        head, take, taken, inside, after = (
            b.append_basic_block(name) for name in ("next", "take", "taken", "inside", "after")
        )
        b.branch(head)
        b.position_at_end(head)
        alone = b.phi(I64)
        alone.add_incoming(index(0), before)
        b.cbranch(b.icmp_unsigned(">", self.threads, index(1)), take, taken)
        b.position_at_end(take)
        place = self.code.at(self.meeting, "int64", index(_NEXT))
        among = b.atomic_rmw("add", place, index(1), "monotonic")
        b.branch(taken)
        b.position_at_end(taken)
        number = b.phi(I64)
        number.add_incoming(alone, head)
        number.add_incoming(among, take)
        b.cbranch(b.icmp_unsigned("<", number, index(count)), inside, after)
        b.position_at_end(inside)
        body(number)
        alone.add_incoming(b.add(alone, index(1)), b.block)
        b.branch(head)
        b.position_at_end(after)

    def wait(self) -> None:
        """Nobody goes on before all have come here, and then everybody sees what all have written."""
        if self.threads == 1:
            return
        barrier = self.code.module.globals.get(BARRIER)
        if barrier is None:
            barrier = ir.Function(self.code.module, ir.FunctionType(VOID, [POINTER, I64]), BARRIER)
        self.code.builder.call(barrier, [self.meeting, self.threads])

    def first(self, body: Callable[[], None]) -> None:
        """What the first thread does alone."""
        if self.threads == 1:
            body()
            return
        b = self.code.builder
        with b.if_then(b.icmp_unsigned("==", self.thread, index(0))):
            body()

    def call(self, function: ir.Function, arguments: Sequence[Value], *, is_shared: bool) -> Value:
        """Call a kernel, of which a shared one also takes who is there."""
        return self.code.builder.call(function, [*arguments, *(self.arguments if is_shared else ())])

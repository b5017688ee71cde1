"""Kernels called one after the other, as a list tells.

The list is data: for each call the kernel's address and where in the table its buffers' addresses stand. So a program
of thousands of equal layers costs no code but that of its kernels. What reads it is compiled once: `Run` walks along
the list, `Call` calls a function of so many buffers.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from llvmlite import ir

from clearprop.compiler.native.alike import Coded
from clearprop.compiler.native.code import I1, I64, POINTER, VOID, Code, Value, index
from clearprop.compiler.native.kernel_code import KernelCode
from clearprop.compiler.native.lowerings import Writer, is_shared, may_fail
from clearprop.compiler.native.memory import FAILED, MEETING, SCRATCH
from clearprop.compiler.native.team import SHARED_ARGUMENTS, Team
from clearprop.graph import Node

_HEAD = 4
"""Words of a call before its slots: who calls it, the kernel, what is to be done about it, and how long it is."""

_BY_ALL, _CHECKED, _WAITED_FOR = 1, 2, 4
"""What is to be done: all threads call it; the list ends if it has failed; all threads wait for it."""


class Call:
    """Writes a function that calls a kernel with what its slots say.

    Args:
        made: a kernel like those that it calls.
    """

    level = 1  # there are few such functions, and small steps spend a tenth of their time in them

    def __init__(self, made: Writer) -> None:
        self._buffers = len(made.buffers)
        self._has_scratch = bool(getattr(made, "scratch_bytes", 0))
        self._is_shared, self._may_fail = is_shared(made), may_fail(made)
        self.key: tuple[Any, ...] = ("call", self._buffers, self._has_scratch, self._is_shared, self._may_fail)

    def write(self, module: ir.Module, name: str) -> None:
        """Write the function: of the kernel, its slots, the table, and who is there; it returns whether it failed."""
        code = Code.function(module, name, [POINTER, POINTER, POINTER, I64, I64], I64)
        kernel, slots, table, thread, threads = code.builder.function.args
        taken = [_word(code, table, _number(code, slots, index(i))) for i in range(self._buffers)]
        if self._has_scratch:
            taken.append(_word(code, table, index(SCRATCH)))
        if self._is_shared:
            taken += Team(code, thread, threads, _word(code, table, index(MEETING))).arguments
        kinds = [POINTER] * (self._buffers + self._has_scratch) + list(SHARED_ARGUMENTS) * self._is_shared
        b, kind = code.builder, ir.FunctionType(I1 if self._may_fail else VOID, kinds)
        called = b.call(_Callee(kernel, kind), taken)
        b.ret(b.zext(called, I64) if self._may_fail else index(0))


class Run:
    """Writes the function that walks along a list, for one thread or for several."""

    level = Call.level

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self.key: tuple[Any, ...] = ("run", alone)

    def write(self, module: ir.Module, name: str) -> None:
        """Write the function: of the list, and who is there; it returns which kernel failed, counted from 1, or 0."""
        code = Code.function(module, name, [POINTER, I64, I64], I64)
        b, (calls, thread, threads) = code.builder, code.builder.function.args
        table = _word(code, calls, index(0))
        team = Team.alone(code) if self._alone else Team(code, thread, threads, _word(code, table, index(MEETING)))

        def call(number: Value, carried: list[Value]) -> list[Value]:
            (entry,) = carried
            self._call(code, team, table, entry, b.add(number, index(1)), (thread, threads))
            return [b.gep(entry, [_number(code, entry, index(3))], source_etype=I64)]

        first = b.gep(calls, [index(2)], source_etype=I64)
        code.loop(index(0), _number(code, calls, index(1)), 1, call, [first])
        b.ret(index(0))

    def _call(
        self, code: Code, team: Team, table: Value, entry: Value, number: Value, who: tuple[Value, Value]
    ) -> None:
        b = code.builder
        to_do = _number(code, entry, index(2))

        def is_to_be(done: int) -> Value:
            return b.icmp_unsigned("!=", b.and_(to_do, index(done)), index(0))

        is_mine = b.or_(b.icmp_unsigned("==", who[0], index(0)), is_to_be(_BY_ALL))
        with b.if_then(is_mine):
            kind = ir.FunctionType(I64, [POINTER, POINTER, POINTER, I64, I64])
            slots = b.gep(entry, [index(_HEAD)], source_etype=I64)
            taken = [_word(code, entry, index(1)), slots, table, *who]
            failed = b.call(_Callee(_word(code, entry, index(0)), kind), taken)
            with b.if_then(b.icmp_unsigned("!=", failed, index(0)), likely=False):
                b.store(number, _place(code, table, index(FAILED)))
        if not self._alone:
            with b.if_then(is_to_be(_WAITED_FOR)):
                team.wait()
        with b.if_then(is_to_be(_CHECKED), likely=False):
            failed = _number(code, table, index(FAILED))
            with b.if_then(b.icmp_unsigned("!=", failed, index(0)), likely=False):
                team.wait()
                b.ret(failed)


class _Callee:
    """A function of which only the address is known, to be called by llvmlite."""

    def __init__(self, address: Value, kind: ir.FunctionType) -> None:
        self.type, self.function_type = POINTER, kind
        self.get_reference = address.get_reference


def _place(code: Code, words: Value, i: Value) -> Value:
    return code.builder.gep(words, [i], source_etype=I64)


def _word(code: Code, words: Value, i: Value) -> Value:
    """An address."""
    return code.builder.load(_place(code, words, i), typ=POINTER)


def _number(code: Code, words: Value, i: Value) -> Value:
    return code.builder.load(_place(code, words, i), typ=I64)


def call_list(made: Sequence[Coded], code: KernelCode, slots: Mapping[Node, int]) -> Any:
    """The list for these kernels, whose functions are to be found in ``code``; its first word shall be the table.

    The threads meet behind each shared kernel, and where others have followed one another in the first thread alone.

    Args:
        slots: where in the table the address of each buffer stands.
    """
    words = array("q", [0, len(made)])
    heads: dict[Writer, tuple[int, int, int]] = {}  # the addresses, and what is always to be done
    for kernel, following in zip(made, (*made[1:], None), strict=True):
        writer = kernel.writer
        head = heads.get(writer)
        if head is None:
            to_do = _BY_ALL * is_shared(writer) + _CHECKED * may_fail(writer)
            head = heads[writer] = (code.addresses[Call(writer).key], code.addresses[writer.key], to_do)
        caller, address, to_do = head
        if to_do & _CHECKED or (following is not None and (to_do or _is_met(following.writer))):
            to_do |= _WAITED_FOR
        words.extend((caller, address, to_do, _HEAD + len(kernel.buffers)))
        words.extend([slots[node] for node in kernel.buffers])
    return (ctypes.c_int64 * len(words)).from_buffer(words)


def _is_met(writer: Writer) -> bool:
    """Whether all threads come to a kernel: a shared one, or one that may fail."""
    return is_shared(writer) or may_fail(writer)

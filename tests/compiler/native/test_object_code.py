"""Machine code of several functions, made at once."""

from __future__ import annotations

import ctypes
import threading
from dataclasses import replace

import pytest

from clearprop.compiler.native import object_code
from clearprop.compiler.native.library import Loaded
from clearprop.compiler.native.machine import host
from clearprop.compiler.native.object_code import Source, object_codes


def adds(number: int) -> Source:
    """A function that adds a number, in a level of its own."""
    name = f"add_{number}"
    return Source(f'define i64 @"{name}"(i64 %x) {{\n  %y = add i64 %x, {number}\n  ret i64 %y\n}}\n', number % 3)


SOURCES = [adds(number) for number in range(40)]


def test_each_function_does_what_it_should_in_the_order_of_the_sources() -> None:
    loaded = Loaded(object_codes(SOURCES, replace(host(), threads=3)), host())
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
    assert [kind(loaded.address(f"add_{number}"))(100) for number in range(40)] == [100 + n for n in range(40)]


def test_the_code_does_not_depend_on_the_number_of_threads() -> None:
    expected = object_codes(SOURCES, replace(host(), threads=1))
    assert object_codes(SOURCES, replace(host(), threads=4)) == expected


def test_where_the_lock_of_llvmlite_is_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = object_codes(SOURCES, replace(host(), threads=2))
    monkeypatch.setattr(object_code, "_EMIT", None)
    assert object_codes(SOURCES, replace(host(), threads=2)) == expected


def test_nothing_to_do() -> None:
    assert object_codes([], host()) == []


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("text", ["define i64 @f(", "define i64 @f(i64 %x) {\n  ret i32 0\n}\n"])
def test_code_that_is_none_is_an_error(text: str, threads: int) -> None:
    with pytest.raises(RuntimeError):
        object_codes([*SOURCES, Source(text)], replace(host(), threads=threads))


def test_several_threads_that_compile_at_once() -> None:
    expected, found = object_codes(SOURCES, host()), list[bool]()

    def compile_all() -> None:
        found.extend(object_codes(SOURCES, replace(host(), threads=2)) == expected for _ in range(5))

    users = [threading.Thread(target=compile_all) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert found == [True] * 20

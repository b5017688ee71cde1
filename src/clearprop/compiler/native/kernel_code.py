"""The machine code of kernels, which programs share.

A kernel's code is known by all that it depends on: by that name it is found among what this process has loaded, or on
the disk, and only else it is written and compiled. It stays loaded as long as a program uses it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from time import perf_counter
from typing import Any, NamedTuple, Protocol
from weakref import WeakValueDictionary

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.library import Loaded, best_level, object_code
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.object_files import object_files, version


class Writer(Protocol):
    """Writes a function.

    Attributes:
        key: all that its code depends on besides the machine.
    """

    key: tuple[Any, ...]

    def write(self, module: ir.Module, name: str) -> None:
        """Write it under that name, with other functions that it needs."""


class _Function:
    """A function in memory, and what keeps it there."""

    def __init__(self, loaded: Loaded, name: str) -> None:
        self.loaded = loaded
        self.address = loaded.address(name)


_KNOWN: WeakValueDictionary[str, _Function] = WeakValueDictionary()
"""What this process has loaded."""


class _Kernel(NamedTuple):
    """A kernel by the name that says what its code depends on, and its code if it had to be written for that."""

    name: str
    text: str


@dataclass
class Effort:
    """What it took to get the code of some kernels.

    Attributes:
        kernels: how many there are.
        compiled: so many of them had to be compiled.
        write, compile, load: seconds.
    """

    kernels: int = 0
    compiled: int = 0
    write: float = 0.0
    compile: float = 0.0
    load: float = 0.0


@dataclass
class KernelCode:
    """The functions of kernels.

    Attributes:
        addresses: by key.
    """

    machine: Machine
    effort: Effort = field(default_factory=Effort)
    addresses: dict[Hashable, int] = field(default_factory=dict)
    _functions: list[_Function] = field(default_factory=list)

    def add(self, writers: Iterable[Writer]) -> None:
        """Find, or make, the functions of these writers."""
        needed = {writer.key: writer for writer in writers if writer.key not in self.addresses}
        self.effort.kernels += len(needed)
        kernels = {key: self._named(writer) for key, writer in needed.items()}
        functions = {key: _KNOWN.get(kernel.name) for key, kernel in kernels.items()}
        objects = {
            key: self._object(needed[key], kernels[key]) for key, function in functions.items() if function is None
        }  # fmt: skip
        started = perf_counter()
        if objects:
            loaded = Loaded(objects.values(), self.machine)
            for key in objects:
                name = kernels[key].name
                functions[key] = _KNOWN[name] = _Function(loaded, name)
        self.effort.load += perf_counter() - started
        for key, function in functions.items():
            assert function is not None
            self._functions.append(function)
            self.addresses[key] = function.address

    def _named(self, writer: Writer) -> _Kernel:
        """A kernel whose key says nothing outside of this process is named after its code."""
        described = _described(writer.key)
        text = "" if described is not None else self._text(writer, "kernel")
        environment = f"{version()} {best_level()} {self.machine}"
        found = hashlib.sha256(f"{environment}\n{described}\n{text}".encode()).hexdigest()
        name = f"kernel_{found[:40]}"
        return _Kernel(name, text.replace('@"kernel', f'@"{name}'))

    def _text(self, writer: Writer, name: str) -> str:
        started = perf_counter()
        module = ir.Module(name)
        writer.write(module, name)
        for function in module.functions:
            if function.blocks and function.name != name:
                function.linkage = "internal"  # the same name in another kernel is another function
        text = str(module)
        self.effort.write += perf_counter() - started
        return text

    def _object(self, writer: Writer, kernel: _Kernel) -> bytes:
        files = object_files()
        found = files.load(kernel.name) if files is not None else None
        if found is not None:
            return found
        text = kernel.text or self._text(writer, kernel.name)
        started = perf_counter()
        code = object_code(text, self.machine)
        self.effort.compile += perf_counter() - started
        self.effort.compiled += 1
        if files is not None:
            files.store(kernel.name, code)
        return code


def code_text(writers: Iterable[Writer]) -> str:
    """The intermediate code of kernels in one module, to be read."""
    module = ir.Module("kernels")
    for number, writer in enumerate({writer.key: writer for writer in writers}.values()):
        writer.write(module, f"kernel_{number}")
    return str(module)


def _described(key: Any) -> str | None:
    """A key as text that is the same in every process; None if it holds something that is known in this one only."""
    if key is None or isinstance(key, (str, int, float)):
        return repr(key)
    if isinstance(key, np.dtype):
        return f"dtype {key.str}"
    if isinstance(key, (tuple, list)):
        parts = [_described(part) for part in key]
    elif is_dataclass(key) and not isinstance(key, type):
        parts = [_described(getattr(key, one.name)) for one in fields(key)]
    else:
        return None
    known = [part for part in parts if part is not None]
    return f"{type(key).__name__}({', '.join(known)})" if len(known) == len(parts) else None

"""The machine code of kernels, which programs share.

A kernel's code is known by all that it depends on: by that name it is found among what this process has loaded, or on
the disk, and only else it is written and compiled. It stays loaded as long as a program uses it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from time import perf_counter
from typing import Any, NamedTuple, Protocol
from weakref import WeakValueDictionary

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.library import Loaded
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.object_code import Source, best_level, object_codes
from clearprop.compiler.native.object_files import object_files, version
from clearprop.compiler.native.units import Unit, units
from clearprop.heap import give_back


class Writer(Protocol):
    """Writes a function.

    Attributes:
        key: all that its code depends on besides the machine.
        level: how hard LLVM's code generator tries; who does not care need not say so.
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


class _Object(NamedTuple):
    """Object code, and the names of what it calls."""

    code: bytes
    needs: tuple[str, ...]


class KernelCode:
    """The functions of kernels.

    Attributes:
        addresses: by key.
        effort: what it took to get them.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._environment = f"{version()} {best_level()} {machine}"
        self._functions: list[_Function] = []
        self._objects: dict[str, _Object] = {}
        self._files = object_files()
        self.addresses: dict[Hashable, int] = {}
        self.effort = Effort()

    def add(self, writers: Iterable[Writer]) -> None:
        """Find, or make, the functions of these writers."""
        needed = {writer.key: writer for writer in writers if writer.key not in self.addresses}
        self.effort.kernels += len(needed)
        by_key, written = self._named(needed.values())
        names = {name: needed[key] for key, name in by_key.items()}  # of equal functions any one
        functions = {name: function for name in names if (function := _KNOWN.get(name)) is not None}
        absent = {name: writer for name, writer in names.items() if name not in functions}
        if absent:
            self._provide(absent, written)
            started = perf_counter()
            loaded = Loaded([self._objects[name].code for name in self._with_needs(absent)], self._machine)
            functions |= {name: _Function(loaded, name) for name in absent}
            _KNOWN.update((name, functions[name]) for name in absent)
            self.effort.load += perf_counter() - started
            give_back()  # what LLVM needed
        self._objects.clear()
        self._functions += functions.values()
        self.addresses.update((key, functions[name].address) for key, name in by_key.items())

    def _named(self, writers: Iterable[Writer]) -> tuple[dict[tuple[Any, ...], str], dict[str, Unit]]:
        """The names of functions by the keys of writers. If a key says nothing to other processes, the code has to."""
        names: dict[tuple[Any, ...], str] = {}
        written: dict[str, Unit] = {}
        for writer in writers:
            described = _described(writer.key)
            if described is None:
                parts = self._written({"kernel": writer}, {"kernel": "kernel"})
                described = repr(parts)
                name = self._digest(described)
                unit = parts.pop("kernel")
                written |= {**parts, name: unit._replace(text=unit.text.replace('@"kernel', f'@"{name}'))}
            names[writer.key] = self._digest(described)
        return names, written

    def _digest(self, described: str) -> str:
        return f"kernel_{hashlib.sha256(f'{self._environment} {described}'.encode()).hexdigest()[:40]}"

    def _written(self, writers: Mapping[str, Writer], names: Mapping[str, str]) -> dict[str, Unit]:
        started = perf_counter()
        module = ir.Module("kernels")
        for name, writer in writers.items():
            writer.write(module, name)
        found = units(module, names, self._environment)
        self.effort.write += perf_counter() - started
        return found

    def _provide(self, absent: Mapping[str, Writer], written: dict[str, Unit]) -> None:
        """Get the object code of functions that are not loaded, and of what they call."""
        missing = {name: writer for name, writer in absent.items() if not self._find(name)}
        unwritten = {name: writer for name, writer in missing.items() if name not in written}
        written |= self._written(unwritten, {name: name for name in unwritten})
        self.effort.compiled += len(missing)
        sources: dict[str, Source] = {}
        for name, writer in missing.items():
            self._gather(name, written, sources, getattr(writer, "level", None))
        started = perf_counter()
        for name, code in zip(sources, object_codes(list(sources.values()), self._machine), strict=True):
            self._objects[name] = _Object(code, written[name].needs)
            if self._files is not None:
                self._files.store(name, " ".join(written[name].needs).encode() + b"\n" + code)
        self.effort.compile += perf_counter() - started

    def _find(self, name: str) -> bool:
        """Whether a unit, and all that it needs, is here or on the disk."""
        if name not in self._objects:
            content = self._files.load(name) if self._files is not None else None
            if content is None:
                return False
            needs, _, code = content.partition(b"\n")
            self._objects[name] = _Object(code, tuple(needs.decode().split()))
        return all(self._find(need) for need in self._objects[name].needs)

    def _gather(
        self, name: str, written: Mapping[str, Unit], sources: dict[str, Source], level: int | None = None
    ) -> None:
        """Add what is to be compiled of a unit and of those that it needs, but for those that are there."""
        sources[name] = Source(written[name].text, level)
        for need in written[name].needs:
            if need not in sources and not self._find(need):
                self._gather(need, written, sources)

    def _with_needs(self, names: Iterable[str]) -> list[str]:
        found, waiting = dict[str, None](), list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = None
                waiting += self._objects[name].needs
        return list(found)


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
        parts = [_described(getattr(key, one.name)) for one in fields(key) if one.compare]
    else:
        return None
    known = [part for part in parts if part is not None]
    return f"{type(key).__name__}({', '.join(known)})" if len(known) == len(parts) else None

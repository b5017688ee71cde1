"""Modules made of modules."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, overload

from clearprop.array import add
from clearprop.errors import RangeError, UsageError
from clearprop.nn.module import Module, check_name
from clearprop.tensor import Tensor


class _Ordered(Module):
    """Modules in order, under the names "0", "1", … or names of their own."""

    def _put(self, name: str, module: Any) -> None:
        if not isinstance(module, Module):
            raise UsageError(
                f"{type(self).__name__}: {module!r} is not a module"[:200],
                hint="nn.ReLU() with parentheses; a function goes into the forward of a module of your own",
            )
        check_name(name)
        if hasattr(type(self), name):
            raise UsageError(
                f"{type(self).__name__}: {name!r} cannot be a module's name: it is a method", hint=f"{name}_"
            )
        setattr(self, name, module)

    def _members(self) -> dict[str, Module]:
        return {name: member for name, member in vars(self).items() if isinstance(member, Module)}

    def _at(self, index: int) -> str:
        names = list(self._members())
        if not -len(names) <= index < len(names):
            raise RangeError(f"{type(self).__name__}: there is no module {index}; it has {len(names)}")
        return names[index]

    def _part(self, index: slice) -> Any:
        """Some of the modules, which keep their names: it is still the same network that they are in."""
        part = type(self)()
        vars(part).update(list(self._members().items())[index], _path=self.path, training=self.training)
        return part

    def __iter__(self) -> Iterator[Module]:
        return iter(self._members().values())

    def __len__(self) -> int:
        return len(self._members())

    def append(self, module: Module) -> Self:
        """Add a module at the end; returns this module."""
        self._put(str(len(self)), module)
        return self

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return self._part(index)
        return self._members()[self._at(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        self._put(self._at(index), module)


class Sequential(_Ordered):
    """One module after the other: each gets the output of the one before.

    Args:
        modules: the modules; or one dictionary of names and modules.

    >>> import clearprop as cp
    >>> from clearprop import nn
    >>> model = nn.Sequential({"hidden": nn.Linear(2, 8), "act": nn.Tanh(), "output": nn.Linear(8, 1)})
    >>> model(cp.ones((5, 2))).shape, model.hidden is model[0], len(model[:2])
    ((5, 1), True, 2)
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named: Iterable[tuple[str, Any]] = modules[0].items()
        else:
            named = ((str(i), module) for i, module in enumerate(modules))
        for name, module in named:
            self._put(name, module)

    def forward(self, x: Any) -> Any:
        """The output of the last module; x itself if there is none."""
        for member in list(vars(self).values()):
            if isinstance(member, Module):
                x = member(x)
        return x


class ModuleList(_Ordered):
    """A list of modules, for a ``forward`` of your own.

    >>> from clearprop import nn
    >>> layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    >>> len(layers), [name for name, _ in layers.named_children()]
    (3, ['0', '1', '2'])
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        for i, module in enumerate(modules):
            self._put(str(i), module)


class ModuleDict(Module):
    """A dictionary of modules, for a ``forward`` of your own.

    >>> from clearprop import nn
    >>> heads = nn.ModuleDict({"digit": nn.Linear(8, 10), "parity": nn.Linear(8, 2)})
    >>> heads["digit"].out_features, list(heads.keys())
    (10, ['digit', 'parity'])
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        for name, module in (modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise UsageError(f"ModuleDict: {module!r} is not a module"[:200])
        if hasattr(type(self), name):
            raise UsageError(f"ModuleDict: {name!r} cannot be a module's name: it is a method", hint=f"{name}_")
        setattr(self, name, module)

    def __getitem__(self, name: str) -> Module:
        return self._members()[name]

    def _members(self) -> dict[str, Module]:
        return {name: member for name, member in vars(self).items() if isinstance(member, Module)}

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._members().keys()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._members().values()

    def items(self) -> ItemsView[str, Module]:
        """Names and modules."""
        return self._members().items()

    def __iter__(self) -> Iterator[str]:
        return iter(self._members())

    def __len__(self) -> int:
        return len(self._members())

    def __contains__(self, name: object) -> bool:
        return name in self._members()


class Residual(Module):
    """y = x + f(x): a path around a module on which the gradient arrives unchanged (He et al. 2015).

    >>> import clearprop as cp
    >>> from clearprop import nn
    >>> nn.Residual(nn.Linear(4, 4))(cp.ones((5, 4))).shape
    (5, 4)
    """

    def __init__(self, module: Module) -> None:
        self.module = module

    def forward(self, x: Any) -> Tensor:
        """X plus what the module makes of it; the shapes must be equal."""
        return add(x, self.module(x))

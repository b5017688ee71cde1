"""Modules made of modules."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, overload

from clearprop.arguments import is_whole
from clearprop.array import add
from clearprop.errors import RangeError, ShapeError, UsageError
from clearprop.nn.module import Module, check_name
from clearprop.tensor import Tensor, as_tensor


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
        if not is_whole(index) or not -len(names) <= index < len(names):
            raise RangeError(
                f"{type(self).__name__}: there is no module {index!r}; it has {len(names)}",
                hint=f"one of 0 to {len(names) - 1}" if names else "append one first",
            )
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
        if not isinstance(modules, Iterable):
            raise UsageError(f"ModuleList: {modules!r} is no list of modules"[:200], hint="nn.ModuleList([module])")
        for i, module in enumerate(modules):
            self._put(str(i), module)

    def forward(self, *_: Any, **__: Any) -> Any:
        """It only holds modules: which of them is called, and on what, says the module that it is part of.

        Raises:
            UsageError: always.
        """
        raise UsageError("ModuleList holds modules and computes nothing", hint="for layer in layers: x = layer(x)")


class ModuleDict(Module):
    """A dictionary of modules, for a ``forward`` of your own.

    >>> from clearprop import nn
    >>> heads = nn.ModuleDict({"digit": nn.Linear(8, 10), "parity": nn.Linear(8, 2)})
    >>> heads["digit"].out_features, list(heads.keys())
    (10, ['digit', 'parity'])
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        try:
            named = dict(modules or {})
        except (TypeError, ValueError):
            raise UsageError(
                f"ModuleDict: {modules!r} is no dictionary of modules"[:200], hint='nn.ModuleDict({"name": module})'
            ) from None
        for name, module in named.items():
            self[name] = module

    def forward(self, *_: Any, **__: Any) -> Any:
        """It only holds modules, as `ModuleList` does.

        Raises:
            UsageError: always.
        """
        raise UsageError("ModuleDict holds modules and computes nothing", hint="x = modules[name](x)")

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise UsageError(f"ModuleDict: {module!r} is not a module"[:200], hint="nn.ReLU() with parentheses")
        check_name(name)
        if hasattr(type(self), name):
            raise UsageError(f"ModuleDict: {name!r} cannot be a module's name: it is a method", hint=f"{name}_")
        setattr(self, name, module)

    def __getitem__(self, name: str) -> Module:
        members = self._members()
        if name not in members:  # what dictionaries raise, in words
            raise KeyError(f"ModuleDict: there is no module {name!r}; it has {', '.join(members) or 'none'}")
        return members[name]

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
        """X plus what the module makes of it.

        Raises:
            ShapeError: if their shapes differ: they are not broadcast.
        """
        start, made = as_tensor(x), as_tensor(self.module(x))
        if start.shape != made.shape:
            raise ShapeError(
                f"Residual: x has shape {start.shape}, the module makes {made.shape} of it; they must be equal",
                hint="a module that keeps the shape, or a forward of your own: shortcut(x) + module(x)",
            )
        return add(start, made)

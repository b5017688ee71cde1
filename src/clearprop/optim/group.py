"""Parameters that are trained with the same settings.

The numbers among the settings are cells, so that a compiled training step reads them at every call instead of keeping
those of the first; for the user they read and assign like plain numbers: ``group["lr"] *= 0.1``. Flags, and optional
numbers that are no longer 0, make it another step: that is counted like a change of a module's attributes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from clearprop.cell import Cell, Parameter
from clearprop.errors import UsageError
from clearprop.nn.module import Module
from clearprop.tensor import Tensor

_FLAGS = frozenset({"nesterov", "maximize", "amsgrad", "centered", "decoupled_weight_decay"})
_PAIRS = frozenset({"betas"})
_AT_MOST_ONE = frozenset({"alpha", "rho"})
_ADDED_LATER = frozenset({"initial_lr"})
"""What a schedule notes in a group: the learning rate from which it began. PyTorch's name."""


class ParamGroup(MutableMapping[str, Any]):
    """A dictionary of ``"params"`` and of the settings for them.

    Args:
        owner: the optimizer's name, for messages.
        params: the parameters.
        settings: numbers, tuples of numbers and flags, by name.
        optional: settings that do nothing where they are 0, such as ``weight_decay``. They become cells when they are
            first given another value: until then nothing is computed for them.

    >>> import clearprop as cp
    >>> from clearprop import optim
    >>> optimizer = optim.SGD([cp.Parameter([1.0])], lr=0.5)
    >>> group = optimizer.param_groups[0]
    >>> group["lr"] *= 0.1
    >>> group["lr"], group["momentum"], group["nesterov"]
    (0.05, 0.0, False)
    """

    def __init__(
        self, owner: str, params: Sequence[Parameter], settings: Mapping[str, Any], optional: frozenset[str]
    ) -> None:
        self.owner = owner
        self.params = list(params)
        self.optional = optional
        self._settings: dict[str, Any] = {}
        for name, value in settings.items():
            self._put(name, value)

    __hash__ = object.__hash__  # a group is itself, whatever its settings

    def tensor(self, name: str) -> Tensor | None:
        """A number as a float64 tensor, as the update uses it; None for an optional one that has always been 0."""
        held = self._settings[name]
        return held.value if isinstance(held, Cell) else None

    def tensors(self, name: str) -> tuple[Tensor, ...]:
        """The same for a tuple of numbers."""
        return tuple(cell.value for cell in self._settings[name])

    def settings(self) -> dict[str, Any]:
        """All settings as plain values, without the parameters."""
        return {name: self[name] for name in self._settings}

    def take_over(self, other: ParamGroup) -> None:
        """Assign the settings of another group, which must have the same; what is no cell there is none here either."""
        for name, held in other._settings.items():
            if name in self.optional and not isinstance(held, Cell):
                self._hold(name, held)
            else:
                self[name] = other[name]

    def __getitem__(self, name: str) -> Any:
        if name == "params":
            return self.params
        if name not in self._settings:  # what dictionaries raise, in words
            raise KeyError(f"{self.owner} has no setting {name!r}; it has {', '.join(self._settings)}")
        held = self._settings[name]
        if isinstance(held, tuple):
            return tuple(cell.item() for cell in held)
        return held.item() if isinstance(held, Cell) else held

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "params":
            raise UsageError(f"{self.owner}: the parameters of a group cannot be replaced", hint="add_param_group(...)")
        if name not in self._settings and name not in _ADDED_LATER:
            raise UsageError(f"{self.owner} has no setting {name}", hint=f"it has {', '.join(self._settings)}")
        self._put(name, value)

    def _put(self, name: str, value: Any) -> None:
        if name in _FLAGS:
            if not isinstance(value, bool):
                raise UsageError(f"{self.owner}: {name}={value!r}", hint="True or False")
            self._hold(name, value)
            return
        held = self._settings.get(name)
        numbers = _numbers(self.owner, name, value)
        if name in _PAIRS:
            self._hold(name, _assigned(name, held, numbers))
        elif isinstance(held, Cell):
            held.assign(np.float64(numbers[0]))
        elif name in self.optional and numbers[0] == 0.0:
            self._hold(name, 0.0)
        else:
            self._hold(name, Cell(np.float64(numbers[0]), name=name))

    def _hold(self, name: str, setting: Any) -> None:
        """Keep a cell, several, or a plain value; where a step reads another one, the dictionary is another, too."""
        if name in _ADDED_LATER:
            self._settings[name] = setting
            return
        before = self._settings.get(name)
        is_plain = isinstance(setting, (bool, float)) and type(before) is type(setting)
        if before is not setting and not (is_plain and before == setting):
            self._settings = {**self._settings, name: setting}
            Module.changes += 1

    def __delitem__(self, name: str) -> None:
        raise UsageError(f"{self.owner}: a setting cannot be removed", hint=f'group["{name}"] = another value')

    def __iter__(self) -> Iterator[str]:
        return iter(["params", *self._settings])

    def __len__(self) -> int:
        return 1 + len(self._settings)

    def __repr__(self) -> str:
        return f"{{'params': {len(self.params)} parameters, {str(self.settings())[1:-1]}}}"


def _assigned(name: str, held: Any, numbers: Sequence[float]) -> tuple[Cell, ...]:
    """A tuple of cells; those that are there keep their identity."""
    if held is None:
        return tuple(Cell(np.float64(number), name=f"{name}.{i}") for i, number in enumerate(numbers))
    cells: tuple[Cell, ...] = held
    for cell, number in zip(cells, numbers, strict=True):
        cell.assign(np.float64(number))
    return cells


def _numbers(owner: str, name: str, value: Any) -> list[float]:
    """Checked: one number or two, finite, not negative, and not above 1 where the setting is a share.

    Raises:
        UsageError: names the setting and its range.
    """
    if name in _PAIRS:
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise UsageError(f"{owner}: {name}={value!r} are not two numbers", hint=f"{name}=(0.9, 0.999)")
        numbers, range_ = [_number(owner, name, one) for one in value], "from 0 to below 1"
        fits = all(0.0 <= number < 1.0 for number in numbers)
    else:
        number = _number(owner, name, value)
        share = name in _AT_MOST_ONE
        numbers, range_ = [number], "from 0 to 1" if share else "a number from 0 on"
        fits = 0.0 <= number <= 1.0 if share else 0.0 <= number < math.inf
    if not fits:
        raise UsageError(f"{owner}: {name}={value}", hint=range_)
    return numbers


def _number(owner: str, name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{owner}: {name}={value!r} is not a number", hint=f"{name}=0.01") from None

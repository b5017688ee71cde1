"""Parameters that are trained with the same settings.

The numbers among the settings are cells, so that a compiled training step reads them at every call instead of keeping
those of the first; for the user they read and assign like plain numbers: ``group["lr"] *= 0.1``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from clearprop.errors import UsageError
from clearprop.tensor import Cell, Parameter, Tensor

_BELOW_ONE = ("betas",)
_FLAGS = ("nesterov",)


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
            self[name] = value

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

    def __getitem__(self, name: str) -> Any:
        if name == "params":
            return self.params
        held = self._settings[name]
        if isinstance(held, tuple):
            return tuple(cell.item() for cell in held)
        return held.item() if isinstance(held, Cell) else held

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "params":
            raise UsageError(f"{self.owner}: the parameters of a group cannot be replaced", hint="add_param_group(...)")
        if name in _FLAGS:
            self._settings[name] = bool(value)
            return
        held = self._settings.get(name)
        numbers = _numbers(self.owner, name, value)
        if isinstance(value, (tuple, list)):
            self._settings[name] = _assigned(name, held, numbers)
        elif isinstance(held, Cell):
            held.assign(np.float64(numbers[0]))
        elif name in self.optional and numbers[0] == 0.0:
            self._settings[name] = 0.0
        else:
            self._settings[name] = Cell(np.float64(numbers[0]), name=name)

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
    if not isinstance(held, tuple) or len(held) != len(numbers):
        return tuple(Cell(np.float64(number), name=f"{name}.{i}") for i, number in enumerate(numbers))
    for cell, number in zip(held, numbers, strict=True):
        cell.assign(np.float64(number))
    return held


def _numbers(owner: str, name: str, value: Any) -> list[float]:
    """Checked: finite, not negative, and below 1 where the setting is a share.

    Raises:
        UsageError: names the setting and its range.
    """
    try:
        numbers = [float(number) for number in (value if isinstance(value, (tuple, list)) else [value])]
    except (TypeError, ValueError):
        raise UsageError(f"{owner}: {name}={value!r} is not a number", hint=f"{name}=0.01") from None
    below = name in _BELOW_ONE
    if any(not (0.0 <= number < (1.0 if below else math.inf)) for number in numbers):
        raise UsageError(f"{owner}: {name}={value}", hint="from 0 to below 1" if below else "a number from 0 on")
    return numbers

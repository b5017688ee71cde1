"""Optimizers whose step depends on how often a parameter has been updated.

PyTorch counts for each parameter, which is right where one has no gradient in some steps; computing the numbers of a
step for each would cost more than the update of a small one. Here parameters that have always been updated together
share one clock: the cells that depend on the count alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from clearprop.cell import Cell
from clearprop.optim.group import ParamGroup
from clearprop.optim.optimizer import Optimizer
from clearprop.primitives import add


class CountingOptimizer(Optimizer):
    """Base of those that count. The count is the cell ``"step"`` of each parameter's state."""

    clock: ClassVar[Mapping[str, Any]] = {"step": np.int64(0)}
    """The cells that depend on the count alone, with what they hold at first."""

    scalars = frozenset({"step"})

    def prepare(self, group: ParamGroup) -> None:
        """One clock for all parameters of the group, and the cells of `expected_slots`, zeros, for each."""
        clock = {name: Cell(first, name=name) for name, first in self.clock.items()}
        for param in group.params:
            for name in self.expected_slots(group):
                if name in clock:
                    self.state[param].setdefault(name, clock[name])
                else:
                    self.slot(param, name)

    def count(self, group: ParamGroup) -> list[Mapping[str, Cell]]:
        """Count this step; returns the clocks of the parameters that have a gradient.

        One that has none this time gets a clock of its own, which stands still.
        """
        active: dict[Cell, Mapping[str, Cell]] = {}
        idle = []
        for param in group.params:
            state = self.state[param]
            if param.grad is None:
                idle.append(state)
            elif state["step"] not in active:
                active[state["step"]] = {name: state[name] for name in self.clock}
        stopped: dict[Cell, dict[str, Cell]] = {}
        for state in idle:
            step = state["step"]
            if step in active:
                if step not in stopped:
                    stopped[step] = {name: Cell(cell.peek(), name=name) for name, cell in active[step].items()}
                state.update(stopped[step])
        if stopped:
            self.renew_state()
        for step in active:
            step.assign(add(step.value, 1))
        return list(active.values())

    def restore(self, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Assign saved values; parameters that were updated equally often share one clock again."""
        numbers = {param: i for i, param in enumerate(self.state)}
        for group in self.param_groups:
            clocks: dict[tuple[float, ...], dict[str, Cell]] = {}
            if "step" not in self.expected_slots(group):
                continue
            for param in group.params:
                saved = tuple(values[f"{numbers[param]}.{name}"].item() for name in self.clock)
                if saved not in clocks:
                    clocks[saved] = {name: Cell(first, name=name) for name, first in self.clock.items()}
                self.state[param].update(clocks[saved])
        super().restore(values)

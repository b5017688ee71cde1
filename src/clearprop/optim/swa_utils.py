"""Averages of the weights of a network over its training, which often do better than the last ones.

P. Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018: equal weights (SWA).
B. Polyak, A. Juditsky, "Acceleration of stochastic approximation by averaging", 1992; exponential ones (EMA) are common
with the networks of today.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from clearprop.arguments import function
from clearprop.array import equal, where
from clearprop.array.promotion import cast_to
from clearprop.autodiff import no_grad
from clearprop.cell import Buffer, Cell
from clearprop.errors import DataError, UsageError
from clearprop.graph import state
from clearprop.nn import Module
from clearprop.nn.normalization import BatchNorm
from clearprop.primitive import numpy_dtype
from clearprop.primitives import add, divide, multiply, subtract
from clearprop.tensor import Tensor

__all__ = [
    "Average",
    "AverageAll",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average: TypeAlias = Callable[[Any, Any, Any], Any]
"""(average up to now, present value, how many values are in the average) -> new average."""

AverageAll: TypeAlias = Callable[[Sequence[Cell], Sequence[Tensor], Any], None]
"""The same for all weights at once: it assigns the new averages to the cells."""


class AveragedModel(Module):
    """A network whose weights are the average of those that another network has had.

    It begins as a copy, and is then shown the network again and again by `update_parameters`.

    Args:
        model: the network. It is copied.
        avg_fn: how a new value is taken into an average, see `get_ema_avg_fn`. By default all values count the same.
        multi_avg_fn: the same for all weights at once, see `get_ema_multi_avg_fn`.
        use_buffers: average the buffers too, instead of taking over their present values.

    Attributes:
        module: the network with the averages.
        n_averaged: a buffer; how many values are in them.

    Raises:
        UsageError: both functions are given.

    >>> import clearprop as cp
    >>> from clearprop import nn, optim
    >>> model = nn.Linear(1, 1, bias=False)
    >>> ema = optim.swa_utils.AveragedModel(model, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.75))
    >>> for weight in (0.0, 4.0, 4.0):
    ...     model.weight.assign([[weight]])
    ...     ema.update_parameters(model)
    >>> ema.module.weight.item(), ema(cp.ones((1, 1))).item()
    (1.75, 1.75)
    """

    def __init__(
        self,
        model: Module,
        *,
        avg_fn: Average | None = None,
        multi_avg_fn: AverageAll | None = None,
        use_buffers: bool = False,
    ) -> None:
        _check_model("AveragedModel", model)
        if avg_fn is not None and multi_avg_fn is not None:
            raise UsageError("AveragedModel: avg_fn and multi_avg_fn are two ways to say one thing", hint="one of them")
        for label, given in (("avg_fn", avg_fn), ("multi_avg_fn", multi_avg_fn)):
            if given is not None:
                function("AveragedModel", label, given, f"optim.swa_utils.get_ema_{label}(0.999)")
        self.module = copy.deepcopy(model)
        self.n_averaged = Buffer(np.int64(0))
        self.use_buffers = use_buffers
        self._average_all = multi_avg_fn or _one_by_one(avg_fn or get_swa_avg_fn())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the network with the averages."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the present weights of a network into the averages; the first ones are taken over as they are.

        Raises:
            UsageError: the network has other parameters or buffers than the one that was copied; nothing is changed.
        """
        _check_model("AveragedModel", model)
        pairs = self._pairs(model)
        averaged = [(own, value) for own, value, is_averaged in pairs if is_averaged]
        with no_grad():
            count = self.n_averaged.value
            if state.tracer is None and count.item() == 0:
                for own, value in averaged:
                    own.assign(value)
            else:
                self._average_all([own for own, _ in averaged], [value for _, value in averaged], count)
            if state.tracer is not None:  # a compiled function must do for the first values, and for those that follow
                for own, value in averaged:
                    own.assign(where(equal(count, 0), value, own.value))
            for own, value, is_averaged in pairs:
                if not is_averaged:
                    own.assign(value)
            self.n_averaged.assign(add(count, 1))

    def _pairs(self, model: Module) -> list[tuple[Cell, Tensor, bool]]:
        """Each own cell with the present value of the network, and whether it is averaged."""
        own, theirs = dict(self.module.named_cells()), dict(model.named_cells())
        differ = [
            name
            for name in {**own, **theirs}
            if name not in own or name not in theirs or own[name].shape != theirs[name].shape
        ]
        if differ:
            shown = ", ".join(differ[:4]) + (f" and {len(differ) - 4} more" if len(differ) > 4 else "")
            raise UsageError(
                f"AveragedModel: this network differs from the one that was copied: {shown}",
                hint="update_parameters(model) with the model that is trained",
            )
        return [
            (cell, cast_to(Tensor(theirs[name].value.array), numpy_dtype(cell.peek())), self._is_averaged(cell))
            for name, cell in own.items()
        ]

    def _is_averaged(self, cell: Cell) -> bool:
        return self.use_buffers or not isinstance(cell, Buffer)


def update_bn(loader: Iterable[Any], model: Module) -> None:
    """Measure the running statistics of all batch normalizations anew: those of other weights do not fit the averages.

    Args:
        loader: batches, or tuples whose first entry is the input. They are gone through once, in training mode.
        model: the network with the averages. Afterwards its modules are in the modes they were in.

    Raises:
        DataError: there are no batches. The statistics are then, as after any error, those of before.

    >>> import clearprop as cp
    >>> from clearprop import nn, optim
    >>> model = optim.swa_utils.AveragedModel(nn.BatchNorm1d(1))
    >>> optim.swa_utils.update_bn([cp.tensor([[1.0], [3.0]]), cp.tensor([[5.0], [7.0]])], model)
    >>> model.module.running_mean.value
    Tensor([4.], dtype=float32)
    """
    _check_model("update_bn", model)
    if not isinstance(loader, Iterable):
        raise UsageError(
            f"update_bn: the loader is a {type(loader).__name__}", hint="a DataLoader, or a list of batches"
        )
    layers = [module for module in model.modules() if isinstance(module, BatchNorm)]
    if not layers:
        return
    before = [(buffer, buffer.value) for layer in layers for buffer in layer.buffers()]
    modes = [(module, module.training) for module in model.modules()]
    momenta = [layer.momentum for layer in layers]
    try:
        model.train()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the mean of all batches
        batches = 0
        with no_grad():
            for batches, batch in enumerate(loader, 1):  # noqa: B007 (how many there were)
                model(batch[0] if isinstance(batch, (tuple, list)) else batch)
        if not batches:
            raise DataError("update_bn: there are no batches", hint="check how they were selected or read")
    except BaseException:
        for buffer, value in before:
            buffer.assign(value)
        raise
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, mode in modes:
            module.training = mode


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """average ← decay average + (1 - decay) value.

    Raises:
        UsageError: the decay is not between 0 and 1.

    >>> import clearprop as cp
    >>> get_ema_avg_fn(0.75)(cp.tensor(0.0), cp.tensor(4.0), 1)
    Tensor(1., dtype=float32)
    """
    _check_decay(decay)

    def ema_update(average: Any, value: Any, num_averaged: Any) -> Any:
        return add(multiply(average, decay), multiply(value, 1.0 - decay))

    return ema_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageAll:
    """The same for all weights at once; see `AveragedModel`.

    >>> import clearprop as cp
    >>> average = cp.Parameter([0.0])
    >>> get_ema_multi_avg_fn(0.75)([average], [cp.tensor([4.0])], 1)
    >>> average.item()
    1.0
    """
    return _one_by_one(get_ema_avg_fn(decay))


def get_swa_avg_fn() -> Average:
    """average ← average + (value - average) / (n + 1): the mean of all values.

    >>> import clearprop as cp
    >>> get_swa_avg_fn()(cp.tensor(1.0), cp.tensor(4.0), cp.tensor(2))  # the mean of two values is 1, the third is 4
    Tensor(2., dtype=float32)
    """

    def swa_update(average: Any, value: Any, num_averaged: Any) -> Any:
        count = cast_to(add(num_averaged, 1), numpy_dtype(average))
        return add(average, divide(subtract(value, average), count))

    return swa_update


def get_swa_multi_avg_fn() -> AverageAll:
    """The same for all weights at once.

    >>> import clearprop as cp
    >>> average = cp.Parameter([1.0])
    >>> get_swa_multi_avg_fn()([average], [cp.tensor([4.0])], cp.tensor(2))
    >>> average.item()
    2.0
    """
    return _one_by_one(get_swa_avg_fn())


def _one_by_one(average: Average) -> AverageAll:
    """Averages of integers are taken in float64 and cut off, as in PyTorch."""

    def update(cells: Sequence[Cell], values: Sequence[Tensor], num_averaged: Any) -> None:
        for cell, value in zip(cells, values, strict=True):
            own, dtype = Tensor(cell.value.array), numpy_dtype(value)
            if dtype.kind != "f":
                own, value = cast_to(own, np.dtype(np.float64)), cast_to(value, np.dtype(np.float64))
            cell.assign(cast_to(average(own, value, num_averaged), dtype))

    return update


def _check_model(name: str, model: Any) -> None:
    if not isinstance(model, Module):
        raise UsageError(f"{name}: the model is a {type(model).__name__}", hint="an nn.Module")


def _check_decay(decay: Any) -> None:
    if isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0.0 <= decay <= 1.0:
        raise UsageError(f"get_ema_multi_avg_fn: decay={decay!r}", hint="a number from 0 to 1: decay=0.999")

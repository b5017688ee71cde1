"""What is checked: a network, a loss and a batch; always a copy of the network, so that the user's stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.array import check_finite
from clearprop.cell import Parameter, zero_gradients
from clearprop.errors import UsageError
from clearprop.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Module
from clearprop.random import default_generator
from clearprop.tensor import Tensor, as_tensor
from clearprop.train.checks import split_batch
from clearprop.train.unchanged import Unchanged

Array = np.ndarray[Any, Any]
FEW = 8
"""So many examples are enough where all of a batch would take long."""

BATCH_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d)


@dataclass(frozen=True)
class Subject:
    """A network with its loss and a batch.

    Args:
        model: the user's; never called, only copied.
        loss: of an output and a target.
        inputs: of the batch.
        target: of the batch.
    """

    model: Module
    loss: Callable[[Any, Any], Any]
    inputs: tuple[Tensor, ...]
    target: Tensor

    @classmethod
    def of(cls, model: Any, loss: Any, batch: Any, owner: str = "check") -> Subject:
        """Check the arguments of `check`, or of another function of this name, and take them apart.

        Raises:
            UsageError, DataError: they are no network, no loss, no batch.
        """
        if not isinstance(model, Module):
            raise UsageError(f"{owner}: the model is a {type(model).__name__}", hint="an nn.Module")
        if not callable(loss) or isinstance(loss, type):
            raise UsageError(
                f"{owner}: the loss is {getattr(loss, '__name__', repr(loss))}", hint="nn.CrossEntropyLoss()"
            )
        inputs, target = split_batch(batch, owner)
        return cls(model, loss, tuple(map(as_tensor, inputs)), as_tensor(target))

    @property
    def examples(self) -> int:
        """The length of the batch, by the target; 0 if that is a single number."""
        return self.target.shape[0] if self.target.ndim else 0

    @property
    def has_batch_axis(self) -> bool:
        """Whether the first axis of everything counts the examples."""
        return self.examples > 0 and all(x.ndim and x.shape[0] == self.examples for x in self.inputs)

    def part(self, rows: Array) -> Subject:
        """The same with some of the examples, by their places."""
        return Subject(
            self.model, self.loss, tuple(selected(x, rows) for x in self.inputs), selected(self.target, rows)
        )

    def copy(self, *, quiet: bool = True) -> Module:
        """The network once more.

        Args:
            quiet: in evaluation mode but for batch normalizations, so without dropout; else in training mode.
        """
        model = copy.deepcopy(self.model)
        zero_gradients(model.parameters(), set_to_none=True)  # of an earlier training
        model.train(not quiet)
        for module in model.modules() if quiet else ():
            if isinstance(module, BATCH_NORMS):
                module.training = True
        return model

    def loss_of(self, model: Module) -> Tensor:
        """The loss of the batch."""
        loss: Tensor = self.loss(model(*self.inputs), self.target)
        return loss

    def class_axis(self, output: Any) -> int | None:
        """The axis of the classes in an output, if that is a tensor and the targets are labels; None if not."""
        labels = self.target.shape
        if not isinstance(output, Tensor) or self.target.array.dtype.kind not in "iu" or output.ndim != len(labels) + 1:
            return None
        if (output.shape[0], *output.shape[2:]) == labels:
            return 1
        return output.ndim - 1 if output.shape[:-1] == labels else None


@contextmanager
def nothing_changed() -> Iterator[None]:
    """Inside, random numbers begin with seed 0; afterwards all cells, and the random generator, are as before."""
    before = default_generator.state_dict()
    try:
        with Unchanged():
            default_generator.manual_seed(0)
            yield
    finally:
        default_generator.load_state_dict(before)


def trained(model: Module) -> list[tuple[str, Parameter]]:
    """The parameters of a network that are to be trained, with their names."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def selected(x: Tensor, rows: Array) -> Tensor:
    """Some examples of a batch, by their places."""
    return Tensor(np.ascontiguousarray(np.asarray(x.array)[rows]))


def as_number(loss: Any) -> float:
    """The loss as a number.

    Raises:
        UsageError: it is no tensor of one element.
        NotFiniteError: it is NaN or infinite.
    """
    if not isinstance(loss, Tensor) or loss.size != 1:
        what = f"shape {loss.shape}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise UsageError(f"the loss must be one number as a tensor; it is {what}", hint="loss.mean()")
    return float(check_finite(loss, "the loss").item())

"""Gradient accumulation: one update of the weights for several batches, as if they were one large batch.

A loss is a mean over its batch. The mean over a large batch is that of the means of its parts, each weighted with its
examples: sums of gradients times examples are kept, and divided by all examples when the group is complete. So nothing
need be known ahead, and a group that is smaller, at the end of an epoch, is a mean over what there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from clearprop.array import where
from clearprop.array.promotion import cast_to
from clearprop.autodiff import no_grad
from clearprop.cell import Cell, Parameter
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor


class GradientSums:
    """Sums of gradients over the batches of a group.

    The sums are cells, so that a compiled step adds to them where they lie. All else is counted in Python.

    Args:
        parameters: those that are trained.

    Attributes:
        reached: the places of the parameters to which a gradient has come in this group; as ever, an optimizer leaves
            those alone to which none has.
        examples: how many the group has up to now.
        loss: the sum of their losses.

    >>> import clearprop as cp
    >>> w = cp.Parameter([0.0])
    >>> sums = GradientSums([w])
    >>> for gradient, examples in ((1.0, 3), (5.0, 1)):
    ...     w.grad = cp.tensor([gradient * examples])
    ...     sums.note(sums.add(), examples, loss=0.0)
    >>> sums.put(cp.tensor(sums.examples))
    >>> w.grad
    Tensor([2.], dtype=float32)
    """

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self._parameters = list(parameters)
        self._sums = [Cell(np.zeros(p.shape, numpy_dtype(p.peek())), name=f"{p.name}.sum") for p in self._parameters]
        self.begin()

    @property
    def is_empty(self) -> bool:
        """Whether no batch of a group has come yet."""
        return self.examples == 0

    @property
    def mean_loss(self) -> float:
        """Of the examples of the group up to now."""
        return self.loss / self.examples

    def begin(self) -> None:
        """Begin another group; `put` has been called, perhaps as part of a compiled function."""
        self.reached: set[int] = set()
        self.examples, self.loss = 0, 0.0

    def note(self, reached: Iterable[int], examples: int, loss: float) -> None:
        """Count a batch whose gradients have been added.

        Args:
            reached: what `add` returned.
            loss: its mean.
        """
        self.reached.update(reached)
        self.examples += examples
        self.loss += loss * examples

    def add(self) -> tuple[int, ...]:
        """Add gradients, of a loss that was multiplied with the number of its examples, to the sums.

        Returns:
            the places of the parameters that have one.
        """
        with no_grad():
            reached = []
            for place, (parameter, total) in enumerate(zip(self._parameters, self._sums, strict=True)):
                gradient = parameter.grad
                if gradient is not None:
                    total.assign(total.value + gradient)
                    reached.append(place)
        return tuple(reached)

    def put(self, examples: Tensor) -> None:
        """Give each parameter that was reached the mean as its gradient, the others none, and set the sums to 0.

        Args:
            examples: how many there are, a number from 1 on.
        """
        with no_grad():
            nobody = examples < 1  # never, but a compiler does not know; it writes the 0 where the sum lies
            for place, (parameter, total) in enumerate(zip(self._parameters, self._sums, strict=True)):
                if place not in self.reached:
                    parameter.grad = None
                    continue
                dtype = numpy_dtype(total.peek())
                parameter.grad = total.value / cast_to(examples, dtype)
                total.assign(where(nobody, total.value, np.zeros((), dtype)))

    def state_dict(self) -> dict[str, Any]:
        """The sums, if a group has begun."""
        if self.is_empty:
            return {}
        sums = {str(place): Tensor(self._sums[place].value.array) for place in sorted(self.reached)}
        return {"sums": sums, "examples": self.examples, "loss": self.loss}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another group was."""
        self.begin()
        if not state:
            return
        for place, array in state["sums"].items():
            self._sums[int(place)].assign(array)
            self.reached.add(int(place))
        self.examples, self.loss = state["examples"], state["loss"]

"""Gradient accumulation: one update of the weights for several batches, as if they were one large batch.

A loss is a mean over its batch. The mean over a large batch is that of the means of its parts, each weighted with its
examples: sums of gradients times examples are kept, and divided by all examples when the group is complete. So nothing
need be known ahead, and a group that is smaller, at the end of an epoch, is a mean over what there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from clearprop.array import broadcast_to
from clearprop.array.promotion import cast_to
from clearprop.autodiff import no_grad
from clearprop.cell import Cell, Parameter
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor


class GradientSums:
    """Sums of gradients over the batches of a group.

    The sums are cells, so that a compiled step adds to them where they lie.

    Args:
        parameters: those that are trained.

    Attributes:
        reached: the places of the parameters to which a gradient has come in this group; as ever, an optimizer leaves
            those alone to which none has.
        loss: the sum of the losses of the group's examples.

    >>> import clearprop as cp
    >>> w = cp.Parameter([0.0])
    >>> sums = GradientSums([w])
    >>> for gradient, examples in ((1.0, 3), (5.0, 1)):
    ...     w.grad = cp.tensor([gradient * examples])
    ...     sums.reached.update(sums.add(examples))
    >>> sums.put()
    >>> w.grad
    Tensor([2.], dtype=float32)
    """

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self._parameters = list(parameters)
        self._sums = [Cell(np.zeros(p.shape, numpy_dtype(p.peek())), name=f"{p.name}.sum") for p in self._parameters]
        self._examples = Cell(np.zeros((), np.int64), name="examples of the group")
        self.reached: set[int] = set()
        self.loss = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether no batch of a group has come yet."""
        return not self.reached

    @property
    def mean_loss(self) -> float:
        """Of the examples of the group up to now."""
        return self.loss / int(self._examples.peek_array())

    def add(self, examples: int) -> tuple[int, ...]:
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
            self._examples.assign(self._examples.value + examples)
        return tuple(reached)

    def put(self) -> None:
        """Give each parameter that was reached the mean as its gradient, the others none, and begin anew."""
        with no_grad():
            examples = self._examples.value
            for place, (parameter, total) in enumerate(zip(self._parameters, self._sums, strict=True)):
                if place not in self.reached:
                    parameter.grad = None
                    continue
                dtype = numpy_dtype(total.peek())
                parameter.grad = total.value / cast_to(examples, dtype)
                total.assign(broadcast_to(Tensor(np.zeros((), dtype)), total.shape))
            self._examples.assign(examples * 0)

    def begin(self) -> None:
        """Note that the group is done; `put` has been called, perhaps as part of a compiled function."""
        self.reached, self.loss = set(), 0.0

    def state_dict(self) -> dict[str, Any]:
        """The sums, if a group has begun."""
        if self.is_empty:
            return {}
        sums = {str(place): Tensor(self._sums[place].value.array) for place in sorted(self.reached)}
        return {"sums": sums, "examples": int(self._examples.peek_array()), "loss": self.loss}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another group was."""
        self.begin()
        if not state:
            return
        for place, array in state["sums"].items():
            self._sums[int(place)].assign(array)
            self.reached.add(int(place))
        self._examples.assign(state["examples"])
        self.loss = state["loss"]

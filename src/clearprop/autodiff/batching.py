"""Tensors with a hidden batch axis: how one function of one example runs on a whole batch at once.

Inside ``vmap`` a function sees a `Batched` tensor: it has the shape of one example, and holds, as its first axis, all
of them. A primitive applied to it asks its `batch` rule, which applies primitives to the tensors inside. The graph
therefore knows nothing of batching: it is recorded, and differentiated, on the tensors inside.

Calls of vmap may be nested. Each has a level; the one entered last has the highest and is the outermost wrapper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.dtypes import DType
from clearprop.errors import GradientError
from clearprop.graph import Node, leaf, state, take_number
from clearprop.primitive import Primitive, Value
from clearprop.primitives.control import identity
from clearprop.primitives.families import with_batch
from clearprop.primitives.shaping import permute
from clearprop.tensor import Tensor


def new_level() -> int:
    """A level above all that exist. It is a number as nodes have them, so that a trace can tell whether it is older."""
    return take_number()


class Batched(Tensor):
    """One example, as a function inside ``vmap`` sees it; in ``value`` all examples, along the first axis."""

    __slots__ = ("level", "value")

    def __init__(self, value: Tensor, level: int) -> None:
        self.value = value
        self.level = level

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes of one example."""
        return self.value.shape[1:]

    @property
    def dtype(self) -> DType:
        """Data type of the elements."""
        return self.value.dtype

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to it."""
        return self.value.requires_grad

    @property
    def node(self) -> Node | None:  # type: ignore[override]
        """The node of the whole batch."""
        return self.value.node

    @property
    def array(self) -> Any:
        """There is no single value inside vmap."""
        raise GradientError(
            "inside vmap a tensor stands for a whole batch and has no single value: no if, float() or numpy() on it",
            hint="cp.where(condition, a, b), or a Python loop instead of vmap",
        )

    def detach(self) -> Tensor:
        """The same values without history."""
        return Batched(self.value.detach(), self.level)

    def apply(self, primitive: Primitive, inputs: Sequence[Value], attributes: dict[str, Any]) -> Tensor:
        """Apply a primitive by its batch rule, one level down."""
        mapped = [isinstance(x, Batched) and x.level == self.level for x in inputs]
        values = [x.value if is_mapped else x for x, is_mapped in zip(inputs, mapped, strict=True)]
        return Batched(primitive.batch(values, mapped, self.value.shape[0], **attributes), self.level)

    def __repr__(self) -> str:
        return f"Batched({self.value!r}, level={self.level})"


def swap_first_two(x: Value) -> Value:
    """Axes 0 and 1 exchanged."""
    return permute(x, axes=(1, 0, *range(2, len(x.shape))))


def levels_of(x: Tensor) -> list[int]:
    """Levels of the wrappers around a tensor, from the outermost (highest) to the innermost."""
    levels = []
    while isinstance(x, Batched):
        levels.append(x.level)
        x = x.value
    return levels


def innermost(x: Tensor) -> Tensor:
    """The tensor with all batch axes showing."""
    while isinstance(x, Batched):
        x = x.value
    return x


def strip(x: Value, level: int, size: int) -> Value:
    """Take off the wrapper of one level, also from below others: its axis becomes the first that is seen.

    A value without that wrapper is the same for the whole batch and is repeated.
    """
    if not isinstance(x, Batched) or x.level < level:
        return with_batch(x, size)
    if x.level == level:
        return x.value
    return Batched(swap_first_two(strip(x.value, level, size)), x.level)


def wrap(x: Value, level: int) -> Value:
    """The opposite of `strip`: the first axis that is seen becomes the batch axis of that level."""
    if not isinstance(x, Batched) or x.level < level:
        return Batched(x if isinstance(x, Tensor) else Tensor(x), level)
    return Batched(wrap(swap_first_two(x.value), level), x.level)


def active_levels() -> list[tuple[int, int]]:
    """Level and batch size of every vmap that is running in this thread, the innermost call last."""
    return state.batches


class running:
    """Context in which one more vmap is running."""

    def __init__(self, level: int, size: int) -> None:
        self.entry = (level, size)

    def __enter__(self) -> None:
        state.batches = [*active_levels(), self.entry]

    def __exit__(self, *_: object) -> None:
        state.batches = active_levels()[:-1]


class Physical:
    """Which batch axes a tensor hides, so that other values can be brought to the same form and back.

    Backpropagation runs on the tensors inside; what goes into it (upstream gradients, tangents) and what comes out has
    to be translated. Values may hide further axes, of calls of vmap entered later; those stay.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.batches = []
        while isinstance(tensor, Batched):
            self.batches.append((tensor.level, tensor.value.shape[0]))
            tensor = tensor.value

    def show(self, x: Value) -> Value:
        """All these batch axes made ordinary first axes."""
        for level, size in self.batches:
            x = strip(x, level, size)
        return x

    def hide(self, x: Value) -> Value:
        """The opposite of `show`."""
        for level, _ in reversed(self.batches):
            x = wrap(x, level)
        return x


def fresh(x: Tensor) -> Tensor:
    """The same value behind a new node of its own, at which a gradient can be asked for.

    If a gradient flows to x already, the new node is an identity on top of it; otherwise it is a leaf. Inside vmap,
    values that are the same for the whole batch become batched, so that each example gets a gradient of its own.
    """
    if state.tracer is not None:  # what comes from outside a trace has its node in there
        x = state.tracer.lifted(x)
    present = levels_of(x)
    for level, size in active_levels():
        if level not in present:
            x = wrap(strip(x, level, size), level)
    return _with_node(x)


def _with_node(x: Tensor) -> Tensor:
    """The new node itself, on the tensor inside."""
    if isinstance(x, Batched):
        return Batched(_with_node(x.value), x.level)
    if x.node is None:
        return Tensor(x.array, leaf(x.array.shape, x.array.dtype, None))
    return identity(x)

"""How a value lies in memory: at which places of whose buffer.

Permuting, slicing, flipping and broadcasting compute nothing: the result is the same buffer read with other strides. So
does reshaping, where strides can say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from clearprop.graph import Node


class Positions(NamedTuple):
    """Which rows of a buffer a view shows: numbers that stand in another one.

    Attributes:
        source: the node in whose buffer they stand.
        strides: by axis of the view.
        offset: where the first of them stands.
        step: from one row to the next, in elements.
    """

    source: Node
    strides: tuple[int, ...]
    offset: int
    step: int


class View(NamedTuple):
    """A buffer read with strides.

    Attributes:
        source: the node in whose buffer the numbers stand, in order of rows.
        shape, strides: by axis; strides count elements.
        offset: where the first element stands.
        positions: so many rows further on an element stands besides, if positions say so; loop nests alone read such
            views, see `clearprop.compiler.native.lookup`.
    """

    source: Node
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    positions: Positions | None = None

    @property
    def sources(self) -> tuple[Node, ...]:
        """The nodes in whose buffers is read."""
        return (self.source,) if self.positions is None else (self.source, self.positions.source)

    @property
    def is_whole(self) -> bool:
        """Whether this is the buffer as it lies."""
        if self.offset or self.positions is not None:
            return False
        return self.shape == self.source.shape and self.strides == row_strides(self.shape)


def row_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of an array whose last axis runs fastest. Axes of length 1, which nobody walks along, have 0."""
    return _row_strides(tuple(shape))


@lru_cache(1 << 12)
def _row_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [0] * len(shape), 1
    for axis in reversed(range(len(shape))):
        strides[axis] = step if shape[axis] != 1 else 0
        step *= shape[axis]
    return tuple(strides)


def whole(node: Node) -> View:
    """A node's own buffer."""
    return View(node, node.shape, row_strides(node.shape))


def viewed(view: View, node: Node) -> View | None:
    """The output of a node that takes this view as its input; None if the node has to compute or to copy."""
    assert node.primitive is not None
    rule = _RULES.get(node.primitive.name)
    return None if rule is None else rule(view, node.shape, node.attributes)


def _permuted(view: View, shape: tuple[int, ...], attributes: dict[str, Any]) -> View:
    axes = attributes["axes"]
    return view._replace(shape=shape, strides=tuple(view.strides[axis] for axis in axes))


def _broadcast(view: View, shape: tuple[int, ...], attributes: dict[str, Any]) -> View:
    strides = iter(view.strides)
    return view._replace(
        shape=shape, strides=tuple(0 if i in attributes["axes"] else next(strides) for i in range(len(shape)))
    )


def _sliced(view: View, shape: tuple[int, ...], attributes: dict[str, Any]) -> View:
    moved = sum(first * stride for first, stride in zip(attributes["start"], view.strides, strict=True))
    strides = (stride * by for stride, by in zip(view.strides, attributes["step"], strict=True))
    return view._replace(shape=shape, strides=tuple(strides), offset=view.offset + moved)


def _flipped(view: View, shape: tuple[int, ...], attributes: dict[str, Any]) -> View:
    axes = attributes["axes"]
    moved = sum(view.strides[axis] * (view.shape[axis] - 1) for axis in axes)
    strides = (-stride if i in axes else stride for i, stride in enumerate(view.strides))
    return view._replace(strides=tuple(strides), offset=view.offset + moved)


def _same(view: View, shape: tuple[int, ...], attributes: dict[str, Any]) -> View:
    return view


def _reshaped(view: View, shape: tuple[int, ...], attributes: dict[str, Any]) -> View | None:
    """Runs of axes on both sides are matched by their sizes; each run must be walked through with one stride."""
    if 0 in shape:
        return view._replace(shape=shape, strides=(0,) * len(shape))
    old = [(n, s) for n, s in zip(view.shape, view.strides, strict=True) if n != 1]
    strides, i = [0] * len(shape), 0
    new_axes = [axis for axis, length in enumerate(shape) if length != 1]
    at = 0
    while at < len(new_axes):
        first, have, want = i, old[i][0], shape[new_axes[at]]
        run = [new_axes[at]]
        while have != want:
            if have < want:
                i += 1
                have *= old[i][0]
            else:
                at += 1
                run.append(new_axes[at])
                want *= shape[new_axes[at]]
        parts = old[first : i + 1]
        if any(a[1] != b[0] * b[1] for a, b in pairwise(parts)):
            return None
        step = parts[-1][1]
        for axis in reversed(run):
            strides[axis] = step
            step *= shape[axis]
        i, at = i + 1, at + 1
    return view._replace(shape=shape, strides=tuple(strides))


_RULES: dict[str, Any] = {
    "permute": _permuted,
    "broadcast": _broadcast,
    "slice": _sliced,
    "flip": _flipped,
    "reshape": _reshaped,
    "identity": _same,
    "stop_gradient": _same,
}

"""``vmap``: a function of one example, applied to a whole batch at once. What makes it work is in `batching`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from clearprop.arguments import function
from clearprop.autodiff.batching import Batched, levels_of, new_level, running, strip
from clearprop.autodiff.tree import flatten, is_leaf, rebuild
from clearprop.errors import ShapeError
from clearprop.primitive import Value
from clearprop.primitives.shaping import permute
from clearprop.tensor import Tensor, as_tensor


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """A function that applies ``f``, written for one example, to a whole batch at once.

    Args:
        in_axes: for each argument, which axis is the batch, or None if it is the same for all examples; a tuple, or one
            number for all arguments. For a nested argument one number for all its tensors, or numbers nested like it.
        out_axes: where the batch axis goes in each result; None for one that does not depend on the example.

    Raises:
        ShapeError: if batch sizes differ, or there is none.

    >>> import clearprop as cp
    >>> loss = lambda w, x: (w * x).sum()
    >>> w, xs = cp.tensor([1.0, 2.0]), cp.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> cp.vmap(cp.grad(loss), in_axes=(None, 0))(w, xs)       # per-example gradients
    Tensor([[1., 2.],
            [3., 4.]], dtype=float32)
    """
    function("vmap", "f", f, "a function of tensors: cp.vmap(lambda x: …)")

    @wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        axes = _axes_of_leaves(in_axes, list(args), "in_axes")
        xs = [x if axis is None else as_tensor(x) for x, axis in zip(flatten(list(args)), axes, strict=True)]
        level, size = new_level(), _batch_size(xs, axes)
        batched = [x if axis is None else _hide_axis(x, axis, level) for x, axis in zip(xs, axes, strict=True)]
        with running(level, size):
            result = f(*rebuild(list(args), batched), **kwargs)
            ys = [as_tensor(y) for y in flatten(result)]
            places = _axes_of_leaves(out_axes, result, "out_axes")
            return rebuild(result, [_show_axis(y, axis, level, size) for y, axis in zip(ys, places, strict=True)])

    return transformed


def _axes_of_leaves(axes: Any, tree: Any, name: str) -> list[int | None]:
    """One axis for each leaf of a tree. Axes are nested like the tree; a number, or None, stands for all below it."""
    if axes is None or isinstance(axes, int):
        return [axes] * len(flatten(tree))
    if is_leaf(tree) or is_leaf(axes) or isinstance(tree, dict) != isinstance(axes, dict) or len(tree) != len(axes):
        raise ShapeError(f"vmap: {name}={axes!r} does not fit", hint=f"{name}: a number, or nested like what it is for")
    pairs = [(axes[key], tree[key]) for key in tree] if isinstance(tree, dict) else list(zip(axes, tree, strict=True))
    return [axis for some, below in pairs for axis in _axes_of_leaves(some, below, name)]


def _batch_size(xs: Sequence[Any], axes: Sequence[int | None]) -> int:
    sizes = set[int]()
    for x, axis in zip(xs, axes, strict=True):
        if axis is None:
            continue
        if not -x.ndim <= axis < x.ndim:
            raise ShapeError(
                f"vmap: in_axes says axis {axis} of a tensor of shape {x.shape}", hint="None for what has no batch axis"
            )
        sizes.add(x.shape[axis])
    if len(sizes) != 1:
        raise ShapeError(
            f"vmap: batch sizes {sorted(sizes)} of the arguments; there must be exactly one",
            hint="in_axes: which axis of each argument is the batch, None for one that all examples share",
        )
    return sizes.pop()


def _move_axis(x: Value, source: int, target: int) -> Value:
    order = list(range(len(x.shape)))
    order.insert(target, order.pop(source))
    return x if order == sorted(order) else permute(x, axes=tuple(order))


def _hide_axis(x: Tensor, axis: int, level: int) -> Tensor:
    return Batched(_move_axis(x, axis % x.ndim, 0), level)


def _show_axis(y: Tensor, axis: int | None, level: int, size: int) -> Tensor:
    """The result of all examples, the batch at that axis; for None the result that is the same for all."""
    if axis is None:
        if level in levels_of(y):
            raise ShapeError("vmap: out_axes=None for a result that differs between examples", hint="out_axes=0")
        return y
    whole = strip(y, level, size)
    if not -whole.ndim <= axis < whole.ndim:
        raise ShapeError(f"vmap: out_axes says axis {axis} of results of shape {whole.shape}", hint="out_axes=0")
    return _move_axis(whole, 0, axis % whole.ndim)

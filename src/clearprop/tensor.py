"""Tensors are values.

A `Tensor` is an immutable array plus, when gradients flow to it, the `Node` that made it. There is no in-place
operation on a value, so a whole class of autodiff errors cannot happen. What changes in a program are cells, which hold
tensors: see `cell`.

Only the class is here. The operators (``x + y``, ``x[i]``, …) are given to it by `clearprop.array`, ``backward`` by
`clearprop.autodiff`: rooms above this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop import dtypes, markup
from clearprop.alignment import aligned_copy
from clearprop.dtypes import DType
from clearprop.errors import DTypeError, GradientError, ShapeError, UsageError
from clearprop.graph import Node, leaf, state
from clearprop.operators import Operators
from clearprop.source import caller

_SHOWN_WHOLE = 100  # elements


class Tensor(Operators):
    """An immutable array that knows how it came about.

    Made by `clearprop.tensor`, `clearprop.asarray` and by every operation; not by calling this class.

    Attributes:
        array: the value, a NumPy array (or a NumPy scalar where the shape is empty). Never written to.
        node: the graph node that made it, or None if no gradient flows to it.
    """

    __slots__ = ("__weakref__", "array", "node")

    def __init__(self, array: Any, node: Node | None = None) -> None:
        self.array = array
        self.node = node

    # What it is ---------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.array.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        count = 1
        for length in self.shape:
            count *= length
        return count

    @property
    def dtype(self) -> DType:
        """Data type of the elements."""
        return dtypes.from_numpy(self.array.dtype)

    @property
    def device(self) -> str:
        """Where the values are: "cpu"."""
        return "cpu"

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor."""
        return self.node is not None

    # The value, for the world outside -----------------------------------------------------------------------------

    def numpy(self) -> np.ndarray[Any, Any]:
        """The value as a NumPy array that cannot be written to; shares memory with the tensor."""
        if self.node is not None and state.observer is not None:
            state.observer.cut(self.node, "numpy", state.position or caller())
        view = np.asarray(self.array).view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if copy:
            return np.array(self.array, dtype=dtype)
        view = self.numpy()
        if copy is False and dtype is not None and dtype != view.dtype:
            raise UsageError(f"{view.dtype} cannot become {np.dtype(dtype)} without a copy", hint="copy=None")
        return view if dtype is None else view.astype(dtype, copy=False)

    def item(self) -> Any:
        """The only element as a Python number.

        Raises:
            ShapeError: if there is more or less than one element.
        """
        if self.size != 1:
            raise ShapeError(
                f"item() needs a tensor with one element; this one has shape {self.shape}",
                hint="x[i].item() for one of them, x.tolist() for all",
            )
        return np.asarray(self.array).item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return np.asarray(self.array).tolist()

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __format__(self, spec: str) -> str:
        """``f"{loss:.3f}"``: the only element as a Python number; without a format, the tensor as ever."""
        return format(self.item(), spec) if spec else str(self)

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.dtype.dtype.kind not in "iu":
            raise DTypeError(
                f"only an integer tensor can be an index; this one is {self.dtype.name}",
                hint="int(x.item())",
            )
        return int(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("len() of a tensor without axes", hint="x.size, which is 1")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        if not isinstance(self.array, (np.ndarray, np.generic)):
            return f"Tensor({self.array!r})"  # a symbol, while a function is traced
        body = np.array2string(np.asarray(self.array), separator=", ", prefix="Tensor(", threshold=100, precision=5)
        empty = f", shape={self.shape}" if self.size == 0 else ""
        made = f", {'requires_grad=True' if self.node.is_leaf else 'node=' + self.node.name}" if self.node else ""
        return f"Tensor({body}{empty}, dtype={self.dtype.name}{made})"

    def _repr_html_(self) -> str:
        """What a notebook shows: shape, type, values in short, and where the tensor comes from."""
        return tensor_card(self, "Tensor")

    # Gradients ----------------------------------------------------------------------------------------------------

    @property
    def grad(self) -> Tensor | None:
        """The gradient that ``backward`` has added up here: of leaves, and of tensors told to `retain_grad`."""
        return None if self.node is None or self.node.cell is None else self.node.cell.grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if self.node is None:
            raise GradientError(
                "a tensor that does not require gradients cannot have one",
                hint="requires_grad=True when it is made",
            )
        self.retain_grad()
        self.node.cell.grad = value

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor in ``.grad`` although it is not a leaf."""
        if self.node is None:
            raise GradientError(
                "retain_grad() on a tensor to which no gradient flows",
                hint="make one of its inputs with requires_grad=True, outside of no_grad()",
            )
        if self.node.cell is None:
            self.node.cell = GradientHolder()

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Call ``hook(gradient)`` whenever a backward pass has the gradient of this tensor.

        A tensor that the hook returns takes the gradient's place. Returns a function that removes the hook.
        """
        if self.node is None:
            raise GradientError(
                "register_hook() on a tensor to which no gradient flows",
                hint="requires_grad=True for what it is computed from",
            )
        if state.tracer is not None:
            state.tracer.has_own_rules = True
        node = self.node
        node.hooks = [*(node.hooks or []), hook]

        def remove() -> None:
            node.hooks = [other for other in node.hooks or [] if other is not hook]

        return remove

    def detach(self) -> Tensor:
        """The same value without history."""
        if self.node is not None and state.observer is not None:
            state.observer.cut(self.node, "detach", state.position or caller())
        return Tensor(self.array)

    if TYPE_CHECKING:  # given by clearprop.autodiff

        def backward(self, g: Any = None, *, retain_graph: bool = False, create_graph: bool = False) -> None: ...


class GradientHolder:
    """Where the gradient of a tensor is added up; its node knows it as ``cell``. A `Parameter` is its own holder."""

    __slots__ = ("grad", "name")

    def __init__(self, name: str = "") -> None:
        self.grad: Tensor | None = None
        self.name = name


def tensor_card(tensor: Tensor, title: str) -> str:
    """A tensor as HTML: shape, type, values in short, the node and the user's line that made it, and its gradient."""
    if not isinstance(tensor.array, (np.ndarray, np.generic)):  # a symbol, while a function is traced
        return markup.card(title, [repr(tensor.array)])
    about = [tensor.dtype.name, "×".join(map(str, tensor.shape)) or "a number"]
    node = tensor.node
    if node is not None:
        about += ["requires a gradient" if node.is_leaf else f"made by {node.name}", node.where]
    array = np.asarray(tensor.array)
    body = f"<pre>{markup.text(np.array2string(array, threshold=_SHOWN_WHOLE, precision=5))}</pre>"
    if array.size > _SHOWN_WHOLE and array.dtype.kind == "f":
        low, mean, high = array.min(), array.mean(dtype=np.float64), array.max()
        body += f'<div class="quiet">smallest {low:.5g}, mean {mean:.5g}, largest {high:.5g}</div>'
    gradient = tensor.grad
    if gradient is not None:
        norm = np.linalg.norm(np.asarray(gradient.array, np.float64).ravel())
        size = f"of norm {norm:.5g}" if gradient.shape else f"{gradient.item():.5g}"
        body += f'<div class="remark">gradient {size}</div>'
    return markup.card(title, about, body)


def to_array(value: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """A fresh NumPy array of a number, nested lists, or an array.

    Python floats become float32 and Python integers int64; NumPy arrays and scalars keep their dtype.

    Raises:
        DTypeError: for values that tensors cannot hold (complex numbers, strings, objects), and for tensors with a
            history inside a list: the list would cut them off from it.
    """
    if isinstance(value, Operators):
        value = as_tensor(value).numpy()
    if isinstance(value, (list, tuple)) and any(isinstance(item, Operators) for item in value):
        if any(as_tensor(item).requires_grad for item in value if isinstance(item, Operators)):
            raise DTypeError("a list of tensors with a history cannot become one tensor", hint="cp.stack(the_list)")
        value = np.stack([to_array(item) for item in value])
    wanted = None if dtype is None else dtypes.to_numpy(dtype)
    try:
        array = aligned_copy(value, wanted) if type(value) is np.ndarray else np.array(value, wanted)
    except (ValueError, TypeError, OverflowError) as error:
        if "inhomogeneous" in str(error):
            raise ShapeError(
                "nested lists of unequal lengths cannot become a tensor",
                hint="pad the shorter ones, or keep a list of tensors",
            ) from None
        raise _no_tensor(value, str(error)) from None
    if wanted is not None:
        return array
    if array.dtype.kind in "OUSVmM":
        raise _no_tensor(value, f"NumPy takes it as {array.dtype}")
    if array.dtype == np.float64 and not _has_dtype(value):
        return array.astype(dtypes.DEFAULT_FLOAT.dtype)
    dtypes.to_numpy(array.dtype)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def as_array(value: Any) -> np.ndarray[Any, Any]:
    """The numbers of a tensor, of this library or another, or of whatever NumPy takes; not copied where that can be."""
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)


def _has_dtype(value: Any) -> bool:
    """Whether a value brings a dtype along, unlike numbers and lists of them: an array of any library, or a buffer."""
    if hasattr(value, "__array__"):
        return True
    try:
        memoryview(value)
    except TypeError:
        return False
    return True


def _no_tensor(value: Any, reason: str) -> DTypeError:
    text = repr(value)
    text = text if len(text) <= 60 else text[:59] + "…"
    return DTypeError(
        f"a tensor cannot be made of {text} ({type(value).__name__}): {reason}",
        hint="numbers, nested lists of numbers, or a NumPy array of numbers",
    )


def tensor(value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of a number, nested lists or an array, which is copied.

    Args:
        value: a number, nested lists of numbers, a NumPy array, or a tensor (whose history is not taken over).
        dtype: by default float32 for Python floats, int64 for Python integers, otherwise that of the array.
        requires_grad: make it a leaf, whose gradient ``backward`` adds up in ``.grad``.

    Raises:
        DTypeError: if gradients are asked of integers or booleans.

    >>> import clearprop as cp
    >>> cp.tensor([1.0, 2.0], requires_grad=True)
    Tensor([1., 2.], dtype=float32, requires_grad=True)
    """
    array = to_array(value, dtype)
    if not requires_grad:
        return Tensor(array)
    check_differentiable(array.dtype)
    return Tensor(array, leaf(array.shape, array.dtype, GradientHolder(), caller()))


def check_differentiable(dtype: np.dtype[Any]) -> None:
    """Raise DTypeError unless values of this type have gradients."""
    if dtype.kind != "f":
        raise DTypeError(
            f"only floating-point tensors can require gradients; this one is {dtype}",
            hint="make it cp.float32: cp.tensor(value, dtype=cp.float32, requires_grad=True)",
        )


def as_tensor(x: Any) -> Tensor:
    """A tensor of whatever stands for one: itself with its history, the value of a cell, an array, a number, lists."""
    if type(x) is Tensor or isinstance(x, Tensor):  # most often the first, and it is quicker
        return x
    if isinstance(x, Operators):
        held: Any = x  # a cell: the room above
        return held.value
    return Tensor(to_array(x))

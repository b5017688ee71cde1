"""Cells: a name and a current value that can be replaced.

Parameters, buffers, optimizer moments and counters are cells. `assign` puts another value in a cell; graphs recorded
before keep the old one. Operators on a cell read its current value.

Whoever must know what a program does with its cells, as tracing must, watches them: `CellWatcher`. Compiled functions
write new values over old ones where nobody else has these; who does is known by the cell and its `Keeper`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import count
from sys import getrefcount
from typing import Any

import numpy as np

from clearprop.errors import DTypeError, GradientError, ShapeError
from clearprop.graph import leaf, state
from clearprop.operators import Operators
from clearprop.tensor import Tensor, check_differentiable, tensor_card, to_array


def _fit(value: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An array of a number, lists or an array for a cell of that dtype; fractions do not become integers."""
    if dtype.kind == "f":
        return to_array(value, dtype)
    array = to_array(value)
    return array if array.dtype.kind == "f" else array.astype(dtype, copy=False)


class CellWatcher:
    """Is told, while it is ``state.cell_watcher``, what is done with cells; tells the watcher outside of it.

    `checkpoint` and tracing override what they want to know.
    """

    def __init__(self, outer: CellWatcher | None) -> None:
        self.outer = outer

    def read(self, cell: Cell) -> None:
        """Called by a cell that is about to be read."""
        if self.outer is not None:
            self.outer.read(cell)

    def assigned(self, cell: Cell) -> None:
        """Called by a cell that is about to be assigned."""
        if self.outer is not None:
            self.outer.assigned(cell)

    def grad_used(self, parameter: Parameter, *, replaced: bool) -> None:
        """Called by a parameter whose ``.grad`` is about to be read, or replaced."""
        if self.outer is not None:
            self.outer.grad_used(parameter, replaced=replaced)


class Keeper:
    """Keeps cells that compiled functions work on together.

    As long as `changes` is what it was, the cells have the arrays that they had, and nobody has got hold of one.

    Attributes:
        lock: held while a compiled function is at work; whoever reads or replaces a value meanwhile waits for it.
        changes: how often a value was handed out or replaced, or a gradient was set.
        number: keepers of which a function needs several are locked in this order.
    """

    __slots__ = ("changes", "lock", "number")
    _numbers = count()

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changes = 0
        self.number = next(self._numbers)


class Cell(Operators):
    """A name and a current value that can be replaced.

    Args:
        value: the first value; anything that `tensor` takes.
        name: for messages and pictures; modules fill it in.

    >>> import clearprop as cp
    >>> counter = cp.Cell(0)
    >>> counter.assign(counter + 1)
    >>> counter.value.item()
    1
    """

    __slots__ = ("__weakref__", "_array", "_value", "keeper", "name")
    _how_to_set = "cell.assign(cell.value.at[index].set(value))"

    def __init__(self, value: Any, *, name: str = "") -> None:
        self.name = name
        self.keeper: Keeper | None = None  # until a compiled function works on the cell
        self._array: Any = to_array(value)
        self._value: Tensor | None = self._make(self._array)  # None: to be made of the array, when somebody asks

    @property
    def value(self) -> Tensor:
        """The current value. Operators read it by themselves: ``x @ weight``."""
        if state.cell_watcher is not None:
            state.cell_watcher.read(self)
        held = self._value
        return self.peek() if held is None else held

    def assign(self, value: Any) -> None:
        """Put another value of the same shape and dtype in the cell; its history is not taken over.

        The array of a tensor is shared, as nobody ever writes to it; anything else is copied.

        Raises:
            ShapeError, DTypeError: if shape or dtype differ; the cell keeps its value.
        """
        held = self.peek().array if self._array is None else self._array
        array = value.array if type(value) is Tensor else _fit(value, held.dtype)
        if array.shape != held.shape:
            raise ShapeError(
                f"assign: {self._label()} has shape {held.shape}, the value has shape {array.shape}",
                hint=f"a value of shape {held.shape}",
            )
        if array.dtype != held.dtype:
            raise DTypeError(
                f"assign: {self._label()} has dtype {held.dtype}, the value has dtype {array.dtype}",
                hint=f"value.astype(cp.{held.dtype})",
            )
        if state.cell_watcher is not None:
            state.cell_watcher.assigned(self)
        del held  # nobody has the array but the cell
        if array.ndim or not self._write_over(array):
            self._hold(array, self._make(array))

    def _write_over(self, number: Any) -> bool:
        """Put a number where the old one is, if nobody else has that: compiled functions need not look for it again.

        So a learning rate that is another one in every step does not slow them down.
        """
        if self.keeper is None:
            return False
        with self.keeper.lock:
            is_own = self.claim()
            if is_own:
                self._array[()] = number
        return is_own

    def put(self, array: Any) -> None:
        """Assign an array that is known to fit; nobody watches. The tensor is made when somebody asks for it."""
        self._hold(array, None)

    def peek_array(self) -> Any:
        """The array of the current value, without this counting as a read.

        A compiled function may write to it later on: it is to be looked at now, or under the keeper's lock.
        """
        return self._array

    def peek(self) -> Tensor:
        """The current value, without this counting as a read (for `checkpoint` and the compiler)."""
        held = self._value
        if held is not None:
            return held
        if self.keeper is None:
            held = self._value = self._make(self._array)
            return held
        with self.keeper.lock:
            self.keeper.changes += 1
            held = self._value = self._make(self._array)
            return held

    def restore(self, value: Tensor) -> None:
        """Put back a value that `peek` gave, together with its node."""
        self._hold(value.array if type(value) is Tensor else None, value)  # inside vmap there is no single array

    def _hold(self, array: Any, value: Tensor | None) -> None:
        """Every other value comes in here."""
        if self.keeper is None:
            self._array, self._value = array, value
            return
        with self.keeper.lock:
            self.keeper.changes += 1
            self._array, self._value = array, value

    def claim(self) -> bool:
        """Whether nobody but this cell has its array, so that a compiled function may write to it.

        Called under the keeper's lock. If so, the tensor of the value, which then nobody else has either, is dropped.
        """
        if type(self._array) is not np.ndarray or not self._array.flags.writeable:
            return False
        base = self._array.base
        if base is not None and not (type(base) is np.ndarray and base.flags.owndata):  # memory of somebody else
            return False
        del base
        if _references(self) != _ALONE[self._value is not None, self._array.base is not None]:
            return False
        self._value = None
        return True

    def __getstate__(self) -> Any:
        """For `copy`: a copy is a cell of its own, on which no compiled function works yet."""
        self.peek()
        state: Any = super().__getstate__()  # attributes, and slots
        return state[0], state[1] | {"keeper": None}

    def _make(self, array: Any) -> Tensor:
        return Tensor(array)

    def _label(self) -> str:
        return f"{type(self).__name__} {self.name}".rstrip()

    shape = property(lambda self: self.peek().shape, doc="Lengths of the axes.")
    ndim = property(lambda self: self.peek().ndim, doc="Number of axes.")
    size = property(lambda self: self.peek().size, doc="Number of elements.")
    dtype = property(lambda self: self.peek().dtype, doc="Data type of the elements.")
    device = property(lambda self: self.peek().device, doc="Where the values are.")
    requires_grad = property(lambda self: False, doc="Cells that are not parameters get no gradients.")

    def numpy(self) -> np.ndarray[Any, Any]:
        """The current value as a NumPy array that cannot be written to."""
        return self.value.numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return self.value.__array__(dtype, copy)

    def item(self) -> Any:
        """The only element as a Python number."""
        if state.cell_watcher is not None or self.keeper is None or self._array is None or self._array.ndim:
            return self.value.item()
        with self.keeper.lock:  # nobody gets the array
            return self._array.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self.value.tolist()

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else str(self)

    def __len__(self) -> int:
        return len(self.value)

    def __repr__(self) -> str:
        name = f"{self.name!r}, " if self.name else ""
        return f"{type(self).__name__}({name}{self.peek()!r})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the name, and the tensor."""
        return tensor_card(self.peek(), self._label())


class Buffer(Cell):
    """A module's value that is not trained, such as a running mean.

    Args:
        value: the first value.
        persistent: whether it is saved with the module; False for what can be computed again.
    """

    __slots__ = ("persistent",)

    def __init__(self, value: Any, *, persistent: bool = True, name: str = "") -> None:
        self.persistent = persistent
        super().__init__(value, name=name)


NOT_KEPT = Tensor(np.zeros(()))
"""Stands in ``.grad`` where a compiled function has used a gradient and not kept it."""


class Parameter(Cell):
    """A value that is trained: a named, assignable leaf of the graph.

    Args:
        value: the first value.
        requires_grad: False freezes it.

    Attributes:
        grad: what ``backward`` has added up, or None.

    >>> import clearprop as cp
    >>> w = cp.Parameter([1.0, 2.0])
    >>> (w * w).sum().backward()
    >>> w.grad
    Tensor([2., 4.], dtype=float32)
    """

    __slots__ = ("_grad", "_requires_grad")

    def __init__(self, value: Any, *, requires_grad: bool = True, name: str = "") -> None:
        self._requires_grad = requires_grad
        self._grad: Tensor | None = None
        super().__init__(value, name=name)

    @property
    def grad(self) -> Tensor | None:
        """What ``backward`` has added up, or None."""
        if state.cell_watcher is not None:
            state.cell_watcher.grad_used(self, replaced=False)
        if self._grad is NOT_KEPT:
            raise GradientError(
                f"the compiled function clears the gradient of {self.name or 'this parameter'}, so it does not keep it",
                hint="zero_grad() ahead of another backward pass; to read it, cp.compile(step, keep_grads=True)",
            )
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if state.cell_watcher is not None:
            state.cell_watcher.grad_used(self, replaced=True)
        self.restore_grad(value)

    def peek_grad(self) -> Tensor | None:
        """The gradient, without this counting as a use."""
        return self._grad

    def restore_grad(self, value: Tensor | None) -> None:
        """Put back a gradient that `peek_grad` gave."""
        if self.keeper is None:
            self._grad = value
            return
        with self.keeper.lock:
            self.keeper.changes += 1
            self._grad = value

    def _make(self, array: Any) -> Tensor:
        if not self._requires_grad:
            return Tensor(array)
        check_differentiable(array.dtype)
        return Tensor(array, leaf(array.shape, array.dtype, self))

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this parameter; assign False to freeze it."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        self._requires_grad = flag
        self._value = None
        self.peek()


def _references(cell: Cell) -> tuple[int, int, int]:
    """How many refer to a cell's array, to the array that it is a part of, and to the tensor of its value."""
    array, value = cell._array, cell._value
    of_base = 0 if array.base is None else getrefcount(array.base)
    return getrefcount(array), of_base, 0 if value is None else getrefcount(value)


def _references_if_alone(has_tensor: bool, is_part: bool) -> tuple[int, int, int]:
    """The same of a cell whose array nobody else has."""
    cell = Cell(0)
    cell.put(np.empty(2)[1:] if is_part else np.empty(2))
    if has_tensor:
        cell.peek()
    return _references(cell)


_ALONE = {(tensor, part): _references_if_alone(tensor, part) for tensor in (False, True) for part in (False, True)}


def zero_gradients(parameters: Iterable[Parameter], set_to_none: bool) -> None:
    """Forget the gradients of parameters, or set those that there are to zero."""
    for parameter in parameters:
        if set_to_none or parameter.grad is None:
            parameter.grad = None
        else:
            parameter.grad = Tensor(np.zeros(parameter.shape, parameter.dtype.dtype))

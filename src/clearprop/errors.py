"""The errors of clearprop: what went wrong with which operation, where in the user's program, and what to try."""

from __future__ import annotations

from clearprop.source import Position, caller, describe


class ClearpropError(Exception):
    """Base of all errors that clearprop raises on purpose.

    Args:
        message: what is wrong, naming the operation and its arguments with shapes and dtypes.
        hint: one thing to try.

    >>> raise ClearpropError("the dataset is empty", hint="check the folder")
    Traceback (most recent call last):
    clearprop.errors.ClearpropError: the dataset is empty
    Try: check the folder
    """

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message}\nTry: {self.hint}" if self.hint else self.message


class ComputationError(ClearpropError):
    """Base of the errors of a computation; they name the user's source line.

    Args:
        position: the line to name; by default the user's line that is running now. Errors of the backward pass name the
            line of the forward pass that made the node.
    """

    def __init__(self, message: str, hint: str = "", position: Position | None = None) -> None:
        self.where = describe(position if position is not None else caller())
        super().__init__(message, hint)

    def __str__(self) -> str:
        lines = [self.message, f"  at {self.where}" if self.where else "", f"Try: {self.hint}" if self.hint else ""]
        return "\n".join(line for line in lines if line)


class ShapeError(ComputationError, ValueError):
    """Shapes that do not fit together."""


class DTypeError(ComputationError, TypeError):
    """A data type that the operation does not take."""


class RangeError(ComputationError, IndexError):
    """An index outside the axis it points into."""


class AxisError(ShapeError, RangeError):
    """An axis that the tensor does not have: both a wrong shape and an index out of its range."""


class GradientError(ComputationError, RuntimeError):
    """Backpropagation asked for something that has no answer."""


class NotFiniteError(ComputationError, ArithmeticError):
    """A number that must be finite, and is NaN or infinite.

    Attributes:
        what: what it is called.
        value: the first such number.
    """

    def __init__(self, what: str, value: float, more: str = "", hint: str = "") -> None:
        self.what, self.value = what, value
        super().__init__(f"{what} is {value}{more}", hint)


class OutOfMemoryError(ComputationError, MemoryError):
    """A computation that needs more memory than the system gives."""


class TraceError(ComputationError, TypeError):
    """A function that cannot be traced: it asked for a number that is not there yet."""


class DataError(ClearpropError, ValueError):
    """Data that cannot be used: empty, damaged, labels out of range, not finite."""


class DivergenceError(ClearpropError, ArithmeticError):
    """Training that has left the numbers: a loss, a gradient or a weight is NaN or infinite."""


class FileError(ClearpropError, OSError):
    """A file that cannot be read or written as what it should be."""


class UsageError(ClearpropError, ValueError):
    """A setting that a function does not take, or wrong arguments on the command line."""

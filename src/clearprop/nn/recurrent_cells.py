"""Single steps of recurrent networks as modules, and what they share with the layers in `clearprop.nn.recurrent`.

A kind of network is a function that begins: it takes the input (of one step, or of all), computes the input's share of
the gates in one matrix product, and returns it with a function of (share, state) that makes one step. A cell calls that
function once, a layer scans with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from clearprop.arguments import one_of
from clearprop.array import add, expand_dims, squeeze
from clearprop.array.promotion import expand
from clearprop.cell import Cell, Parameter
from clearprop.dtypes import to_numpy
from clearprop.errors import DTypeError, ShapeError, UsageError
from clearprop.functional.layers import linear
from clearprop.functional.recurrent import gru_step, lstm_step, rnn_step
from clearprop.nn import init
from clearprop.nn.module import Module
from clearprop.primitive import numpy_dtype
from clearprop.primitives.shaping import take_range
from clearprop.random import Generator
from clearprop.tensor import Tensor, as_tensor

State: TypeAlias = tuple[Tensor, ...]
"""What goes from step to step: (h,), or (h, c) of an LSTM."""

Step: TypeAlias = Callable[[tuple[Tensor, ...], State], State]
"""One step: takes the input's share and the state, and returns the next state."""


class Weights(NamedTuple):
    """The weights of one direction of one layer, as they are now."""

    input: Tensor
    hidden: Tensor
    input_bias: Tensor | None = None
    hidden_bias: Tensor | None = None
    projection: Tensor | None = None


def begin_rnn(x: Tensor, weights: Weights, nonlinearity: str) -> tuple[tuple[Tensor, ...], Step]:
    """The simple network; see `functional.recurrent.rnn_step`."""

    def step(shares: tuple[Tensor, ...], state: State) -> State:
        (share,), (h,) = shares, state
        return (rnn_step(share, h, weights.hidden, nonlinearity),)

    return (linear(x, weights.input, _both_biases(weights)),), step


def begin_lstm(x: Tensor, weights: Weights) -> tuple[tuple[Tensor, ...], Step]:
    """The long short-term memory; see `functional.recurrent.lstm_step`."""

    def step(shares: tuple[Tensor, ...], state: State) -> State:
        (share,), (h, c) = shares, state
        return lstm_step(share, h, c, weights.hidden, weights.projection)

    return (linear(x, weights.input, _both_biases(weights)),), step


def begin_gru(x: Tensor, weights: Weights) -> tuple[tuple[Tensor, ...], Step]:
    """The gated recurrent unit; see `functional.recurrent.gru_step`."""
    share = linear(x, weights.input, weights.input_bias)
    axis, size = share.ndim - 1, share.shape[-1] // 3
    bias = weights.hidden_bias
    repeated = None if bias is None else expand(bias, share.shape[-2:])  # once, and not in every step

    def step(shares: tuple[Tensor, ...], state: State) -> State:
        (gates, new), (h,) = shares, state
        return (gru_step(gates, new, h, weights.hidden, repeated),)

    return (take_range(share, axis, 0, 2 * size), take_range(share, axis, 2 * size, 3 * size)), step


def _both_biases(weights: Weights) -> Tensor | None:
    """The sum of the two biases; PyTorch has one for the input and one for the state."""
    if weights.input_bias is None or weights.hidden_bias is None:
        return None
    return add(weights.input_bias, weights.hidden_bias)


class _RecurrentCell(Module):
    """What the three cells share: their parameters, and the checks of what they are given."""

    gates: ClassVar[int]
    states: ClassVar[int] = 1
    torch_transposes = ("weight_ih", "weight_hh")

    def __init__(self, input_size: int, hidden_size: int, bias: bool, dtype: Any, generator: Generator | None) -> None:
        check_recurrent_sizes(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        kind = np.dtype(np.float32) if dtype is None else to_numpy(dtype)
        rows = self.gates * hidden_size
        self.weight_ih = Parameter(np.empty((input_size, rows), kind))
        self.weight_hh = Parameter(np.empty((hidden_size, rows), kind))
        self.bias_ih = Parameter(np.empty(rows, kind)) if bias else None
        self.bias_hh = Parameter(np.empty(rows, kind)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the first values again: uniform in ±1/√hidden_size."""
        draw_recurrent(self, self.hidden_size, generator)

    def _advance(self, input: Any, hx: Any, begin: Callable[..., tuple[tuple[Tensor, ...], Step]]) -> State:
        """The next state, batched as the input is."""
        name, x = type(self).__name__, as_tensor(input)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: input has shape {x.shape}; it must be (N, {self.input_size}), or ({self.input_size},)",
                hint=f"nn.{name.removesuffix('Cell')} takes whole sequences"
                if x.ndim == 3
                else f"nn.{name}({x.shape[-1] if x.shape else 1}, {self.hidden_size}) for inputs of that size",
            )
        wanted = (*x.shape[:-1], self.hidden_size)
        state = checked_state(name, hx, (wanted,) * self.states, x, self.weight_hh)
        batched = x.ndim == 2
        if not batched:
            x, state = expand_dims(x), tuple(expand_dims(part) for part in state)
        biases = (None if bias is None else bias.value for bias in (self.bias_ih, self.bias_hh))
        shares, step = begin(x, Weights(self.weight_ih.value, self.weight_hh.value, *biases))
        state = step(shares, state)
        return state if batched else tuple(squeeze(part, 0) for part in state)

    def extra_repr(self) -> str:
        """Its arguments."""
        return f"{self.input_size}, {self.hidden_size}{'' if self.bias else ', bias=False'}"


class RNNCell(_RecurrentCell):
    """One step of `RNN`: h' = tanh(x W_ih + b_ih + h W_hh + b_hh).

    Args:
        input_size, hidden_size: lengths of the last axes of x and h.
        bias: False for no b_ih and b_hh.
        nonlinearity: "tanh" or "relu".
        dtype: of the parameters; float32 by default.
        generator: of their first values, which are uniform in ±1/√hidden_size.

    Attributes:
        weight_ih, weight_hh: (input_size, hidden_size) and (hidden_size, hidden_size): transposed, compared with
            PyTorch.
        bias_ih, bias_hh: (hidden_size,), or None.

    >>> import clearprop as cp
    >>> cp.nn.RNNCell(3, 4)(cp.ones((5, 3))).shape
    (5, 4)
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        one_of("RNNCell", "nonlinearity", nonlinearity, "tanh", "relu")
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, dtype, generator)

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        """(N, input_size) and the state (N, hidden_size), zeros by default -> the next state; both without N too."""
        (h,) = self._advance(input, hx, lambda x, weights: begin_rnn(x, weights, self.nonlinearity))
        return h

    def extra_repr(self) -> str:
        """Its arguments."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity!r}")


class LSTMCell(_RecurrentCell):
    """One step of `LSTM`; arguments and attributes as of `RNNCell`, four times as many columns (i, f, g, o).

    >>> import clearprop as cp
    >>> h, c = cp.nn.LSTMCell(3, 4)(cp.ones((5, 3)))
    >>> h.shape, c.shape
    ((5, 4), (5, 4))
    """

    gates = 4
    states = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype, generator)

    def forward(self, input: Any, hx: Any = None) -> tuple[Tensor, Tensor]:
        """(N, input_size) and the state (h, c), each (N, hidden_size) -> the next h and c; all without N too."""
        h, c = self._advance(input, hx, begin_lstm)
        return h, c


class GRUCell(_RecurrentCell):
    """One step of `GRU`; arguments and attributes as of `RNNCell`, three times as many columns (r, z, n).

    >>> import clearprop as cp
    >>> cp.nn.GRUCell(3, 4)(cp.ones((5, 3))).shape
    (5, 4)
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype, generator)

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        """(N, input_size) and the state (N, hidden_size), zeros by default -> the next state; both without N too."""
        (h,) = self._advance(input, hx, begin_gru)
        return h


def draw_recurrent(module: Module, hidden_size: int, generator: Generator | None) -> None:
    """First values of all parameters: uniform in ±1/√hidden_size, as PyTorch has them."""
    bound = 1.0 / math.sqrt(hidden_size)
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound, generator)


def check_recurrent_sizes(name: str, **sizes: Any) -> None:
    """Raise UsageError unless all are whole numbers from 1 on."""
    for label, size in sizes.items():
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
            raise UsageError(f"{name}: {label}={size!r}", hint="a whole number from 1 on, such as 64")


def checked_state(name: str, hx: Any, shapes: Sequence[tuple[int, ...]], x: Tensor, weight: Cell) -> State:
    """The initial state as tensors, zeros for None.

    Args:
        name: of the module, for the message.
        shapes: what its parts must have.
        x: the input, whose dtype must be that of the weights.
        weight: one of the weights.

    Raises:
        DTypeError: if dtypes differ.
        ShapeError: if a shape differs, or there are more or fewer parts.
    """
    wanted = numpy_dtype(weight.peek())
    _check_dtype(name, "input", x, wanted)
    if hx is None:
        return tuple(Tensor(np.zeros(shape, wanted)) for shape in shapes)
    given = list(hx) if isinstance(hx, (tuple, list)) else [hx]
    if len(given) != len(shapes) or isinstance(hx, (tuple, list)) != (len(shapes) == 2):
        form = "a pair (h, c)" if len(shapes) == 2 else "one tensor"
        raise ShapeError(f"{name}: hx must be {form}, not {_described(hx)}", hint="None for zeros")
    state = tuple(as_tensor(part) for part in given)
    for label, part, shape in zip(("h", "c"), state, shapes, strict=False):
        label = label if len(shapes) == 2 else "hx"
        if part.shape != shape:
            raise ShapeError(
                f"{name}: {label} has shape {part.shape}; for input of shape {x.shape} it must be {shape}",
                hint=f"cp.zeros({shape}) for a state that knows nothing yet",
            )
        _check_dtype(name, label, part, wanted)
    return state


def _check_dtype(name: str, label: str, x: Tensor, wanted: np.dtype[Any]) -> None:
    found = numpy_dtype(x)
    if found != wanted:
        hint = (
            f"{label}.astype(cp.{wanted}), or module.to(cp.{found})" if found.kind == "f" else "nn.Embedding for tokens"
        )
        raise DTypeError(f"{name}: {label} is {found}, the parameters are {wanted}", hint=hint)


def _described(hx: Any) -> str:
    if isinstance(hx, (tuple, list)):
        return f"{type(hx).__name__} of {len(hx)}"
    return f"a tensor of shape {as_tensor(hx).shape}"

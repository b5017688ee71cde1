"""Recurrent networks over whole sequences: RNN, LSTM, GRU, in layers and both directions, built on `scan`.

The input's share of the gates is one matrix product for all time steps, before the loop; the body of the loop is a pure
function of the state and one step's share. Dropout stands between the layers, outside of the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from clearprop.arguments import is_whole, number, one_of
from clearprop.array import arange, concat, expand_dims, less, permute_dims, squeeze, stack, where
from clearprop.array.promotion import expand
from clearprop.autodiff import scan
from clearprop.cell import Parameter
from clearprop.dtypes import to_numpy
from clearprop.errors import ShapeError, UsageError
from clearprop.functional.checks import check_lengths
from clearprop.functional.dropout import dropout as dropped
from clearprop.nn.module import Module
from clearprop.nn.recurrent_cells import (
    State,
    Step,
    Weights,
    begin_gru,
    begin_lstm,
    begin_rnn,
    check_recurrent_sizes,
    checked_state,
    draw_recurrent,
)
from clearprop.random import Generator
from clearprop.tensor import Tensor, as_tensor

Begin = Callable[[Tensor, Weights], tuple[tuple[Tensor, ...], Step]]


_USUAL = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False, "proj_size": 0}


class _Recurrent(Module):
    """What the three kinds share: parameters, layers and directions, checks, lengths."""

    weight_hh_l0: Parameter
    gates: ClassVar[int]
    states: ClassVar[int] = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int,
        dtype: Any,
        generator: Generator | None,
    ) -> None:
        name = type(self).__name__
        check_recurrent_sizes(name, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        number(name, "dropout", dropout, 0.0, 1.0)
        if not is_whole(proj_size) or not 0 <= proj_size < hidden_size:
            raise UsageError(
                f"{name}: proj_size={proj_size!r} must be smaller than hidden_size={hidden_size}",
                hint="proj_size=0 for none",
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._make_parameters(np.dtype(np.float32) if dtype is None else to_numpy(dtype))
        self.reset_parameters(generator)

    def _make_parameters(self, dtype: np.dtype[Any]) -> None:
        columns, out = self.gates * self.hidden_size, self._output_size
        turned: list[str] = []
        for suffix in self._suffixes():
            into = self.input_size if "_l0" in suffix else out * self._directions
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (into, columns), "weight_hh": (out, columns)}
            if self.bias:
                shapes |= {"bias_ih": (columns,), "bias_hh": (columns,)}
            if self.proj_size:
                shapes["weight_hr"] = (self.hidden_size, self.proj_size)
            for label, shape in shapes.items():
                setattr(self, label + suffix, Parameter(np.empty(shape, dtype)))
            turned += [label + suffix for label, shape in shapes.items() if len(shape) == 2]
        self.torch_transposes = tuple(turned)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the first values again: uniform in ±1/√hidden_size."""
        draw_recurrent(self, self.hidden_size, generator)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _output_size(self) -> int:
        return self.proj_size or self.hidden_size

    def _suffixes(self) -> list[str]:
        """What the names of the parameters end in: for each layer one direction after the other."""
        directions = ("", "_reverse")[: self._directions]
        return [f"_l{layer}{direction}" for layer in range(self.num_layers) for direction in directions]

    def _weights(self, suffix: str) -> Weights:
        """The current values of one direction of one layer."""

        def current(label: str) -> Any:
            parameter = getattr(self, label + suffix, None)
            return None if parameter is None else parameter.value

        biases = current("bias_ih"), current("bias_hh")
        return Weights(current("weight_ih"), current("weight_hh"), *biases, current("weight_hr"))

    def _begin(self, x: Tensor, weights: Weights) -> tuple[tuple[Tensor, ...], Step]:
        """The input's share for all steps, and the function that makes one step."""
        raise NotImplementedError

    def _run(self, input: Any, hx: Any, lengths: Any) -> tuple[Tensor, State]:
        """The output of the last layer, and the last states of all layers and directions, batched as the input is."""
        x = as_tensor(input)
        self._check_input(x)
        batched = x.ndim == 3
        x = x if batched else expand_dims(x, 1)
        x = permute_dims(x, (1, 0, 2)) if self.batch_first and batched else x  # (T, N, input_size) from here on
        first = self._initial_states(as_tensor(input), hx, x.shape[1] if batched else None)
        valid = None if lengths is None else _valid_steps(type(self).__name__, lengths, *x.shape[:2])
        x = x if valid is None else where(valid, x, 0.0)  # what stands behind the end, even a NaN, shall not matter
        last: list[State] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = dropped(x, self.dropout, self.training)
            outputs = []
            for suffix in self._suffixes()[layer * self._directions : (layer + 1) * self._directions]:
                output, state = self._run_direction(x, first[len(last)], suffix, valid)
                outputs.append(output)
                last.append(state)
            x = concat(outputs, axis=2) if self.bidirectional else outputs[0]
        finals = tuple(stack(parts) for parts in zip(*last, strict=True))
        if not batched:
            return squeeze(x, 1), tuple(squeeze(part, 1) for part in finals)
        return permute_dims(x, (1, 0, 2)) if self.batch_first else x, finals

    def _run_direction(self, x: Tensor, first: State, suffix: str, valid: Tensor | None) -> tuple[Tensor, State]:
        """(T, N, in) -> (T, N, out), and the last state."""
        shares, step = self._begin(x, self._weights(suffix))
        masks = None if valid is None else tuple(expand(valid, (*x.shape[:2], part.shape[1])) for part in first)

        def body(state: State, given: Any) -> tuple[State, Tensor]:
            following = step(given[0], state)
            if given[1] is not None:  # behind the end of a sequence its state stays; in reverse, before its beginning
                following = tuple(map(where, given[1], following, state))
            return following, following[0]

        last, output = scan(body, first, (shares, masks), reverse=suffix.endswith("_reverse"))
        return output if masks is None else where(masks[0], output, 0.0), last

    def _check_input(self, x: Tensor) -> None:
        name = type(self).__name__
        layout = "(N, T, {})" if self.batch_first else "(T, N, {})"
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: input has shape {x.shape}; it must be {layout.format(self.input_size)}, "
                f"or (T, {self.input_size}) for a single sequence",
                hint=f"nn.{name}({x.shape[-1] if x.shape else 1}, {self.hidden_size}) for inputs of that size",
            )
        if x.shape[1 if self.batch_first and x.ndim == 3 else 0] == 0:
            raise ShapeError(
                f"{name}: input has shape {x.shape}: a sequence must have at least one step",
                hint="leave empty sequences out of the data",
            )

    def _initial_states(self, x: Tensor, hx: Any, batch: int | None) -> list[State]:
        """For each layer and direction its first state, each part (N, size)."""
        name, count = type(self).__name__, self.num_layers * self._directions
        rows = () if batch is None else (batch,)
        sizes = (self._output_size, self.hidden_size)[: self.states]
        state = checked_state(name, hx, [(count, *rows, size) for size in sizes], x, self.weight_hh_l0)
        parts = state if batch is not None else tuple(expand_dims(part, 1) for part in state)
        return [tuple(part[k] for part in parts) for k in range(count)]

    def extra_repr(self) -> str:
        """Its arguments, as far as they are not the usual ones."""
        others = [f"{name}={getattr(self, name)!r}" for name, value in _USUAL.items() if getattr(self, name) != value]
        return ", ".join([str(self.input_size), str(self.hidden_size), *others])


class RNN(_Recurrent):
    """The simple recurrent network (Elman 1990): h_t = tanh(x_t W_ih + b_ih + h_{t-1} W_hh + b_hh).

    Args:
        input_size, hidden_size: lengths of the last axes of the input and of the state.
        num_layers: how many layers; each takes the outputs of the one below.
        nonlinearity: "tanh" or "relu".
        bias: False for no b_ih and b_hh.
        batch_first: True for inputs and outputs (N, T, …) instead of (T, N, …). States are (layers, N, …) either way.
        dropout: share of the outputs that is zeroed between one layer and the next, while training; with one layer
            there is no such place.
        bidirectional: a second network runs from the last step to the first; the outputs of both stand side by side.
        dtype: of the parameters; float32 by default.
        generator: of their first values, which are uniform in ±1/√hidden_size.

    Attributes:
        weight_ih_l0, weight_hh_l0: (input_size, hidden_size) and (hidden_size, hidden_size): transposed, compared with
            PyTorch. Those of other layers and of the other direction end in ``_l1``, ``_l0_reverse``, ….
        bias_ih_l0, bias_hh_l0: (hidden_size,).

    >>> import clearprop as cp
    >>> output, h = cp.nn.RNN(3, 4, num_layers=2)(cp.ones((7, 5, 3)))
    >>> output.shape, h.shape
    ((7, 5, 4), (2, 5, 4))
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        one_of("RNN", "nonlinearity", nonlinearity, "tanh", "relu")
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, dtype, generator
        )

    def _begin(self, x: Tensor, weights: Weights) -> tuple[tuple[Tensor, ...], Step]:
        return begin_rnn(x, weights, self.nonlinearity)

    def forward(self, input: Any, hx: Any = None, *, lengths: Any = None) -> tuple[Tensor, Tensor]:
        """The outputs of the last layer for all steps, and the last states of all layers.

        Args:
            input: (T, N, input_size); (N, T, input_size) with ``batch_first``; (T, input_size) for one sequence.
            hx: the first state, (layers * directions, N, hidden_size), without N for one sequence; zeros by default.
            lengths: (N,) whole numbers, if sequences have ends of their own. Behind its end a sequence has outputs of
                zero; its last state is that at its end, and the other direction begins there. It is what PyTorch's
                ``pack_padded_sequence`` and ``pad_packed_sequence(total_length=T)`` do, in any order of lengths.

        Returns:
            output: (T, N, directions * hidden_size), laid out like the input.
            h: (layers * directions, N, hidden_size).

        Raises:
            ShapeError: if a shape does not fit, or there is no step.
            DTypeError: if the input is not of the dtype of the parameters.
            RangeError: if a length is smaller than 1 or larger than T.
        """
        output, (h,) = self._run(input, hx, lengths)
        return output, h

    def extra_repr(self) -> str:
        """Its arguments, as far as they are not the usual ones."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity!r}")


class LSTM(_Recurrent):
    """The long short-term memory (Hochreiter and Schmidhuber 1997); see `functional.recurrent.lstm_step` for the gates.

    Args:
        input_size, hidden_size: lengths of the last axes of the input and of the state.
        num_layers: how many layers; each takes the outputs of the one below.
        bias: False for no b_ih and b_hh.
        batch_first: True for inputs and outputs (N, T, …) instead of (T, N, …). States are (layers, N, …) either way.
        dropout: share of the outputs that is zeroed between one layer and the next, while training.
        bidirectional: a second network runs from the last step to the first; the outputs of both stand side by side.
        proj_size: if not 0, outputs and h are multiplied by weight_hr_l0, (hidden_size, proj_size) (Sak et al. 2014).
        dtype: of the parameters; float32 by default.
        generator: of their first values, which are uniform in ±1/√hidden_size.

    Attributes:
        weight_ih_l0, weight_hh_l0, …: as of `RNN`, with four times as many columns, in the order i, f, g, o.

    >>> import clearprop as cp
    >>> output, (h, c) = cp.nn.LSTM(3, 4, bidirectional=True)(cp.ones((7, 5, 3)), lengths=[7, 3, 1, 7, 2])
    >>> output.shape, h.shape, c.shape
    ((7, 5, 8), (2, 5, 4), (2, 5, 4))
    """

    gates = 4
    states = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, dtype, generator
        )

    def _begin(self, x: Tensor, weights: Weights) -> tuple[tuple[Tensor, ...], Step]:
        return begin_lstm(x, weights)

    def forward(self, input: Any, hx: Any = None, *, lengths: Any = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The outputs of the last layer for all steps, and the last states (h, c) of all layers.

        Args, Raises: as of `RNN.forward`; ``hx`` is a pair (h, c), whose parts are (layers * directions, N, proj_size
        or hidden_size) and (layers * directions, N, hidden_size).

        Returns:
            output: (T, N, directions * (proj_size or hidden_size)), laid out like the input.
            h, c: of the shapes of ``hx``.
        """
        output, (h, c) = self._run(input, hx, lengths)
        return output, (h, c)


class GRU(_Recurrent):
    """The gated recurrent unit (Cho et al. 2014); see `functional.recurrent.gru_step` for the gates.

    Args:
        input_size, hidden_size: lengths of the last axes of the input and of the state.
        num_layers: how many layers; each takes the outputs of the one below.
        bias: False for no b_ih and b_hh.
        batch_first: True for inputs and outputs (N, T, …) instead of (T, N, …). States are (layers, N, …) either way.
        dropout: share of the outputs that is zeroed between one layer and the next, while training.
        bidirectional: a second network runs from the last step to the first; the outputs of both stand side by side.
        dtype: of the parameters; float32 by default.
        generator: of their first values, which are uniform in ±1/√hidden_size.

    Attributes:
        weight_ih_l0, weight_hh_l0, …: as of `RNN`, with three times as many columns, in the order r, z, n.

    >>> import clearprop as cp
    >>> output, h = cp.nn.GRU(3, 4, batch_first=True)(cp.ones((5, 7, 3)))
    >>> output.shape, h.shape
    ((5, 7, 4), (1, 5, 4))
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, dtype, generator
        )

    def _begin(self, x: Tensor, weights: Weights) -> tuple[tuple[Tensor, ...], Step]:
        return begin_gru(x, weights)

    def forward(self, input: Any, hx: Any = None, *, lengths: Any = None) -> tuple[Tensor, Tensor]:
        """The outputs of the last layer for all steps, and the last states of all layers; see `RNN.forward`."""
        output, (h,) = self._run(input, hx, lengths)
        return output, h


def _valid_steps(name: str, lengths: Any, steps: int, batch: int) -> Tensor:
    """(T, N, 1), true where a sequence has not ended yet."""
    ends = check_lengths(name, lengths, steps, batch)
    return expand_dims(less(expand_dims(arange(steps), 1), ends), 2)

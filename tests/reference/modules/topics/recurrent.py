"""Recurrent layers and single steps; sequences of different lengths against PyTorch's packed ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.reference.modules.cases import ModuleCase, numbers

SIZES = {"input_size": 2, "hidden_size": 3}
X, ONE = numbers(4, 2, 2), numbers(4, 2)
LENGTHS = np.array([3, 5, 1])
PADDED = numbers(5, 3, 2)


def packed(module: Any, x: Any, *states: Any, lengths: Any) -> Any:
    """PyTorch's way to sequences of different lengths."""
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    first = module.batch_first
    packs = pack_padded_sequence(x, lengths, batch_first=first, enforce_sorted=False)
    output, last = module(packs, *_state(states))
    steps = x.shape[1 if first else 0]
    return pad_packed_sequence(output, batch_first=first, total_length=steps)[0], last


def with_lengths(module: Any, x: Any, *states: Any, lengths: Any) -> Any:
    """Ours."""
    return module(x, *_state(states), lengths=lengths)


def with_pair(module: Any, x: Any, h: Any, c: Any) -> Any:
    """An LSTM with its two initial states, which are inputs of their own."""
    return module(x, (h, c))


def _state(states: tuple[Any, ...]) -> tuple[Any, ...]:
    return (states,) if len(states) == 2 else states


def plain(name: str, **arguments: Any) -> ModuleCase:
    return ModuleCase(name, {**SIZES, **arguments}, (X,))


def of_lengths(name: str, x: Any, *states: Any, **arguments: Any) -> ModuleCase:
    return ModuleCase(
        name,
        {**SIZES, **arguments},
        (x, *states),
        {"lengths": LENGTHS},
        torch_call=packed,
        call=with_lengths,
    )


def paired(name: str, x: Any, h: Any, c: Any, **arguments: Any) -> ModuleCase:
    return ModuleCase(name, {**SIZES, **arguments}, (x, h, c), torch_call=with_pair, call=with_pair)


DEEP = {"num_layers": 2, "bidirectional": True}

CASES = [
    *(plain(name) for name in ("RNN", "LSTM", "GRU")),
    *(plain(name, bias=False) for name in ("RNN", "LSTM", "GRU")),
    *(plain(name, **DEEP) for name in ("RNN", "LSTM", "GRU")),
    plain("RNN", nonlinearity="relu"),
    plain("RNN", nonlinearity="relu", num_layers=3),
    plain("LSTM", proj_size=2),
    plain("LSTM", proj_size=2, **DEEP),
    *(ModuleCase(name, {**SIZES, "batch_first": True}, (numbers(2, 4, 2),)) for name in ("RNN", "LSTM", "GRU")),
    *(ModuleCase(name, {**SIZES, **DEEP}, (ONE,)) for name in ("RNN", "LSTM", "GRU")),  # without a batch
    *(ModuleCase(name, SIZES, (numbers(1, 1, 2),)) for name in ("RNN", "LSTM", "GRU")),
    # Initial states
    *(ModuleCase(name, {**SIZES, **DEEP}, (X, numbers(4, 2, 3, seed=1))) for name in ("RNN", "GRU")),
    ModuleCase("GRU", {**SIZES, "batch_first": True}, (numbers(2, 4, 2), numbers(1, 2, 3, seed=1))),
    ModuleCase("RNN", SIZES, (ONE, numbers(1, 3, seed=1))),
    paired("LSTM", X, numbers(4, 2, 3, seed=1), numbers(4, 2, 3, seed=2), **DEEP),
    paired("LSTM", X, numbers(1, 2, 2, seed=1), numbers(1, 2, 3, seed=2), proj_size=2),
    paired("LSTM", ONE, numbers(1, 3, seed=1), numbers(1, 3, seed=2)),
    # Lengths
    *(of_lengths(name, PADDED) for name in ("RNN", "LSTM", "GRU")),
    *(of_lengths(name, PADDED, **DEEP) for name in ("RNN", "LSTM", "GRU")),
    *(of_lengths(name, numbers(3, 5, 2), batch_first=True, bidirectional=True) for name in ("RNN", "LSTM", "GRU")),
    of_lengths("GRU", PADDED, numbers(2, 3, 3, seed=1), bidirectional=True),
    of_lengths("LSTM", PADDED, numbers(4, 3, 3, seed=1), numbers(4, 3, 3, seed=2), **DEEP),
    of_lengths("LSTM", PADDED, proj_size=2, **DEEP),
    # Dropout rests in evaluation
    ModuleCase("LSTM", {**SIZES, **DEEP, "dropout": 0.5}, (X,), training=False),
    ModuleCase("GRU", {**SIZES, "num_layers": 2}, (X,), steps=3),
    # Single steps
    *(ModuleCase(name, SIZES, (numbers(2, 2),)) for name in ("RNNCell", "LSTMCell", "GRUCell")),
    *(ModuleCase(name, {**SIZES, "bias": False}, (numbers(2),)) for name in ("RNNCell", "LSTMCell", "GRUCell")),
    ModuleCase("RNNCell", {**SIZES, "nonlinearity": "relu"}, (numbers(2, 2), numbers(2, 3, seed=1))),
    ModuleCase("GRUCell", SIZES, (numbers(2, 2), numbers(2, 3, seed=1))),
    paired("LSTMCell", numbers(2, 2), numbers(2, 3, seed=1), numbers(2, 3, seed=2)),
]

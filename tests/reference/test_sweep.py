"""Networks for sequences against PyTorch over random arguments, lengths and masks; needs torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.reference.modules.cases import ModuleCase, numbers
from tests.reference.modules.topics.attention import to_itself
from tests.reference.modules.topics.recurrent import packed, with_lengths
from tests.reference.test_modules import compare

torch = pytest.importorskip("torch", reason="torch is not installed: the recorded figures have to do")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:enable_nested_tensor:UserWarning")]


def recurrent_case(random: np.random.Generator) -> ModuleCase:
    """An RNN, LSTM or GRU of any form, on sequences of different lengths, with or without a first state."""
    name = str(random.choice(["RNN", "LSTM", "GRU"]))
    size, hidden, layers = (int(n) for n in random.integers(1, 5, 3))
    steps, batch = (int(n) for n in random.integers(1, 7, 2))
    both, bias, batch_first, has_state = (bool(n) for n in random.integers(0, 2, 4))
    arguments: dict[str, Any] = {
        "input_size": size,
        "hidden_size": hidden,
        "num_layers": layers,
        "bias": bias,
        "batch_first": batch_first,
        "bidirectional": both,
    }
    if name == "RNN":
        arguments["nonlinearity"] = str(random.choice(["tanh", "relu"]))
    if name == "LSTM" and hidden > 1 and random.random() < 0.5:
        arguments["proj_size"] = int(random.integers(1, hidden))
    sizes = [arguments.get("proj_size", hidden), *([hidden] if name == "LSTM" else [])]
    first = [numbers(layers * (1 + both), batch, n, seed=k + 1) for k, n in enumerate(sizes)] if has_state else []
    x = numbers(*((batch, steps) if batch_first else (steps, batch)), size)
    lengths = random.integers(1, steps + 1, batch)
    return ModuleCase(name, arguments, (x, *first), {"lengths": lengths}, torch_call=packed, call=with_lengths)


def attention_case(random: np.random.Generator) -> ModuleCase:
    """Self-attention with any masks that leave every query something to look at."""
    heads, size, queries, batch = (int(n) for n in random.integers(1, 5, 4))
    batch_first, bias, add_bias_kv, add_zero_attn, weights, averaged, by_number = (
        bool(n) for n in random.integers(0, 2, 7)
    )
    hidden = random.random((batch, queries)) < 0.3
    hidden[:, 0] = False
    mask = random.random((batch * heads, queries, queries)) < 0.3
    mask[:, :, 0] = False
    masks: dict[str, Any] = {"key_padding_mask": hidden, "attn_mask": mask}
    if by_number:
        masks = {key: np.where(value, -np.inf, numbers(*value.shape, seed=9)) for key, value in masks.items()}
    masks = {key: value for key, value in masks.items() if random.random() < 0.6}
    arguments = {
        "embed_dim": heads * size,
        "num_heads": heads,
        "bias": bias,
        "add_bias_kv": add_bias_kv,
        "add_zero_attn": add_zero_attn,
        "batch_first": batch_first,
    }
    x = numbers(*((batch, queries) if batch_first else (queries, batch)), heads * size)
    options = {"need_weights": weights, "average_attn_weights": averaged, **masks}
    return ModuleCase("MultiheadAttention", arguments, (x,), options, torch_call=to_itself, call=to_itself)


def transformer_case(random: np.random.Generator) -> ModuleCase:
    """The whole, with padding in source and target, and a causal mask."""
    heads, size, source, target, batch = (int(n) for n in random.integers(1, 4, 5))
    batch_first, norm_first, bias = (bool(n) for n in random.integers(0, 2, 3))
    arguments = {
        "d_model": 2 * heads * size,
        "nhead": heads,
        "num_encoder_layers": int(random.integers(1, 3)),
        "num_decoder_layers": int(random.integers(1, 3)),
        "dim_feedforward": int(random.integers(1, 9)),
        "dropout": 0.0,
        "activation": str(random.choice(["relu", "gelu"])),
        "batch_first": batch_first,
        "norm_first": norm_first,
        "bias": bias,
    }
    hidden = {"src": random.random((batch, source)) < 0.3, "tgt": random.random((batch, target)) < 0.3}
    for mask in hidden.values():
        mask[:, 0] = False
    inputs = (
        numbers(*((batch, length) if batch_first else (length, batch)), 2 * heads * size, seed=length)
        for length in (source, target)
    )
    options = {
        "tgt_mask": np.triu(np.ones((target, target), bool), 1),
        "src_key_padding_mask": hidden["src"],
        "tgt_key_padding_mask": hidden["tgt"],
        "memory_key_padding_mask": hidden["src"],
    }
    return ModuleCase("Transformer", arguments, tuple(inputs), options)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("make", [recurrent_case, attention_case, transformer_case])
def test_random_cases(make: Any, seed: int) -> None:
    from tests.reference.modules.record import run

    random = np.random.default_rng(seed)
    for _ in range(4):
        case = make(random)
        compare(case, run(case))

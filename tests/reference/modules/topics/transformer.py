"""Layers of the Transformer, stacks of them, and the whole; without dropout, or with dropout at rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.reference.modules.cases import ModuleCase, numbers

LAYER = {"d_model": 4, "nhead": 2, "dim_feedforward": 6, "dropout": 0.0}
X, MEMORY = numbers(3, 2, 4), numbers(4, 2, 4, seed=1)
FIRST, FIRST_MEMORY = numbers(2, 3, 4), numbers(2, 4, 4, seed=1)
HIDDEN = np.array([[False, False, True], [False, False, False]])
HIDDEN_MEMORY = np.array([[False, False, False, False], [True, False, False, True]])
FUTURE = np.triu(np.ones((3, 3), bool), 1)
BIAS = numbers(4, 3, 3, seed=4)  # for each of 2 * 2 heads


def smooth(x: Any) -> Any:
    """An activation of one's own."""
    return x * x


def encoder_layer(*inputs: Any, options: Any = None, training: bool = True, **arguments: Any) -> ModuleCase:
    inputs = inputs or (X,)
    return ModuleCase("TransformerEncoderLayer", {**LAYER, **arguments}, inputs, options or {}, training=training)


def decoder_layer(*inputs: Any, options: Any = None, training: bool = True, **arguments: Any) -> ModuleCase:
    inputs = inputs or (X, MEMORY)
    return ModuleCase("TransformerDecoderLayer", {**LAYER, **arguments}, inputs, options or {}, training=training)


def whole(*inputs: Any, options: Any = None, training: bool = True, **arguments: Any) -> ModuleCase:
    sizes = {**LAYER, "num_encoder_layers": 1, "num_decoder_layers": 1, **arguments}
    return ModuleCase("Transformer", sizes, inputs or (MEMORY, X), options or {}, training=training)


def encoder(nn: Any) -> Any:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(**LAYER), 2)


def encoder_with_norm(nn: Any) -> Any:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(**LAYER, norm_first=True), 2, nn.LayerNorm(4))


def decoder(nn: Any) -> Any:
    return nn.TransformerDecoder(nn.TransformerDecoderLayer(**LAYER, batch_first=True), 2)


def decoder_with_norm(nn: Any) -> Any:
    return nn.TransformerDecoder(nn.TransformerDecoderLayer(**LAYER, activation="gelu"), 1, nn.LayerNorm(4))


CASES = [
    encoder_layer(),
    encoder_layer(norm_first=True),
    encoder_layer(activation="gelu"),
    encoder_layer(activation=smooth),
    encoder_layer(bias=False, layer_norm_eps=1e-2),
    encoder_layer(FIRST, batch_first=True, norm_first=True, activation="gelu"),
    encoder_layer(numbers(3, 4)),
    encoder_layer(options={"src_mask": FUTURE, "src_key_padding_mask": HIDDEN}),
    encoder_layer(options={"src_mask": BIAS}, norm_first=True),
    encoder_layer(dropout=0.3, training=False),
    decoder_layer(),
    decoder_layer(norm_first=True, activation="gelu"),
    decoder_layer(bias=False),
    decoder_layer(FIRST, FIRST_MEMORY, batch_first=True),
    decoder_layer(numbers(3, 4), numbers(4, 4, seed=1)),
    decoder_layer(
        options={
            "tgt_mask": FUTURE,
            "memory_mask": numbers(3, 4) > 0.5,
            "tgt_key_padding_mask": HIDDEN,
            "memory_key_padding_mask": HIDDEN_MEMORY,
        }
    ),
    decoder_layer(dropout=0.3, training=False),
    ModuleCase("encoder", {}, (X,), {"src_key_padding_mask": HIDDEN}, make=encoder),
    ModuleCase("encoder", {}, (X,), {"mask": FUTURE}, make=encoder_with_norm, steps=2),
    ModuleCase("decoder", {}, (FIRST, FIRST_MEMORY), {"tgt_mask": FUTURE}, make=decoder),
    ModuleCase("decoder", {}, (X, MEMORY), {"memory_key_padding_mask": HIDDEN_MEMORY}, make=decoder_with_norm),
    whole(),
    whole(num_encoder_layers=2, num_decoder_layers=2, norm_first=True, activation="gelu"),
    whole(FIRST_MEMORY, FIRST, batch_first=True, bias=False),
    whole(numbers(4, 4, seed=1), numbers(3, 4)),
    whole(
        options={
            "tgt_mask": FUTURE,
            "src_key_padding_mask": HIDDEN_MEMORY,
            "tgt_key_padding_mask": HIDDEN,
            "memory_key_padding_mask": HIDDEN_MEMORY,
        }
    ),
    whole(options={"tgt_mask": np.where(FUTURE, -np.inf, 0.0), "memory_mask": numbers(3, 4)}),
    whole(dropout=0.1, training=False),
]

"""Attention with several heads: self and cross, masks of all kinds, weights by head, further keys."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.reference.modules.cases import Constant, ModuleCase, numbers

SIZES = {"embed_dim": 4, "num_heads": 2}
X = numbers(3, 2, 4)
QUERY, MEMORY = numbers(3, 2, 4), numbers(5, 2, 4, seed=1)
HIDDEN = np.array([[False, False, True], [False, False, False]])
HIDDEN_OF_FIVE = np.array([[False, False, True, True, True], [True, False, False, False, True]])
FUTURE = np.triu(np.ones((3, 3), bool), 1)
BIAS = numbers(3, 3, seed=4)
BY_HEAD = numbers(4, 3, 3, seed=5) > 0.6  # some hidden, but nowhere all
BIAS_BY_HEAD = np.where(BY_HEAD, -np.inf, numbers(4, 3, 3, seed=6))


def to_itself(module: Any, x: Any, **options: Any) -> Any:
    """Queries, keys and values are one tensor."""
    return module(x, x, x, **options)


def to_memory(module: Any, query: Any, memory: Any, **options: Any) -> Any:
    """Keys and values are one tensor."""
    return module(query, memory, memory, **options)


def without_mask(call: Any) -> Any:
    """Ours: `is_causal` needs no mask."""

    def causal(*inputs: Any, attn_mask: Any = None, **options: Any) -> Any:
        return call(*inputs, **options)

    return causal


def of_itself(x: Any = X, **options: Any) -> ModuleCase:
    """Self-attention. PyTorch returns the weights unless told not to, ours if told to: both are told."""
    arguments = {**SIZES, **options.pop("arguments", {})}
    options = {"need_weights": True, **options}
    return ModuleCase("MultiheadAttention", arguments, (x,), options, torch_call=to_itself, call=to_itself)


def of_memory(**options: Any) -> ModuleCase:
    arguments = {**SIZES, **options.pop("arguments", {})}
    inputs = options.pop("inputs", (QUERY, MEMORY))
    options = {"need_weights": True, **options}
    return ModuleCase("MultiheadAttention", arguments, inputs, options, torch_call=to_memory, call=to_memory)


def attend(nn: Any) -> Any:
    """The function as a module."""

    class Attend(nn.Module):  # type: ignore[misc]
        def forward(self, *inputs: Any, **options: Any) -> Any:
            return nn.functional.scaled_dot_product_attention(*inputs, **options)

    return Attend()


def of_function(shape: tuple[int, ...] = (2, 2), **options: Any) -> ModuleCase:
    inputs = numbers(*shape, 3, 4), numbers(*shape, 5, 4, seed=1), numbers(*shape, 5, 2, seed=2)
    return ModuleCase("attend", {}, inputs, options, make=attend)


ALLOWED = numbers(2, 1, 3, 5) > -0.4
ONE_ROW_HIDDEN = np.arange(3).reshape(3, 1) != 1

CASES = [
    of_function(),
    of_function((2,), scale=0.3),
    of_function((), is_causal=True),
    of_function(attn_mask=ALLOWED),
    of_function(attn_mask=np.where(ALLOWED, numbers(2, 1, 3, 5, seed=3), -np.inf)),
    of_function(attn_mask=np.broadcast_to(ONE_ROW_HIDDEN, (3, 5)).copy()),  # which gets zeros
    of_function(attn_mask=np.where(ONE_ROW_HIDDEN, numbers(3, 5), -np.inf)),
    of_itself(),
    of_itself(need_weights=False),
    of_itself(average_attn_weights=False),
    of_itself(arguments={"bias": False}),
    of_itself(arguments={"num_heads": 4}),
    of_itself(numbers(2, 3, 4), arguments={"batch_first": True}),
    of_itself(numbers(3, 4)),  # without a batch
    of_itself(numbers(3, 4), average_attn_weights=False, attn_mask=FUTURE),
    of_itself(numbers(1, 1, 4)),
    # Masks
    of_itself(key_padding_mask=HIDDEN),
    of_itself(key_padding_mask=HIDDEN, need_weights=False),
    of_itself(key_padding_mask=np.where(HIDDEN, -np.inf, 0.0)),
    of_itself(attn_mask=FUTURE),
    of_itself(attn_mask=BIAS),
    of_itself(attn_mask=BY_HEAD),
    of_itself(attn_mask=BIAS_BY_HEAD),
    of_itself(numbers(3, 4), attn_mask=BY_HEAD[:2], key_padding_mask=HIDDEN[0]),
    of_itself(attn_mask=FUTURE, key_padding_mask=HIDDEN),
    of_itself(attn_mask=np.where(FUTURE, -np.inf, 0.0), key_padding_mask=np.where(HIDDEN, -np.inf, 0.0)),
    of_itself(numbers(2, 3, 4), arguments={"batch_first": True}, attn_mask=FUTURE, key_padding_mask=HIDDEN),
    *(
        ModuleCase(
            "MultiheadAttention",
            SIZES,
            (X,),
            {"need_weights": weights, "attn_mask": FUTURE, "is_causal": True},
            torch_call=to_itself,
            call=without_mask(to_itself),
        )
        for weights in (False, True)
    ),
    # Cross-attention
    of_memory(),
    of_memory(key_padding_mask=HIDDEN_OF_FIVE, average_attn_weights=False),
    of_memory(attn_mask=numbers(3, 5) > 0.5),
    of_memory(inputs=(numbers(2, 3, 4), numbers(2, 5, 4, seed=1)), arguments={"batch_first": True}),
    of_memory(inputs=(numbers(3, 4), numbers(5, 4, seed=1))),
    ModuleCase("MultiheadAttention", SIZES, (QUERY, MEMORY, numbers(5, 2, 4, seed=2)), {"need_weights": True}),
    ModuleCase(
        "MultiheadAttention",
        {**SIZES, "kdim": 3, "vdim": 2},
        (QUERY, numbers(5, 2, 3, seed=1), numbers(5, 2, 2, seed=2)),
        {"need_weights": True, "key_padding_mask": HIDDEN_OF_FIVE},
    ),
    ModuleCase(
        "MultiheadAttention",
        {**SIZES, "kdim": 3, "bias": False},
        (QUERY, numbers(5, 2, 3, seed=1), numbers(5, 2, 4, seed=2)),
        {"need_weights": True},
    ),
    # Further keys
    of_itself(arguments={"add_bias_kv": True}),
    of_itself(arguments={"add_zero_attn": True}),
    of_itself(arguments={"add_bias_kv": True, "add_zero_attn": True}, attn_mask=FUTURE, key_padding_mask=HIDDEN),
    of_itself(arguments={"add_bias_kv": True, "add_zero_attn": True}, attn_mask=BIAS_BY_HEAD, need_weights=False),
    of_memory(
        arguments={"add_bias_kv": True, "batch_first": True}, inputs=(numbers(2, 3, 4), numbers(2, 5, 4, seed=1))
    ),
    # Frozen inputs, several steps, dropout at rest
    ModuleCase(
        "MultiheadAttention",
        {**SIZES, "dropout": 0.5},
        (Constant(X),),
        {"need_weights": True},
        training=False,
        torch_call=to_itself,
        call=to_itself,
    ),
]

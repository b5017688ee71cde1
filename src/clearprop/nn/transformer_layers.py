"""The layers of a Transformer (Vaswani et al. 2017): attention, and a small network for each element, with shortcuts.

A layer normalizes behind each of its parts, as in the paper, or in front of it (``norm_first``; Xiong et al. 2020):
then a shortcut runs through the whole network, and deep ones train without warm-up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clearprop import functional
from clearprop.arguments import one_of
from clearprop.array import add
from clearprop.nn.attention import MultiheadAttention
from clearprop.nn.dropout import Dropout
from clearprop.nn.linear import Linear, check_sizes
from clearprop.nn.module import Module
from clearprop.nn.normalization import LayerNorm
from clearprop.random import Generator
from clearprop.tensor import Tensor, as_tensor

Activation = str | Callable[[Tensor], Tensor]


class _Layer(Module):
    """What both kinds of layers share: self-attention, the network for each element, and how they are put together."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        check_sizes(type(self).__name__, d_model=d_model, dim_feedforward=dim_feedforward)
        self.activation = _activation(type(self).__name__, activation)
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, generator=generator
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype, generator=generator)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype, generator=generator)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)

    def _with(self, x: Tensor, norm: Module, part: Callable[[Tensor], Tensor]) -> Tensor:
        """x and what a part of the layer makes of it."""
        return add(x, part(norm(x))) if self.norm_first else norm(add(x, part(x)))

    def _for_each(self, x: Tensor) -> Tensor:
        """The network that every element goes through by itself, without the dropout behind it."""
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def extra_repr(self) -> str:
        """Where it normalizes."""
        return "norm_first=True" if self.norm_first else ""


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a network of two linear layers for each element.

    Args:
        d_model: length of the elements.
        nhead: how many heads; it divides d_model.
        dim_feedforward: outputs of the first of the two linear layers.
        dropout: share that is zeroed while training: of the attention's weights, behind the activation, and of what
            each part adds.
        activation: "relu", "gelu", or a function.
        layer_norm_eps: added to variances.
        batch_first: True for (N, T, d_model) instead of (T, N, d_model).
        norm_first: normalize in front of each part instead of behind it.
        bias: False for linear layers and normalizations without one.
        dtype: of the parameters; float32 by default.
        generator: of their first values.

    >>> import clearprop as cp
    >>> layer = cp.nn.TransformerEncoderLayer(8, 2, 32, batch_first=True)
    >>> layer(cp.ones((5, 7, 8)), is_causal=True).shape
    (5, 7, 8)
    """

    def forward(
        self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Tensor:
        """(T, N, d_model) -> the same shape.

        Args:
            src_mask: the ``attn_mask`` of `MultiheadAttention`: booleans hide where they are True, numbers are added.
            src_key_padding_mask: (N, T), True for padding.
            is_causal: no element looks at those behind it; needs no mask.
        """

        def attention(x: Tensor) -> Tensor:
            found, _ = self.self_attn(x, x, x, src_key_padding_mask, attn_mask=src_mask, is_causal=is_causal)
            return self.dropout1(found)

        x = self._with(as_tensor(src), self.norm1, attention)
        return self._with(x, self.norm2, lambda x: self.dropout2(self._for_each(x)))


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to a memory, then a network of two linear layers for each element.

    Arguments as of `TransformerEncoderLayer`.

    >>> import clearprop as cp
    >>> layer = cp.nn.TransformerDecoderLayer(8, 2, 32, batch_first=True)
    >>> layer(cp.ones((5, 7, 8)), cp.ones((5, 9, 8)), tgt_is_causal=True).shape
    (5, 7, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias,
            dtype=dtype, generator=generator,
        )  # fmt: skip
        self.multihead_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, generator=generator
        )
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout3 = Dropout(dropout)

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """(T, N, d_model) and the memory (S, N, d_model) -> the shape of the first.

        Args:
            tgt_mask, memory_mask: (T, T) and (T, S), or for each head, see `MultiheadAttention`.
            tgt_key_padding_mask, memory_key_padding_mask: (N, T) and (N, S), True for padding.
            tgt_is_causal: no element looks at those behind it; needs no mask.
            memory_is_causal: element i looks at the memory's elements 0 to i only.
        """
        memory = as_tensor(memory)

        def to_itself(x: Tensor) -> Tensor:
            found, _ = self.self_attn(x, x, x, tgt_key_padding_mask, attn_mask=tgt_mask, is_causal=tgt_is_causal)
            return self.dropout1(found)

        def to_memory(x: Tensor) -> Tensor:
            found, _ = self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, attn_mask=memory_mask, is_causal=memory_is_causal
            )
            return self.dropout2(found)

        x = self._with(as_tensor(tgt), self.norm1, to_itself)
        x = self._with(x, self.norm2, to_memory)
        return self._with(x, self.norm3, lambda x: self.dropout3(self._for_each(x)))


def _activation(name: str, activation: Any) -> Callable[[Tensor], Tensor]:
    if callable(activation):
        return activation
    known = {"relu": functional.relu, "gelu": functional.gelu}
    return known[one_of(name, "activation", activation, *known)]

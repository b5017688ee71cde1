"""The Transformer, from one sequence to another.

A. Vaswani, N. Shazeer, N. Parmar, J. Uszkoreit, L. Jones, A. Gomez, Ł. Kaiser, I. Polosukhin, "Attention is all you
need", 2017, https://arxiv.org/abs/1706.03762, whose sections and equations are numbered here. In the shapes B is the
batch, S the length of the source, T that of the target, both with the padding that makes them equal within a batch.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from clearprop.arguments import whole
from clearprop.array import argmax, asarray, equal, permute_dims
from clearprop.autodiff import no_grad
from clearprop.errors import DataError, ShapeError, UsageError
from clearprop.functional.checks import known_values
from clearprop.models.tokens import check_tokens
from clearprop.nn import (
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    Module,
    ModuleList,
    MultiheadAttention,
    ReLU,
    Sequential,
    SinusoidalPositions,
    init,
)
from clearprop.random import Generator
from clearprop.tensor import Tensor


def feed_forward(width: int, inner: int, generator: Generator | None) -> Sequential:
    """max(0, x W₁ + b₁) W₂ + b₂, for each element by itself (2)."""
    return Sequential(Linear(width, inner, generator=generator), ReLU(), Linear(inner, width, generator=generator))


class EncoderLayer(Module):
    """Self-attention, then a network for each element; behind each part LayerNorm(x + Sublayer(x)), section 3.1."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float, generator: Generator | None = None) -> None:
        self.attention = MultiheadAttention(width, heads, batch_first=True, generator=generator)
        self.feed_forward = feed_forward(width, inner, generator)
        self.norm1, self.norm2 = LayerNorm(width), LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Any, hidden: Any) -> Tensor:
        """(B, S, width) -> the same shape; what is hidden, (B, S), is True for padding."""
        x = self.norm1(x + self.dropout(self.attention(x, x, x, hidden)[0]))
        return self.norm2(x + self.dropout(self.feed_forward(x)))


class DecoderLayer(Module):
    """The same with attention to the encoder's output in between; and no element looks at those behind it."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float, generator: Generator | None = None) -> None:
        self.attention = MultiheadAttention(width, heads, batch_first=True, generator=generator)
        self.cross_attention = MultiheadAttention(width, heads, batch_first=True, generator=generator)
        self.feed_forward = feed_forward(width, inner, generator)
        self.norm1, self.norm2, self.norm3 = LayerNorm(width), LayerNorm(width), LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Any, memory: Any, hidden: Any, need_weights: bool = False) -> tuple[Tensor, Tensor | None]:
        """(B, T, width) and the memory (B, S, width) -> (B, T, width), and the weights (B, heads, T, S) or None."""
        x = self.norm1(x + self.dropout(self.attention(x, x, x, is_causal=True)[0]))
        found, weights = self.cross_attention(x, memory, memory, hidden, need_weights, average_attn_weights=False)
        x = self.norm2(x + self.dropout(found))
        return self.norm3(x + self.dropout(self.feed_forward(x))), weights


class Memory(NamedTuple):
    """What the encoder made of the sources.

    Attributes:
        elements: (B, S, width).
        hidden: (B, S), True for padding.
    """

    elements: Tensor
    hidden: Tensor


class Seq2Seq(Module):
    """An encoder that reads a sequence of tokens, and a decoder that writes another, one token after the other.

    Args:
        vocabulary: how many tokens there are, of sources and targets together.
        width: d_model of the paper.
        heads, layers: of the attention, and of encoder and decoder each.
        inner: d_ff of the paper; 4 width by default.
        dropout: share of what each part adds that is zeroed while training, section 5.4.
        padding, begin, end: the tokens that fill up, that stand before a target, and behind it.
        generator: of the first values.

    >>> import clearprop as cp
    >>> model = Seq2Seq(13, width=16, heads=2, layers=1)
    >>> model(cp.asarray([[4, 5, 2], [6, 2, 0]]), cp.asarray([[1, 5, 4, 2], [1, 6, 2, 0]])).shape
    (2, 13, 4)
    """

    def __init__(
        self,
        vocabulary: int,
        width: int = 128,
        heads: int = 4,
        layers: int = 2,
        inner: int | None = None,
        dropout: float = 0.1,
        *,
        padding: int = 0,
        begin: int = 1,
        end: int = 2,
        generator: Generator | None = None,
    ) -> None:
        whole("Seq2Seq", "layers", layers)
        special = (padding, begin, end)
        if len({*special}) < 3 or not all(0 <= whole("Seq2Seq", "a token", token, 0) < vocabulary for token in special):
            raise UsageError(
                f"Seq2Seq: padding={padding}, begin={begin}, end={end} with a vocabulary of {vocabulary}",
                hint="three different tokens of the vocabulary",
            )
        self.padding, self.begin, self.end = special
        # One table for sources, targets and the last layer; its vectors times √width, section 3.4.
        self.embedding = Embedding(vocabulary, width, generator=generator)
        init.normal_(self.embedding.weight, std=width**-0.5, generator=generator)
        self.positions = SinusoidalPositions(width, batch_first=True)
        self.dropout = Dropout(dropout)
        sizes = (width, heads, inner or 4 * width, dropout, generator)
        self.encoder = ModuleList(EncoderLayer(*sizes) for _ in range(layers))
        self.decoder = ModuleList(DecoderLayer(*sizes) for _ in range(layers))

    def forward(self, source: Any, target: Any) -> Tensor:
        """The logits of each token that follows one of the target: (B, S) and (B, T) -> (B, vocabulary, T)."""
        return self.decode(target, self.encode(source))[0]

    def encode(self, source: Any) -> Memory:
        """What the encoder makes of the sources, (B, S).

        Raises:
            ShapeError: they have another shape, or no element.
            DataError: one of them is padding throughout.
            RangeError: a token is not in the vocabulary.
        """
        source = check_tokens("Seq2Seq, source", source)
        hidden = equal(source, self.padding)
        values = known_values(hidden)
        if values is not None and values.all(axis=-1).any():
            empty = int(np.argmax(values.all(axis=-1)))
            raise DataError(f"Seq2Seq: source {empty} is empty: it is padding throughout", hint="leave it out")
        x = self._embedded(source)
        for layer in self.encoder:
            x = layer(x, hidden)
        return Memory(x, hidden)

    def decode(self, target: Any, memory: Memory, need_weights: bool = False) -> tuple[Tensor, list[Any]]:
        """Logits, (B, vocabulary, T), given targets that begin with `begin`; and for each layer where it looked.

        The weights are (B, heads, T, S), for attention to the memory; None unless they are needed.
        """
        target = check_tokens("Seq2Seq, target", target)
        if target.shape[0] != memory.hidden.shape[0]:
            raise ShapeError(
                f"Seq2Seq: {memory.hidden.shape[0]} sources and {target.shape[0]} targets",
                hint="a target for each source",
            )
        x, weights = self._embedded(target), []
        for layer in self.decoder:
            x, looked = layer(x, *memory, need_weights)
            weights.append(looked)
        return permute_dims(self.embedding.as_linear(x), (0, 2, 1)), weights

    def greedy(self, source: Any, longest: int) -> np.ndarray[Any, Any]:
        """The likeliest token at each step, up to `end`: (B, S) -> (B, longest), behind the end padding.

        Targets that have not ended after so many tokens are cut there. Dropout is as the mode of the network says.
        """
        whole("Seq2Seq.greedy", "longest", longest)
        with no_grad():
            memory = self.encode(source)
            tokens = np.full((memory.hidden.shape[0], longest + 1), self.padding)
            tokens[:, 0], going = self.begin, np.ones(len(tokens), dtype=bool)
            for step in range(longest):  # always of one length: what stands behind the step is not looked at
                logits, _ = self.decode(asarray(tokens[:, :-1]), memory)
                tokens[going, step + 1] = argmax(logits[:, :, step], axis=1).numpy()[going]
                going &= tokens[:, step + 1] != self.end
                if not going.any():
                    break
        return tokens[:, 1:]

    def _embedded(self, tokens: Tensor) -> Tensor:
        """Section 3.4 and 3.5: (B, T) -> (B, T, width)."""
        return self.dropout(self.positions(self.embedding(tokens) * math.sqrt(self.embedding.embedding_dim)))

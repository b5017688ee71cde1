"""GPT: a Transformer that only looks back, and says after every token which one comes next.

A. Radford, K. Narasimhan, T. Salimans, I. Sutskever, "Improving language understanding by generative pre-training",
2018, equation 2:
    h_0 = U W_e                                  a vector for each token
    h_l = block(h_{l-1})   for l = 1 … layers
    P(u) = softmax(norm(h_layers) W)             here W is a matrix of its own, not W_e transposed

as it is built since: normalization before each part of a block, and initial weights of what is added to h smaller by
1/√(2 layers) (A. Radford et al., "Language models are unsupervised multitask learners", 2019, section 2.3), by the root
mean square alone (B. Zhang, R. Sennrich, "Root mean square layer normalization", 2019, equation 4), and positions that
turn queries and keys (J. Su et al., "RoFormer", 2021, equation 34) in the place of vectors that are added.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from clearprop import functional, nn
from clearprop.arguments import whole
from clearprop.array import arange, asarray, equal, less_equal, permute_dims, reshape, where, zeros
from clearprop.array.promotion import ArrayLike
from clearprop.errors import ShapeError, UsageError
from clearprop.models.tokens import check_tokens
from clearprop.tensor import Tensor


class Cache(NamedTuple):
    """What a layer keeps of the tokens that were read one by one.

    Attributes:
        place: how many they are, ().
        keys, values: (1, heads, memory, d); behind the place nothing is in them yet.
    """

    place: Tensor
    keys: Tensor
    values: Tensor


class CausalAttention(nn.Module):
    """softmax(Q Kᵀ / √d) V in several heads; a token looks at itself and those before (Vaswani et al. 2017, 3.2)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.joined = nn.Linear(width, width, bias=False)
        self.rotary = nn.RotaryPositions()

    def forward(self, x: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache | None]:
        """(N, T, width) -> (N, T, width); or one token, (1, 1, width), and what is kept of those before it."""
        n, steps, width = x.shape
        apart = reshape(self.qkv(x), (n, steps, 3, self.heads, width // self.heads))
        q, k, v = permute_dims(apart, (2, 0, 3, 1, 4))  # each (N, heads, T, d)
        if cache is None:
            q, k, seen = self.rotary(q), self.rotary(k), None
        else:
            places, here = arange(cache.keys.shape[2]), reshape(cache.place, (1,))
            is_here = reshape(equal(places, here), (-1, 1))
            k, v = where(is_here, self.rotary(k, here), cache.keys), where(is_here, v, cache.values)
            q, seen = self.rotary(q, here), reshape(less_equal(places, here), (1, -1))
            cache = Cache(cache.place + 1, k, v)
        dropout = self.dropout if self.training else 0.0
        y = functional.scaled_dot_product_attention(q, k, v, seen, dropout, is_causal=cache is None)
        return self.joined(reshape(permute_dims(y, (0, 2, 1, 3)), x.shape)), cache


class Block(nn.Module):
    """h + attention(norm(h)), and to that another: + W₂ gelu(W₁ norm(h)).  (N, T, width) -> (N, T, width)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.attention = CausalAttention(width, heads, dropout)
        self.wide = nn.Linear(width, 4 * width, bias=False)
        self.narrow = nn.Linear(4 * width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache | None]:
        """All tokens at once; or one, with the cache, see `CausalAttention`."""
        y, cache = self.attention(self.norm1(h), cache)
        h = h + self.dropout(y)
        return h + self.dropout(self.narrow(functional.gelu(self.wide(self.norm2(h))))), cache


class GPT(nn.Module):
    """Scores for the token that follows each token: (N, T) -> (N, vocabulary, T).

    Args:
        vocabulary: how many tokens there are.
        context: so many tokens are looked at, at most.
        width: numbers in the vector of a token.
        heads: of the attention; they share the width, and each gets an even part of it.
        layers: blocks.
        dropout: share of the attention's weights, and of what the blocks add, that is zeroed while training.

    >>> import clearprop as cp
    >>> model = GPT(vocabulary=65, context=8, width=16, heads=2, layers=2)
    >>> model(cp.asarray([[1, 2, 3], [4, 5, 6]])).shape
    (2, 65, 3)
    """

    def __init__(
        self,
        vocabulary: int,
        context: int = 128,
        width: int = 128,
        heads: int = 4,
        layers: int = 4,
        dropout: float = 0.0,
    ) -> None:
        sizes = {"vocabulary": vocabulary, "context": context, "width": width, "heads": heads, "layers": layers}
        for name, size in sizes.items():
            whole("GPT", name, size)
        if width % (2 * heads):
            raise UsageError(
                f"GPT: width={width} cannot be divided into {heads} heads of even length",
                hint=f"width={2 * heads * -(-width // (2 * heads))}",
            )
        self.vocabulary, self.memory, self.heads = vocabulary, context, heads
        self.words = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self._draw()

    def forward(self, tokens: ArrayLike) -> Tensor:
        """Each text by itself; the scores after a token depend on it and on those before.

        Args:
            tokens: whole numbers below `vocabulary`, (N, T), with T from 1 to `context`.

        Returns:
            float32 (N, vocabulary, T), what `nn.CrossEntropyLoss` takes.

        Raises:
            ShapeError: the tokens have another shape, or T is 0 or larger than `context`.
            RangeError: a token outside the vocabulary.
        """
        x = check_tokens("GPT", tokens)
        if x.shape[1] > self.memory:
            raise ShapeError(
                f"GPT: tokens have shape {x.shape}; a text may have {self.memory} tokens",
                hint=f"tokens[:, -{self.memory}:], or GPT(…, context={x.shape[1]})",
            )
        h = self.words(x)
        for block in self.blocks:
            h, _ = block(h)
        return permute_dims(self.head(self.norm(h)), (0, 2, 1))  # (N, T, V) -> (N, V, T)

    # Token by token, for `models.sample` -----------------------------------------------------------------------------

    def start(self) -> tuple[Cache, ...]:
        """The state before the first token."""
        shape = (1, self.heads, self.memory, self.words.embedding_dim // self.heads)
        return tuple(Cache(asarray(0), zeros(shape), zeros(shape)) for _ in self.blocks)

    def step(self, token: ArrayLike, state: tuple[Cache, ...]) -> tuple[Tensor, tuple[Cache, ...]]:
        """Read one more token, a whole number; at most `memory` of them after `start`.

        Args:
            state: what `start` or the step before gave.

        Returns:
            The scores of what follows, (vocabulary,), and the next state.
        """
        h, after = reshape(self.words(token), (1, 1, -1)), []
        for block, before in zip(self.blocks, state, strict=True):
            h, cache = block(h, before)
            after.append(cache)
        return self.head(self.norm(h))[0, 0], tuple(after)

    def _draw(self) -> None:
        """Normal numbers of standard deviation 0.02, less where layers add up in h (Radford et al. 2019)."""
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                added = name.endswith(("joined.weight", "narrow.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * len(self.blocks)) if added else 0.02)

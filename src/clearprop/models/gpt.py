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
from typing import TypeAlias

from clearprop import functional, nn
from clearprop.arguments import whole
from clearprop.array import add, arange, asarray, equal, expand_dims, less_equal, permute_dims, reshape, stack, where
from clearprop.array import zeros as zeros_of
from clearprop.array.promotion import ArrayLike
from clearprop.errors import ShapeError, UsageError
from clearprop.models.tokens import check_tokens
from clearprop.tensor import Tensor

State: TypeAlias = tuple[Tensor, Tensor, Tensor]


class CausalAttention(nn.Module):
    """softmax(Q Kᵀ / √d) V in several heads, each token looking at itself and those before (Vaswani et al. 2017, 3.2).

    (N, T, width) -> (N, T, width).
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.joined = nn.Linear(width, width, bias=False)
        self.rotary = nn.RotaryPositions()

    def forward(self, x: Tensor) -> Tensor:
        """All tokens at once."""
        q, k, v = self._taken_apart(x)
        dropout = self.dropout if self.training else 0.0
        y = functional.scaled_dot_product_attention(self.rotary(q), self.rotary(k), v, None, dropout, is_causal=True)
        return self.joined(_side_by_side(y))

    def step(self, x: Tensor, place: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One token more, (1, 1, width), at a place among those that were before, whose keys and values are kept.

        keys, values: (1, heads, memory, d); they come back with those of this token.
        """
        q, k, v = self._taken_apart(x)  # each (1, heads, 1, d)
        places, here = arange(keys.shape[2]), reshape(place, (1,))
        is_here = expand_dims(equal(places, here), -1)  # (memory, 1)
        keys, values = where(is_here, self.rotary(k, here), keys), where(is_here, v, values)
        seen = less_equal(places, here)
        y = functional.scaled_dot_product_attention(self.rotary(q, here), keys, values, expand_dims(seen, 0))
        return self.joined(_side_by_side(y)), keys, values

    def _taken_apart(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of all heads, each (N, heads, T, d)."""
        n, steps, width = x.shape
        apart = reshape(self.qkv(x), (n, steps, 3, self.heads, width // self.heads))
        q, k, v = permute_dims(apart, (2, 0, 3, 1, 4))
        return q, k, v


class Block(nn.Module):
    """h + attention(norm(h)), and to that another: + W₂ gelu(W₁ norm(h)).  (N, T, width) -> (N, T, width)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.attention = CausalAttention(width, heads, dropout)
        self.wide = nn.Linear(width, 4 * width, bias=False)
        self.narrow = nn.Linear(4 * width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        """All tokens at once."""
        return self._inner(add(h, self.dropout(self.attention(self.norm1(h)))))

    def step(self, h: Tensor, place: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One token more, see `CausalAttention.step`."""
        y, keys, values = self.attention.step(self.norm1(h), place, keys, values)
        return self._inner(add(h, y)), keys, values

    def _inner(self, h: Tensor) -> Tensor:
        return add(h, self.dropout(self.narrow(functional.gelu(self.wide(self.norm2(h))))))


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
        width: int = 192,
        heads: int = 6,
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
        self.vocabulary, self.memory = vocabulary, context
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
            h = block(h)
        return permute_dims(self.head(self.norm(h)), (0, 2, 1))  # (N, T, V) -> (N, V, T)

    # Token by token, for `models.sample` -----------------------------------------------------------------------------

    def start(self) -> State:
        """The state before the first token: how many were read, and places for their keys and their values.

        (), and twice (layers, 1, heads, context, d).
        """
        heads = self.blocks[0].attention.heads
        shape = (len(self.blocks), 1, heads, self.memory, self.words.embedding_dim // heads)
        return asarray(0), zeros_of(shape), zeros_of(shape)

    def step(self, token: ArrayLike, state: State) -> tuple[Tensor, State]:
        """Read one more token; at most `memory` of them after `start`.

        Args:
            token: a whole number.
            state: what `start` or the step before gave.

        Returns:
            The scores of what follows, (vocabulary,), and the next state.
        """
        place, *kept = state
        h, after = reshape(self.words(token), (1, 1, -1)), []
        for number, block in enumerate(self.blocks):
            h, *own = block.step(h, place, *(cache[number] for cache in kept))
            after.append(own)
        keys, values = (stack(caches) for caches in zip(*after, strict=True))
        return self.head(self.norm(h))[0, 0], (add(place, 1), keys, values)

    def _draw(self) -> None:
        """Normal numbers of standard deviation 0.02, less where layers add up in h (Radford et al. 2019)."""
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                added = name.endswith(("joined.weight", "narrow.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * len(self.blocks)) if added else 0.02)


def _side_by_side(y: Tensor) -> Tensor:
    """The heads' outputs: (N, heads, T, d) -> (N, T, width)."""
    n, heads, steps, size = y.shape
    return reshape(permute_dims(y, (0, 2, 1, 3)), (n, steps, heads * size))

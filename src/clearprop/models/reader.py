"""What stands for each element of a sequence once the others have been read: by recurrence or by attention.

The recurrent ones are S. Hochreiter, J. Schmidhuber, "Long short-term memory", 1997, and one in each direction (A.
Graves, J. Schmidhuber, "Framewise phoneme classification", 2005). What they know of an element has come through all
steps in between. The others are blocks of a Transformer (A. Vaswani et al., "Attention is all you need", 2017), where
every element looks at every other at once. In the shapes N is the batch, T the longest sequence in it.
"""

from __future__ import annotations

from typing import Any

from clearprop.arguments import one_of, whole
from clearprop.array import arange, expand_dims, greater_equal
from clearprop.errors import UsageError
from clearprop.functional import relu
from clearprop.nn import (
    LSTM,
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    Module,
    ModuleList,
    MultiheadAttention,
    RotaryPositions,
)
from clearprop.random import Generator
from clearprop.tensor import Tensor


class Block(Module):
    """Attention to all elements, then a network for each; both add to what is there (Vaswani et al., section 3.1).

    Normalization comes first, and positions turn queries and keys (J. Su et al., "RoFormer", 2021).
    """

    def __init__(self, width: int, heads: int, dropout: float, generator: Generator | None = None) -> None:
        self.norm1, self.norm2 = LayerNorm(width), LayerNorm(width)
        rotary = RotaryPositions()
        self.attention = MultiheadAttention(width, heads, batch_first=True, rotary=rotary, generator=generator)
        self.wide = Linear(width, 4 * width, generator=generator)
        self.narrow = Linear(4 * width, width, generator=generator)
        self.dropout = Dropout(dropout)

    def forward(self, x: Any, hidden: Any = None) -> Tensor:
        """(N, T, width) -> the same shape; hidden, (N, T), is True behind the end of a sequence."""
        y = self.norm1(x)
        x = x + self.dropout(self.attention(y, y, y, hidden)[0])
        return x + self.dropout(self.narrow(relu(self.wide(self.norm2(x)))))


class Reader(Module):
    """What stands for each element once the others have been read: (N, T) tokens -> (N, T, width).

    Args:
        vocabulary: how many tokens there are.
        kind: "attention", or "lstm".
        width: numbers that stand for an element.
        heads: of the attention.
        layers: blocks, or layers of the LSTM.
        dropout: share that is zeroed while training: of the embeddings, and of what layers add or hand on.
        both_directions: whether a second LSTM reads from the end; each has half of the width then.
    """

    def __init__(
        self,
        vocabulary: int,
        kind: str,
        width: int,
        heads: int,
        layers: int,
        dropout: float,
        generator: Generator | None,
        *,
        both_directions: bool,
    ) -> None:
        one_of("a network of sequences", "kind", kind, "attention", "lstm")
        whole("a network of sequences", "layers", layers)
        if kind == "lstm" and both_directions and whole("a network of sequences", "width", width) % 2:
            raise UsageError(
                f"a network of sequences: width={width} cannot be halved for two directions", hint=f"width={width + 1}"
            )
        self.embedding = Embedding(vocabulary, width, generator=generator)
        self.dropout = Dropout(dropout)
        self.kind = kind
        if kind == "lstm":
            self.lstm = LSTM(
                width,
                width // 2 if both_directions else width,
                layers,
                batch_first=True,
                dropout=dropout,
                bidirectional=both_directions,
                generator=generator,
            )
        else:
            self.blocks = ModuleList(Block(width, heads, dropout, generator) for _ in range(layers))
            self.norm = LayerNorm(width)

    def forward(self, tokens: Any, lengths: Any = None) -> Tensor:
        """The elements, (N, T, width), of tokens (N, T); see `SequenceTagger.forward`."""
        x = self.dropout(self.embedding(tokens))
        if self.kind == "lstm":
            return self.dropout(self.lstm(x, lengths=lengths)[0])
        hidden = behind_the_end(lengths, tokens.shape[1])
        for block in self.blocks:
            x = block(x, hidden)
        return self.norm(x)


def behind_the_end(lengths: Tensor | None, steps: int) -> Tensor | None:
    """(N,) -> (N, T), True where a sequence has ended; None if all have one length."""
    return None if lengths is None else greater_equal(arange(steps), expand_dims(lengths, 1))

"""What a sequence is, and what each of its elements is: a classifier and a tagger, each by recurrence or by attention.

`Reader` makes vectors of the elements; here it is decided by them. In the shapes N is the batch, T the longest sequence
in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.array import broadcast_to, permute_dims, squeeze, take_along_axis
from clearprop.cell import Parameter
from clearprop.errors import UsageError
from clearprop.functional.checks import check_lengths
from clearprop.models.reader import Reader, behind_the_end
from clearprop.models.tokens import check_tokens
from clearprop.nn import Linear, Module, MultiheadAttention, init
from clearprop.random import Generator
from clearprop.tensor import Tensor


class SequenceClassifier(Module):
    """What a whole sequence is.

    With "lstm" the last state decides, which has been handed on from the first element to the last. With "attention" a
    query that is learned looks at all elements, and the sum of them by its weights decides.

    Args:
        vocabulary, classes: how many tokens and how many classes there are.
        kind, width, heads, layers, dropout: see `Reader`.
        generator: of the first values.

    >>> import clearprop as cp
    >>> model = SequenceClassifier(100, classes=2, width=16)
    >>> logits, weights = model([[5, 6, 7], [8, 9, 0]], lengths=[3, 2], need_weights=True)
    >>> logits.shape, weights.shape, weights[1, 2].item()
    ((2, 2), (2, 3), 0.0)
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        kind: str = "attention",
        width: int = 64,
        heads: int = 4,
        layers: int = 1,
        dropout: float = 0.1,
        *,
        generator: Generator | None = None,
    ) -> None:
        self.reader = Reader(vocabulary, kind, width, heads, layers, dropout, generator, both_directions=False)
        if kind == "attention":
            self.query = Parameter(np.empty(width, np.float32))
            init.normal_(self.query, generator=generator)
            self.pooling = MultiheadAttention(width, 1, batch_first=True, generator=generator)
        self.output = Linear(width, classes, generator=generator)

    def forward(self, tokens: Any, lengths: Any = None, need_weights: bool = False) -> Any:
        """The logits, (N, classes); with ``need_weights`` also how much each element counted, (N, T).

        Args, Raises: as of `SequenceTagger.forward`; UsageError if an LSTM is asked for weights, which it has not.
        """
        tokens, lengths = checked("SequenceClassifier", tokens, lengths)
        x = self.reader(tokens, lengths)  # (N, T, width)
        if self.reader.kind == "lstm":
            if need_weights:
                raise UsageError("SequenceClassifier: an LSTM has no weights to show", hint='kind="attention"')
            return self.output(last(x, lengths))
        query = broadcast_to(self.query, (x.shape[0], 1, x.shape[2]))
        found, weights = self.pooling(query, x, x, behind_the_end(lengths, x.shape[1]), need_weights)
        logits = self.output(squeeze(found, 1))
        return logits if weights is None else (logits, squeeze(weights, 1))


class SequenceTagger(Module):
    """What each element of a sequence is.

    Args:
        vocabulary, tags: how many tokens and how many tags there are.
        kind, width, heads, layers, dropout: see `Reader`; the LSTM reads in both directions.
        generator: of the first values.

    >>> import clearprop as cp
    >>> SequenceTagger(100, tags=4, kind="lstm", width=16)([[5, 6, 7], [8, 9, 0]], lengths=[3, 2]).shape
    (2, 4, 3)
    """

    def __init__(
        self,
        vocabulary: int,
        tags: int,
        kind: str = "attention",
        width: int = 64,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.1,
        *,
        generator: Generator | None = None,
    ) -> None:
        self.reader = Reader(vocabulary, kind, width, heads, layers, dropout, generator, both_directions=True)
        self.output = Linear(width, tags, generator=generator)

    def forward(self, tokens: Any, lengths: Any = None) -> Tensor:
        """The logits, (N, tags, T), as losses take them.

        Args:
            tokens: (N, T) whole numbers.
            lengths: (N,), of each sequence; what stands behind its end is not looked at. By default all are T long.

        Raises:
            ShapeError: tokens or lengths of another shape, or a batch without elements.
            RangeError: a token that is not in the vocabulary, a length that is not one of 1 to T.
        """
        tokens, lengths = checked("SequenceTagger", tokens, lengths)
        return permute_dims(self.output(self.reader(tokens, lengths)), (0, 2, 1))


def checked(name: str, tokens: Any, lengths: Any) -> tuple[Tensor, Tensor | None]:
    """Tokens and lengths that fit together."""
    tokens = check_tokens(name, tokens)
    return tokens, None if lengths is None else check_lengths(name, lengths, tokens.shape[1], tokens.shape[0])


def last(x: Tensor, lengths: Tensor | None) -> Tensor:
    """The last element of each sequence: (N, T, width) -> (N, width)."""
    if lengths is None:
        return x[:, -1]
    places = broadcast_to((lengths - 1)[:, None, None], (x.shape[0], 1, x.shape[2]))
    return squeeze(take_along_axis(x, places, axis=1), 1)

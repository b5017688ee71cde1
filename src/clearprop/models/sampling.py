"""Writing: a network that says what comes next is asked again and again, and reads what it has chosen.

How daring the choice is, two numbers say: the scores are divided by a temperature before softmax makes probabilities of
them (below 1 likely tokens become likelier), and only the k likeliest tokens may be chosen (A. Fan, M. Lewis,
Y. Dauphin, "Hierarchical neural story generation", 2018, section 5.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np

from clearprop import random
from clearprop.arguments import number, whole
from clearprop.array import asarray, check_finite
from clearprop.compiler import compile as compiled
from clearprop.errors import DataError, UsageError
from clearprop.nn import Module
from clearprop.random import Generator
from clearprop.tensor import Tensor, as_array
from clearprop.train.modes import evaluating

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
State: TypeAlias = tuple[Any, ...]

_AHEAD = 64  # random numbers drawn at once: one by one they would take as long as a small network


@runtime_checkable
class Writer(Protocol):
    """What a network must have to write: `CharRNN` and `GPT` have it.

    Attributes:
        vocabulary: tokens are the numbers below it.
        memory: how many tokens it can read one after the other; None for any number.
    """

    vocabulary: int
    memory: int | None

    def start(self) -> State:
        """The state before the first token."""
        ...

    def step(self, token: Any, state: State) -> tuple[Tensor, State]:
        """Read a token: the scores of what follows, (vocabulary,), and the next state."""
        ...


def sample(
    model: Writer,
    tokens: Any,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: Generator | None = None,
) -> Array:
    """Tokens that the network writes behind given ones.

    Args:
        model: a `CharRNN`, a `GPT`, or another `Writer`. It is asked in evaluation mode, and keeps the mode it has.
        tokens: what is read before, whole numbers (T,), one at least.
        length: how many to write.
        temperature: above 0; near 0 always the likeliest token, 1 what was learned, far above 1 anything.
        top_k: choose among so many, the likeliest ones; None for all.
        generator: of the random numbers; by default the one that `clearprop.random.seed` seeds.

    Returns:
        int64 (length,), without those that were given.

    Raises:
        DataError: there are no tokens to begin with, or they are none of the vocabulary.
        UsageError: a temperature of 0 or below, no k, or a model that is no `Writer`.
        NotFiniteError: the network's scores are not.

    >>> import clearprop as cp
    >>> from clearprop.models import CharRNN
    >>> sample(CharRNN(vocabulary=10, width=8), [1, 2, 3], length=5, top_k=3).shape
    (5,)
    """
    written = stream(model, tokens, temperature, top_k, generator)
    return np.fromiter(islice(written, whole("sample", "length", length, 0)), np.int64)


def stream(
    model: Writer,
    tokens: Any,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: Generator | None = None,
) -> Iterator[int]:
    """The same, token by token and without an end; all arguments are checked at once.

    A network that can only read so many tokens forgets the first half of them when it is full: it starts again, reads
    the second half, and goes on.

    >>> from clearprop.models import GPT
    >>> for token in stream(GPT(vocabulary=10, context=8, width=8, heads=2, layers=1), [1, 2, 3]):
    ...     if token == 0:  # the end of a text, say
    ...         break
    """
    if not isinstance(model, Module) or not isinstance(model, Writer):
        raise UsageError(
            f"sample: a {type(model).__name__} cannot write: it has no start() and step(token, state)",
            hint="models.CharRNN or models.GPT",
        )
    number("sample", "temperature", temperature, positive=True)
    if top_k is not None:
        whole("sample", "top_k", top_k)
    return _written(_Reader(model), _checked(tokens, model.vocabulary), temperature, top_k, generator)


def chances(scores: Any, temperature: float = 1.0, top_k: int | None = None) -> Array:
    """The probabilities that `sample` chooses with: float64 of the shape of the scores.

    Args:
        scores: (…, vocabulary), of any network.
        temperature, top_k: see `sample`. Tokens as likely as the k-th may be chosen too.

    >>> chances([2.0, 1.0, 0.0]).round(3), chances([2.0, 1.0, 0.0], temperature=0.5, top_k=2).round(3)
    (array([0.665, 0.245, 0.09 ]), array([0.881, 0.119, 0.   ]))
    """
    given, divisor = as_array(scores).astype(np.float64), number("chances", "temperature", temperature, positive=True)
    with np.errstate(over="ignore"):  # near 0: all but the likeliest are infinitely far behind
        scaled = (given - given.max(axis=-1, keepdims=True)) / divisor
    if top_k is not None and whole("chances", "top_k", top_k) < scaled.shape[-1]:
        least = np.partition(scaled, -top_k, axis=-1)[..., -top_k, None]
        scaled = np.where(scaled >= least, scaled, -np.inf)
    shares = np.exp(scaled)
    return cast(Array, shares / shares.sum(axis=-1, keepdims=True))


class _Reader:
    """A network that reads token after token, and says after each how likely every other is to follow."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._step = compiled(model.step)  # some hundredths of a second, if such a network has been compiled before
        self._begin()

    def read(self, token: int) -> Tensor:
        """The scores of what follows, (vocabulary,)."""
        memory = self._model.memory
        with evaluating(self._model):
            if memory is not None and len(self._read) == memory:
                latest = self._read[memory - memory // 2 :]
                self._begin()
                for one in latest:
                    self._advance(one)
            return check_finite(self._advance(token), "a score", hint="weights of a training that has not diverged")

    def _begin(self) -> None:
        self._read: list[int] = []
        self._state = self._model.start()

    def _advance(self, token: int) -> Tensor:
        scores, self._state = self._step(asarray(token), self._state)
        self._read.append(token)
        return scores


def _written(
    reader: _Reader, tokens: list[int], temperature: float, top_k: int | None, generator: Generator | None
) -> Iterator[int]:
    for place in _places(generator):
        for token in tokens:
            scores = reader.read(token)
        ends = chances(scores, temperature, top_k).cumsum()
        tokens = [int(np.searchsorted(ends[:-1], place * ends[-1], side="right"))]  # the first that ends behind it
        yield tokens[0]


def _places(generator: Generator | None) -> Iterator[float]:
    """Numbers equally likely in [0, 1), without an end."""
    while True:
        yield from random.uniform(_AHEAD, dtype=np.float64, generator=generator).tolist()


def _checked(tokens: Any, vocabulary: int) -> list[int]:
    """The tokens to begin with."""
    given = as_array(tokens)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise DataError(
            f"sample: tokens of dtype {given.dtype} and shape {given.shape}",
            hint="whole numbers along one axis: tokenizer.encode(text)",
        )
    if not given.size:
        raise DataError("sample: there are no tokens to begin with", hint="one token at least, such as a line break")
    wrong = np.flatnonzero((given < 0) | (given >= vocabulary))
    if len(wrong):
        raise DataError(
            f"sample: the token {given[wrong[0]]} at index {wrong[0]} is none of the network's {vocabulary}, which are "
            f"0 to {vocabulary - 1}",
            hint="the tokenizer that the network was trained with",
        )
    return [int(token) for token in given]

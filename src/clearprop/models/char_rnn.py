"""A recurrent network that reads a text and says, after every character, which one comes next.

A. Graves, "Generating sequences with recurrent neural networks", 2013, sections 2 and 3, and A. Karpathy, "The
unreasonable effectiveness of recurrent neural networks", 2015: an embedding, recurrent layers, a linear layer.

What the layers compute, with x_t the embedded character, ⊙ the product element by element, [x, h] W short for the sum
of two products:

LSTM (S. Hochreiter, J. Schmidhuber, "Long short-term memory", 1997; with the forget gate of F. Gers, J. Schmidhuber,
F. Cummins, "Learning to forget", 2000), Graves's equations 7 to 11, without his peepholes:
    i, f, o = σ([x_t, h_{t-1}] W + b)             the gates: what is let in, what is kept, what is shown
    c_t = f ⊙ c_{t-1} + i ⊙ tanh([x_t, h_{t-1}] W + b)
    h_t = o ⊙ tanh(c_t)

GRU (K. Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014), equations 5 to 8, with 1 - z in
the place of z, and the reset gate behind the product, as PyTorch has it:
    r, z = σ([x_t, h_{t-1}] W + b)                the gates: what of the past is looked at, what of it is kept
    n = tanh(x_t W + b + r ⊙ (h_{t-1} W + b))
    h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from clearprop import nn
from clearprop.arguments import one_of, whole
from clearprop.array import expand_dims, permute_dims, zeros
from clearprop.array.promotion import ArrayLike
from clearprop.models.tokens import check_tokens
from clearprop.tensor import Tensor

State: TypeAlias = tuple[Tensor, ...]


class CharRNN(nn.Module):
    """Scores for the token that follows each token: (N, T) -> (N, vocabulary, T).

    Args:
        vocabulary: how many tokens there are.
        width: numbers in the state of a layer, and in the vector of a token.
        layers: recurrent layers, each on top of the one below (Graves's equations 1 and 2).
        cell: "lstm" or "gru".
        dropout: share of the outputs of every layer that is zeroed while training (Zaremba et al. 2014: not of what a
            layer hands to itself).

    >>> import clearprop as cp
    >>> model = CharRNN(vocabulary=65, width=16, cell="gru")
    >>> model(cp.asarray([[1, 2, 3], [4, 5, 6]])).shape
    (2, 65, 3)
    """

    memory = None  # any number of tokens can be read one after the other

    def __init__(
        self, vocabulary: int, width: int = 256, layers: int = 1, cell: str = "lstm", dropout: float = 0.0
    ) -> None:
        self.vocabulary = whole("CharRNN", "vocabulary", vocabulary)
        self.embedding = nn.Embedding(vocabulary, width)
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[one_of("CharRNN", "cell", cell, "lstm", "gru")]
        self.recurrent = kind(width, width, layers, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, vocabulary)
        self.cell = cell
        if cell == "lstm":
            self._keep_at_first()

    def forward(self, tokens: ArrayLike) -> Tensor:
        """Each text is read from its beginning, with a state of zeros before it.

        Args:
            tokens: whole numbers below `vocabulary`, (N, T).

        Returns:
            float32 (N, vocabulary, T), what `nn.CrossEntropyLoss` takes: scores ŷ (Graves's equation 3), of which
            softmax makes probabilities (equation 12). The mean loss is equation 6 for a character.

        Raises:
            ShapeError: the tokens have another shape, or T is 0.
            RangeError: a token outside the vocabulary.
        """
        x = self.embedding(permute_dims(check_tokens("CharRNN", tokens), (1, 0)))  # (T, N, width)
        output, _ = self.recurrent(x)
        return permute_dims(self.head(self.dropout(output)), (1, 2, 0))  # (T, N, V) -> (N, V, T)

    # Token by token, for `models.sample` -----------------------------------------------------------------------------

    def start(self) -> State:
        """The state before the first token: h and, of an LSTM, c, each (layers, width)."""
        shape = (self.recurrent.num_layers, self.recurrent.hidden_size)
        return tuple(zeros(shape) for _ in range(self.recurrent.states))

    def step(self, token: ArrayLike, state: State) -> tuple[Tensor, State]:
        """Read one more token.

        Args:
            token: a whole number.
            state: what `start` or the step before gave.

        Returns:
            The scores of what follows, (vocabulary,), and the next state.
        """
        x: Any = expand_dims(self.embedding(token), 0)  # (1, width): a text of one token, without a batch
        output, after = self.recurrent(x, state if len(state) > 1 else state[0])
        return self.head(output)[0], after if isinstance(after, tuple) else (after,)

    def _keep_at_first(self) -> None:
        """Biases of 1 for the forget gates, so that the state is kept (Jozefowicz et al. 2015, section 2.2)."""
        size = self.recurrent.hidden_size
        for layer in range(self.recurrent.num_layers):
            bias = getattr(self.recurrent, f"bias_ih_l{layer}")
            bias.assign(bias.value.at[size : 2 * size].set(np.float32(1.0)))

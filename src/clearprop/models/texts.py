"""What BERT is used for: classes of texts, and a vector for each, so that texts of like meaning are near one another.

Such vectors are due to N. Reimers, I. Gurevych, "Sentence-BERT: Sentence embeddings using Siamese BERT-networks", 2019,
https://arxiv.org/abs/1908.10084: the mean of the vectors of all tokens says more of a text than that of the first.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from clearprop.arguments import flag, one_of, whole
from clearprop.array import arange, asarray, divide, expand_dims, less, sum, where
from clearprop.array.promotion import cast_to
from clearprop.compiler import compile as compiled
from clearprop.data import WordPieceTokenizer, pad_sequence
from clearprop.errors import UsageError
from clearprop.functional import normalize
from clearprop.functional.checks import check_lengths
from clearprop.models.bert import Bert
from clearprop.models.pretrained import Array, BertConfig, Folder, read_sentence_settings, read_tokenizer
from clearprop.models.tokens import check_tokens
from clearprop.nn import Dropout, Linear, Module
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor
from clearprop.train.modes import evaluating

_MANY_TOKENS = 2048  # from here on compiling takes less time than it saves
_STEP = 16  # lengths of compiled batches are multiples of this


class BertClassifier(Module):
    """BERT with one more layer, from the vector of a text to its class (Devlin et al. 2018, section 4.1).

    Args:
        config: of the encoder; a mapping of the names and values of a `BertConfig` will do.
        classes: how many there are.
        pooling: what the vector of a text is: "cls", made of that of its first token, as in the paper, or "mean" over
            all tokens.

    Attributes:
        bert: the encoder, with new weights; `from_pretrained` has those of others.

    >>> import clearprop as cp
    >>> model = BertClassifier({"vocab_size": 100, "hidden_size": 8, "num_attention_heads": 2}, classes=3)
    >>> model([[2, 31, 42, 3], [2, 53, 3, 0]], lengths=[4, 3]).shape
    (2, 3)
    """

    def __init__(self, config: BertConfig | Mapping[str, Any], classes: int, *, pooling: str = "cls") -> None:
        sizes = config if isinstance(config, BertConfig) else BertConfig(**config)
        self.pooling = one_of("BertClassifier", "pooling", pooling, "cls", "mean")
        self.bert = Bert(sizes, pooler=pooling == "cls")
        self.dropout = Dropout(sizes.hidden_dropout_prob)
        self.output = Linear(sizes.hidden_size, whole("BertClassifier", "classes", classes))

    @classmethod
    def from_pretrained(cls, folder: Folder, classes: int, *, pooling: str = "cls") -> Self:
        """A classifier whose encoder has the weights in a folder, as `Bert.from_pretrained` reads them; to be trained.

        What makes one vector of a text ("cls"), if it is not in the folder, is new, as the last layer is.

        Raises:
            FileError: a file is missing, damaged, or of another architecture.
        """
        bert = Bert.from_pretrained(folder)
        model = cls(bert.config, classes, pooling=pooling)
        wanted, weights = model.bert.state_dict(), bert.state_dict()
        model.bert.load_state_dict({name: weights.get(name, wanted[name]) for name in wanted})
        return model

    def forward(self, input_ids: Any, lengths: Any) -> Tensor:
        """(N, T) tokens, padded, and how many each text has, (N,) -> logits, (N, classes)."""
        tokens = check_tokens("BertClassifier", input_ids)
        mask = is_token("BertClassifier", tokens, lengths)
        output = self.bert(tokens, mask)
        text = mean_of_tokens(output.last_hidden_state, mask) if self.bert.pooler is None else output.pooler_output
        return self.output(self.dropout(text))


class SentenceEncoder(Module):
    """A vector for each text: the mean of those of its tokens.

    Args:
        bert: the encoder.
        tokenizer: makes tokens of texts.
        max_length: of longer texts, so many tokens are read.
        normalize: whether the vectors get length 1, so that their products are cosines.

    Raises:
        UsageError: the tokenizer has tokens that the network does not know.

    >>> tokenizer = WordPieceTokenizer.train("to be or not to be, that is the question", vocab_size=60)
    >>> config = BertConfig(tokenizer.vocab_size, hidden_size=8, num_hidden_layers=2, num_attention_heads=2)
    >>> vectors = SentenceEncoder(Bert(config), tokenizer).encode(["to be or not", "that is the question", ""])
    >>> vectors.shape, np.round((vectors**2).sum(axis=1), 4)
    ((3, 8), array([1., 1., 1.], dtype=float32))
    """

    def __init__(
        self, bert: Bert, tokenizer: WordPieceTokenizer, *, max_length: int = 256, normalize: bool = True
    ) -> None:
        name = "SentenceEncoder"
        self.bert = bert
        self.tokenizer = tokenizer
        self.max_length = min(whole(name, "max_length", max_length, 3), bert.config.max_position_embeddings)
        if tokenizer.vocab_size > bert.config.vocab_size:
            raise UsageError(
                f"{name}: the tokenizer has {tokenizer.vocab_size} tokens, the network {bert.config.vocab_size}",
                hint="the tokenizer that the network was trained with",
            )
        self.normalize = flag(name, "normalize", normalize)

    @classmethod
    def from_pretrained(cls, folder: Folder) -> Self:
        """The encoder in a folder, as `Bert.from_pretrained` reads it, in evaluation mode.

        What sentence-transformers has written beside it is heeded: the longest text, and whether lengths become 1.

        Raises:
            FileError: a file is missing, damaged, or of another architecture; the vectors are no means of tokens.
        """
        max_length, normalized = read_sentence_settings(folder)
        encoder = cls(Bert.from_pretrained(folder), read_tokenizer(folder), max_length=max_length, normalize=normalized)
        return encoder.eval()

    def forward(self, input_ids: Any, lengths: Any) -> Tensor:
        """(N, T) tokens, padded, and how many each text has, (N,) -> (N, H)."""
        tokens = check_tokens("SentenceEncoder", input_ids)
        mask = is_token("SentenceEncoder", tokens, lengths)
        means = mean_of_tokens(self.bert(tokens, mask).last_hidden_state, mask)
        return normalize(means) if self.normalize else means

    def encode(self, texts: Sequence[str], batch_size: int = 32) -> Array:
        """The vectors of texts, float32 of shape (N, H).

        Texts of like lengths make a batch, so that little is padded; for many texts, or long ones, it is compiled.

        Raises:
            UsageError: one text in the place of a list.
            DataError: half a character in a text.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise UsageError(f"encode: {texts!r} is no list of texts"[:200], hint="encode([text])")
        whole("encode", "batch_size", batch_size)
        tokens = [tokens_of(self.tokenizer, text, self.max_length) for text in texts]
        order = np.argsort([len(numbers) for numbers in tokens], kind="stable")
        batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        vectors = np.empty((len(tokens), self.bert.config.hidden_size), np.float32)
        run = compiled(self) if builtins.sum(map(len, tokens)) >= _MANY_TOKENS else self
        with evaluating(self):
            for chosen in batches:
                ids, lengths = padded([tokens[place] for place in chosen])
                if run is not self:  # so that few shapes occur
                    ids, lengths = self._filled(ids, lengths, min(batch_size, 1 << (len(ids) - 1).bit_length()))
                vectors[chosen] = run(asarray(ids), asarray(lengths)).numpy()[: len(chosen)]
        return vectors

    def _filled(self, ids: Array, lengths: Array, rows: int) -> tuple[Array, Array]:
        """The same with so many rows, and a length that is one of a few."""
        more, longest = rows - len(ids), min(-(-ids.shape[1] // _STEP) * _STEP, self.max_length)
        ids = np.pad(ids, ((0, more), (0, longest - ids.shape[1])))
        return ids, np.pad(lengths, (0, more), constant_values=1)


def tokens_of(tokenizer: WordPieceTokenizer, text: str, max_length: int) -> Array:
    """The tokens of a text as BERT reads it: [CLS], the first of its own tokens, [SEP]; at most ``max_length``."""
    start, end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    return np.concatenate([[start], tokenizer.encode(text)[: max_length - 2], [end]])


def padded(texts: Sequence[Array]) -> tuple[Array, Array]:
    """Tokens of texts as one array, (N, T), and how many each text has, (N,)."""
    return pad_sequence(texts, batch_first=True), np.array([len(text) for text in texts])


def is_token(name: str, tokens: Tensor, lengths: Any) -> Tensor:
    """(N, T), true where a padded text has a token; the lengths must be from 1 to T."""
    ends = check_lengths(name, lengths, tokens.shape[-1], tokens.shape[0])
    return less(arange(tokens.shape[-1]), expand_dims(ends, 1))


def mean_of_tokens(x: Tensor, mask: Tensor) -> Tensor:
    """(N, T, H), (N, T) -> (N, H)."""
    count = sum(cast_to(mask, numpy_dtype(x)), axis=1, keepdims=True)
    return divide(sum(where(expand_dims(mask, 2), x, 0.0), axis=1), count)

"""Tokenizers of parts of words: byte-pair encoding and WordPiece, by the library tokenizers, an optional dependency."""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from clearprop.arguments import is_whole
from clearprop.data.batches import Array
from clearprop.data.tokenizer import (
    NotOneError,
    Texts,
    Tokenizer,
    check_id,
    no_such_token,
    nothing_to_train_on,
    texts_of,
    with_unknown,
)
from clearprop.errors import DataError, FileError, UsageError
from clearprop.files.atomic import read_bytes

_BYTES = 256
_MOST_TOKENS = 1 << 22  # some ten times as many as the largest vocabularies have
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # BERT's
_PRIVATE = 0xF0000  # where the planes of Unicode that will never have characters begin


class SubwordTokenizer(Tokenizer):
    """A tokenizer of the library tokenizers, behind the interface of all others. Files are the library's own.

    Args:
        inner: the library's object, ``tokenizers.Tokenizer``.
    """

    _model = ""  # what the library calls the model

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        added = inner.get_added_tokens_decoder()
        self._special = tuple(added[number].content for number in sorted(added) if added[number].special)

    @property
    def vocab_size(self) -> int:
        """See `Tokenizer`."""
        return int(self._inner.get_vocab_size())

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """See `Tokenizer`."""
        return self._special

    def token_to_id(self, token: str) -> int:
        """See `Tokenizer`."""
        number = self._inner.token_to_id(token)
        if number is None:
            raise no_such_token(self, token)
        return int(number)

    def id_to_token(self, number: int) -> str:
        """See `Tokenizer`."""
        return str(self._inner.id_to_token(check_id(self, number)))

    def _encode(self, text: str) -> Array:
        checked = _checked(text, type(self).__name__)
        return np.array(self._inner.encode(checked, add_special_tokens=False).ids, np.int64)

    def _decode(self, numbers: Array, skip_special_tokens: bool) -> str:
        return str(self._inner.decode(numbers.tolist(), skip_special_tokens=skip_special_tokens))

    def _to_json(self) -> str:
        return str(self._inner.to_str(pretty=True))

    @classmethod
    def _from_json(cls, text: str) -> Self:
        try:
            content = json.loads(text)
            kind = content["model"].get("type", "of an unknown type")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NotOneError("it is damaged, or not a file of the library tokenizers") from error
        if kind != cls._model:
            raise NotOneError(f"it is {kind}")
        if not _knows_everything(content):
            raise NotOneError("it drops what it does not know, without a token for it")
        parts = library()
        try:
            inner = parts.Tokenizer.from_str(text)
        except Exception as error:  # the library raises nothing narrower
            raise NotOneError(str(error)) from error
        inner.no_truncation()  # files say what some program wanted of batches; here a text is all of its tokens
        inner.no_padding()
        return cls(inner)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.vocab_size:,} tokens)"


class BPETokenizer(SubwordTokenizer):
    """Byte-pair encoding (Sennrich et al. 2016) of bytes, as GPT-2 has it (Radford et al. 2019).

    It begins with the 256 bytes, and again and again makes a token of the pair of tokens that occurs most often. So
    there is nothing that it does not know, and decoding gives back the very text.

    >>> tokenizer = BPETokenizer.train("low lower lowest newest widest " * 20, vocab_size=270, special_tokens=["<end>"])
    >>> [tokenizer.id_to_token(number) for number in tokenizer.encode("lowest low<end>")]
    ['low', 'est', 'Ġlow', '<end>']
    >>> tokenizer.decode(tokenizer.encode("never seen: 東京")), tokenizer.vocab_size
    ('never seen: 東京', 270)
    """

    _model = "BPE"

    @classmethod
    def train(cls, source: Texts, *, vocab_size: int, special_tokens: Sequence[str] = ()) -> Self:
        """A tokenizer for texts like those given.

        Args:
            source: a text, the path of a file (a `pathlib.Path`), or several of them.
            vocab_size: how many tokens there are to be, the bytes and special tokens included; fewer if the texts have
                no more pairs.
            special_tokens: they have the first numbers.

        Raises:
            UsageError: fewer tokens than bytes and special tokens; the library is not installed.
            FileError: a file cannot be read.
        """
        special = with_unknown(special_tokens, None)
        _check_size(cls.__name__, vocab_size)
        least = _BYTES + len(special)
        if vocab_size < least:
            raise UsageError(
                f"BPETokenizer.train: vocab_size is {vocab_size}; the bytes and special tokens are {least} alone",
                hint=f"vocab_size={4 * _BYTES} or more",
            )
        parts = library()
        inner = parts.Tokenizer(parts.models.BPE())
        inner.pre_tokenizer = parts.pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = parts.decoders.ByteLevel()
        alphabet = parts.pre_tokenizers.ByteLevel.alphabet()
        lengths = [0]  # of what has been read: the texts come one by one
        inner.train_from_iterator(
            (_checked(text, cls.__name__) for text in _measured(texts_of(source), lengths)),
            parts.trainers.BpeTrainer(
                vocab_size=vocab_size, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
            ),
        )
        if not lengths[0]:
            raise nothing_to_train_on(cls)
        return cls(inner)


class WordPieceTokenizer(SubwordTokenizer):
    """WordPiece (Schuster, Nakajima 2012), as BERT has it (Devlin et al. 2019).

    Words and punctuation are taken apart into the longest pieces that it knows; those within a word begin with ``##``.
    A word with a character that it does not know is the one token ``[UNK]``. White space is not kept: decoding puts a
    space between words.

    >>> tokenizer = WordPieceTokenizer.train("low lower lowest newest widest " * 20, vocab_size=40)
    >>> [tokenizer.id_to_token(number) for number in tokenizer.encode("lowest lend, tōkyō")]
    ['lowest', 'l', '##e', '##n', '##d', '[UNK]', '[UNK]']
    >>> tokenizer.decode(tokenizer.encode("newest  low"))
    'newest low'
    """

    _model = "WordPiece"

    @classmethod
    def train(
        cls,
        source: Texts,
        *,
        vocab_size: int,
        special_tokens: Sequence[str] = _SPECIAL,
        unk_token: str = "[UNK]",
        lowercase: bool = False,
    ) -> Self:
        """A tokenizer for texts like those given.

        Args:
            source, vocab_size: see `BPETokenizer.train`; there are no bytes here, but all characters of the texts.
            special_tokens: they have the first numbers.
            unk_token: the special token of words that it cannot make.
            lowercase: take capital letters for small ones, and letters with accents for those without.

        Raises:
            UsageError: fewer tokens than characters and special tokens; the library is not installed.
            FileError: a file cannot be read.
        """
        special = with_unknown(special_tokens, unk_token)
        _check_size(cls.__name__, vocab_size)
        parts = library()
        normalizer, splitter = (
            parts.normalizers.BertNormalizer(lowercase=lowercase),
            parts.pre_tokenizers.BertPreTokenizer(),
        )
        words = [
            word
            for text in texts_of(source)
            for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(_checked(text, cls.__name__)))
        ]
        if not words:
            raise nothing_to_train_on(cls)
        characters = sorted(set().union(*map(set, set(words))))
        least = len(special) + 2 * len(characters)
        if vocab_size < least:
            raise UsageError(
                f"WordPieceTokenizer.train: vocab_size is {vocab_size}; the {len(characters)} characters of the texts, "
                f"at the beginning of a word and within, and the special tokens are {least} alone",
                hint=f"vocab_size={4 * least} or more",
            )
        pieces = [*special, *_pieces(words, characters, vocab_size - len(special))]
        vocabulary = {piece: number for number, piece in enumerate(pieces)}
        inner = parts.Tokenizer(parts.models.WordPiece(vocabulary, unk_token=unk_token))
        inner.normalizer, inner.pre_tokenizer, inner.decoder = normalizer, splitter, parts.decoders.WordPiece()
        inner.add_special_tokens(list(special))
        return cls(inner)

    @classmethod
    def from_vocabulary(cls, path: str | os.PathLike[str], *, lowercase: bool) -> Self:
        """The tokenizer of a file ``vocab.txt``, as BERT's are: a token in each line, numbered from 0.

        Args:
            path: the file.
            lowercase: as in `train`: whether the vocabulary is "uncased".

        Raises:
            FileError: the file cannot be read, is no text in UTF-8, has a token twice, or not BERT's ``[UNK]``.
            UsageError: the library is not installed.
        """
        try:
            lines = read_bytes(path).decode().replace("\r\n", "\n").removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            raise FileError(f"{path} is not text in UTF-8: byte {error.start:,}", hint="a vocab.txt of BERT") from error
        vocabulary = {token: number for number, token in enumerate(lines)}
        if len(vocabulary) < len(lines) or "[UNK]" not in vocabulary:
            fault = "has a token twice" if len(vocabulary) < len(lines) else "has no token [UNK]"
            raise FileError(f"{path} {fault}: it is no vocabulary of BERT", hint="a vocab.txt of BERT")
        parts = library()
        inner = parts.Tokenizer(parts.models.WordPiece(vocabulary, unk_token="[UNK]"))
        inner.normalizer = parts.normalizers.BertNormalizer(lowercase=lowercase)
        inner.pre_tokenizer, inner.decoder = parts.pre_tokenizers.BertPreTokenizer(), parts.decoders.WordPiece()
        inner.add_special_tokens([token for token in _SPECIAL if token in vocabulary])
        return cls(inner)


def _pieces(words: Sequence[str], characters: Sequence[str], count: int) -> list[str]:
    """The pieces that words are made of: all characters, at the beginning and within, then merged ones.

    The library's own trainer of WordPiece numbers the characters in the order of a hash table, another one in each run.
    Its trainer of BPE sorts them. So it is given words in which each character that is not the first is another one,
    from a plane of Unicode without characters, and what it finds is written with ## again.
    """
    parts = library()
    within = {ord(character): chr(_PRIVATE + number) for number, character in enumerate(characters)}
    back = {ord(other): chr(code) for code, other in within.items()}
    marked = {word: word[0] + word[1:].translate(within) for word in set(words)}
    inner = parts.Tokenizer(parts.models.BPE())
    inner.pre_tokenizer = parts.pre_tokenizers.WhitespaceSplit()
    trainer = parts.trainers.BpeTrainer(
        vocab_size=count, initial_alphabet=[*characters, *within.values()], show_progress=False
    )
    inner.train_from_iterator([" ".join(marked[word] for word in words)], trainer)
    found = inner.get_vocab()
    return [
        ("##" if ord(piece[0]) in back else "") + piece.translate(back)
        for piece in sorted(found, key=found.__getitem__)
    ]


def library() -> Any:
    """The library tokenizers; UsageError if it is not installed."""
    try:
        return importlib.import_module("tokenizers")
    except ImportError:
        raise UsageError(
            "BPE and WordPiece need the library tokenizers, which is not installed",
            hint="pip install 'clearprop[text]'; or CharTokenizer, which needs nothing",
        ) from None


def _measured(texts: Iterable[str], lengths: list[int]) -> Iterator[str]:
    """The texts, whose characters are added to the only number in the list."""
    for text in texts:
        lengths[0] += len(text)
        yield text


def _check_size(name: str, vocab_size: Any) -> None:
    """Raise UsageError for what is no size of a vocabulary: the library sets memory aside for all tokens at once."""
    if not is_whole(vocab_size) or vocab_size > _MOST_TOKENS:
        raise UsageError(f"{name}.train: vocab_size is {vocab_size!r}", hint="a whole number, such as 1024")


def _checked(text: str, name: str) -> str:
    """The text; DataError if there is half a character in it (of those that UTF-16 writes as two)."""
    half = re.search("[\ud800-\udfff]", text)
    if half is None:
        return text
    raise DataError(
        f"{name}: {half[0]!r} at index {half.start()} is half a character", hint="read the file as UTF-8 or UTF-16"
    )


def _knows_everything(content: dict[str, Any]) -> bool:
    """Whether a saved tokenizer has a token for whatever may come: all bytes, or one for what is unknown."""
    model = content["model"]
    return bool(
        model.get("unk_token") or model.get("byte_fallback") or "ByteLevel" in json.dumps(content.get("pre_tokenizer"))
    )

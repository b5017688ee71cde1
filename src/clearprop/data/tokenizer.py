"""Tokenizers: text as numbers, and numbers as text. All of them have one interface, `Tokenizer`; here, characters.

The others, of parts of words, are in `subwords`.
"""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np

from clearprop.data.batches import Array
from clearprop.errors import DataError, FileError, UsageError
from clearprop.files.atomic import atomic_write, read_bytes
from clearprop.tensor import as_array

Texts: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""What a tokenizer is trained on: a text, the path of a file, or several of these. A str is always a text itself."""

_KIND, _VERSION = "clearprop.CharTokenizer", 1


class Tokenizer(ABC):
    """What all tokenizers can do.

    Special tokens, such as ``<|endoftext|>``, are one token each wherever they stand in a text.
    """

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """How many tokens there are, special ones included: they are the numbers from 0 to vocab_size - 1."""

    @property
    @abstractmethod
    def special_tokens(self) -> tuple[str, ...]:
        """The tokens that stand for no text."""

    def encode(self, text: str) -> Array:
        """The numbers of the tokens of a text: int64 of shape (tokens,).

        Raises:
            DataError: a character that the tokenizer does not know, if it has no token for unknown ones.
        """
        if not isinstance(text, str):
            raise UsageError(
                f"{type(self).__name__}.encode takes a text, not a {type(text).__name__}",
                hint="[tokenizer.encode(text) for text in texts] for several",
            )
        return self._encode(text)

    def decode(self, tokens: Any, *, skip_special_tokens: bool = True) -> str:
        """The text of some tokens.

        Args:
            tokens: whole numbers of shape (tokens,), or one.
            skip_special_tokens: leave out those that stand for no text.

        Raises:
            DataError: a number that is no token.
        """
        numbers = as_array(tokens).reshape(-1) if as_array(tokens).ndim == 0 else as_array(tokens)
        if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
            raise DataError(
                f"{type(self).__name__}.decode: tokens of dtype {numbers.dtype} and shape {numbers.shape}",
                hint="whole numbers along one axis; [tokenizer.decode(row) for row in tokens] for a batch",
            )
        wrong = np.flatnonzero((numbers < 0) | (numbers >= self.vocab_size))
        if len(wrong):
            raise DataError(
                f"{type(self).__name__}.decode: {numbers[wrong[0]]} at index {wrong[0]} is none of its "
                f"{self.vocab_size} tokens, which are 0 to {self.vocab_size - 1}",
                hint="tokens of this tokenizer; a model with as many outputs",
            )
        return self._decode(numbers.astype(np.int64), skip_special_tokens)

    @abstractmethod
    def token_to_id(self, token: str) -> int:
        """The number of a token; DataError if there is no such token."""

    @abstractmethod
    def id_to_token(self, number: int) -> str:
        """The token with a number, as the vocabulary writes it."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tokenizer to a file, in JSON; FileError if it cannot be written."""
        with atomic_write(path) as file:
            file.write(self._to_json().encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The tokenizer that `save` wrote; FileError if the file cannot be read, is damaged or of another kind."""
        try:
            return cls._from_json(read_bytes(path).decode())
        except (NotOneError, UnicodeDecodeError) as error:
            raise FileError(
                f"{path} holds no {cls.__name__}: {error}", hint="a file that its save has written"
            ) from error

    @abstractmethod
    def _encode(self, text: str) -> Array: ...

    @abstractmethod
    def _decode(self, numbers: Array, skip_special_tokens: bool) -> str: ...

    @abstractmethod
    def _to_json(self) -> str: ...

    @classmethod
    @abstractmethod
    def _from_json(cls, text: str) -> Self: ...

    def __len__(self) -> int:
        return self.vocab_size


class CharTokenizer(Tokenizer):
    """Each character is a token.

    Args:
        characters: those that it knows, in the order of their numbers; each once.
        special_tokens: they have the first numbers.
        unk_token: a special token that stands for every character that it does not know; without one, such a character
            is an error.

    Raises:
        UsageError: a character that is none or occurs twice, or a special token that is empty or occurs twice.

    >>> tokenizer = CharTokenizer.train("hello", special_tokens=["<end>"])
    >>> tokenizer.vocab_size, tokenizer.encode("hole<end>")
    (5, array([2, 4, 3, 1, 0]))
    >>> tokenizer.decode([2, 4, 3, 1, 0]), tokenizer.decode([1, 0], skip_special_tokens=False)
    ('hole', 'e<end>')
    >>> tokenizer.encode("help")
    Traceback (most recent call last):
    clearprop.errors.DataError: CharTokenizer: 'p' (U+0070) at index 3 is none of the 4 characters that it knows
    Try: train it on a text that has it, or with unk_token="<unk>"
    """

    def __init__(
        self, characters: Iterable[str], *, special_tokens: Sequence[str] = (), unk_token: str | None = None
    ) -> None:
        if not isinstance(characters, Iterable):
            raise UsageError(f"CharTokenizer: characters is {characters!r}", hint="CharTokenizer.train(text)")
        self.characters = tuple(characters)
        self.unk_token = unk_token
        self._special = with_unknown(special_tokens, unk_token)
        self._tokens = (*self._special, *self.characters)
        self._numbers = {token: number for number, token in enumerate(self._tokens)}
        _check_tokens(self.characters, "a character", 1)
        if len(self._numbers) != len(self._tokens):
            raise UsageError("CharTokenizer: a token occurs twice", hint="CharTokenizer.train(text) takes each once")
        codes = np.array([ord(character) for character in self.characters], np.int64)
        self._table = np.full(int(codes.max(initial=0)) + 1, -1, np.int64)  # the number of each code point
        self._table[codes] = np.arange(len(codes)) + len(self._special)
        self._pattern = re.compile(f"({'|'.join(re.escape(token) for token in self._special)})")

    @classmethod
    def train(cls, source: Texts, *, special_tokens: Sequence[str] = (), unk_token: str | None = None) -> CharTokenizer:
        """A tokenizer of all characters that occur, sorted.

        Args:
            source: a text, the path of a file, or several of them.
            special_tokens, unk_token: see `CharTokenizer`.
        """
        found: set[str] = set()
        for text in texts_of(source):
            found.update(text)
        if not found:
            raise nothing_to_train_on(cls)
        return cls(sorted(found), special_tokens=special_tokens, unk_token=unk_token)

    @property
    def vocab_size(self) -> int:
        """See `Tokenizer`."""
        return len(self._tokens)

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """See `Tokenizer`."""
        return self._special

    def token_to_id(self, token: str) -> int:
        """See `Tokenizer`."""
        if token not in self._numbers:
            raise no_such_token(self, token)
        return self._numbers[token]

    def id_to_token(self, number: int) -> str:
        """See `Tokenizer`."""
        return self._tokens[check_id(self, number)]

    def _encode(self, text: str) -> Array:
        if not self._special:
            return self._numbers_of(text, 0)
        parts, start = [], 0
        for part in self._pattern.split(text):
            is_special = part in self._special
            parts.append(np.array([self._numbers[part]]) if is_special else self._numbers_of(part, start))
            start += len(part)
        return np.concatenate(parts)

    def _numbers_of(self, text: str, start: int) -> Array:
        """The numbers of the characters of a text without special tokens, which begins at `start` of a longer one."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        numbers = np.where(codes < len(self._table), self._table[np.minimum(codes, len(self._table) - 1)], -1)
        unknown = np.flatnonzero(numbers < 0)
        if not len(unknown):
            return numbers
        if self.unk_token is None:
            character = text[unknown[0]]
            raise DataError(
                f"CharTokenizer: {character!r} (U+{ord(character):04X}) at index {start + unknown[0]} is none of the "
                f"{len(self.characters)} characters that it knows",
                hint='train it on a text that has it, or with unk_token="<unk>"',
            )
        numbers[unknown] = self._numbers[self.unk_token]
        return numbers

    def _decode(self, numbers: Array, skip_special_tokens: bool) -> str:
        first = len(self._special) if skip_special_tokens else 0
        return "".join(self._tokens[number] for number in numbers if number >= first)

    def _to_json(self) -> str:
        content = {"kind": _KIND, "version": _VERSION, "special_tokens": self._special, "unk_token": self.unk_token,
                   "characters": self.characters}  # fmt: skip
        return json.dumps(content)

    @classmethod
    def _from_json(cls, text: str) -> Self:
        try:
            content = json.loads(text)
            if (content["kind"], content["version"]) != (_KIND, _VERSION):
                raise NotOneError("it is of another kind")
            known, unknown = content["special_tokens"], content["unk_token"]
            return cls(content["characters"], special_tokens=known, unk_token=unknown)
        except KeyError as error:
            raise NotOneError(f"it has no entry {error}") from error
        except (ValueError, TypeError) as error:
            raise NotOneError(str(error)) from error

    def __repr__(self) -> str:
        return f"CharTokenizer({self.vocab_size} tokens)"


def texts_of(source: Texts) -> Iterator[str]:
    """The texts that a tokenizer is to be trained on.

    Raises:
        FileError: a file cannot be read; DataError: it is no text in UTF-8.
        UsageError: a text that is the name of a file.
    """
    if not isinstance(source, str | os.PathLike | Iterable):
        raise UsageError(f"train: {source!r} is no text", hint="a text, a pathlib.Path, or a list of them")
    for item in [source] if isinstance(source, str | os.PathLike) else source:
        if isinstance(item, os.PathLike):
            content = read_bytes(item)
            try:
                yield content.decode()
            except UnicodeDecodeError as error:
                raise DataError(f"{os.fspath(item)} is not text in UTF-8: byte {error.start:,}",
                                hint="data.read_text(path, encoding=…), and the text itself") from error  # fmt: skip
        elif isinstance(item, str):
            if _is_file(item):
                raise UsageError(f"train: {item!r} is the name of a file", hint=f"pathlib.Path({item!r}) to read it")
            yield item
        else:
            raise UsageError(f"train: {item!r} is no text", hint="texts as str, files as pathlib.Path")


def nothing_to_train_on(kind: type[Tokenizer]) -> DataError:
    """The error of texts that are empty."""
    return DataError(f"{kind.__name__}.train: there is no text", hint="a text, a pathlib.Path, or a list of them")


def no_such_token(tokenizer: Tokenizer, token: str) -> DataError:
    """The error of a token that a tokenizer does not have."""
    return DataError(
        f"{type(tokenizer).__name__}: there is no token {token!r}", hint="special_tokens= when it is trained"
    )


def check_id(tokenizer: Tokenizer, number: int) -> int:
    """The number, if it is that of a token; else DataError."""
    if not 0 <= number < tokenizer.vocab_size:
        raise DataError(
            f"{type(tokenizer).__name__}: {number} is none of its {tokenizer.vocab_size} tokens",
            hint=f"0 to {tokenizer.vocab_size - 1}",
        )
    return int(number)


class NotOneError(ValueError):
    """A file is not that of the tokenizer that was asked for."""


def with_unknown(special_tokens: Sequence[str], unk_token: str | None) -> tuple[str, ...]:
    """The special tokens, with the one for unknown characters among them."""
    if isinstance(special_tokens, str):
        raise UsageError(f"special_tokens is {special_tokens!r}", hint=f"a list: [{special_tokens!r}]")
    _check_tokens(special_tokens, "a special token", None)
    missing = [] if unk_token is None or unk_token in special_tokens else [unk_token]
    _check_tokens(missing, "a token for what is unknown", None)
    return (*missing, *special_tokens)


def _check_tokens(tokens: Sequence[Any], what: str, length: int | None) -> None:
    """Raise UsageError unless all are texts, of this length or at least not empty."""
    for token in tokens:
        if not isinstance(token, str) or not token or length not in (None, len(token)):
            raise UsageError(f"{token!r} is not {what}", hint="a list of texts, each of one character for characters")


def _is_file(text: str) -> bool:
    if len(text) > 255 or "\n" in text or not text:
        return False
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False

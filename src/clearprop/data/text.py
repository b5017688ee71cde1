"""Text for language models: windows of tokens, each with the token that follows it as the target."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from clearprop.arguments import is_whole, number, one_of
from clearprop.caches import cache_folder
from clearprop.data.batches import Array, no_such_example
from clearprop.data.tokenizer import CharTokenizer, Tokenizer
from clearprop.errors import DataError, FileError, UsageError
from clearprop.files.atomic import read_bytes
from clearprop.tensor import as_array

Part: TypeAlias = Literal["train", "validation", "all"]

_SHAKESPEARE = "tinyshakespeare.txt"
_SHAKESPEARE_MIRRORS = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    "https://raw.githubusercontent.com/jcjohnson/torch-rnn/master/data/tiny-shakespeare.txt",
)
_SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


class TextDataset:
    """Windows of a text. Example i is `block_size` tokens, and the tokens that follow each of them: both (block_size,).

    Args:
        text: what the windows are cut from.
        tokenizer: makes tokens of it.
        block_size: tokens in a window.
        stride: from the beginning of one window to that of the next; by default block_size, so that each token is
            predicted once in an epoch. With 1 there is a window at every token.

    Attributes:
        text, tokenizer, block_size, stride: the same.
        tokens: the whole text, int64.

    Raises:
        DataError: a text that makes no window, or has a character that the tokenizer does not know.
        UsageError: a block size or stride below 1.

    >>> dataset = TextDataset("to be or not", CharTokenizer.train("to be or not"), block_size=4)
    >>> inputs, targets = dataset[1]
    >>> len(dataset), dataset.tokenizer.decode(inputs), dataset.tokenizer.decode(targets)
    (2, 'e or', ' or ')
    """

    ready = True  # a batch is only copied from memory

    def __init__(self, text: str, tokenizer: Tokenizer, block_size: int, stride: int | None = None) -> None:
        self.text = text
        self.tokenizer = tokenizer
        self.block_size = block_size
        self.stride = block_size if stride is None else stride
        for name, value in (("block_size", self.block_size), ("stride", self.stride)):
            if not is_whole(value) or value < 1:
                raise UsageError(f"TextDataset: {name} is {value!r}", hint="a whole number from 1 on")
        if not isinstance(tokenizer, Tokenizer):
            raise UsageError(
                f"TextDataset: the tokenizer is a {type(tokenizer).__name__}", hint="data.CharTokenizer.train(text)"
            )
        self.tokens = tokenizer.encode(text)
        if len(self.tokens) <= block_size:
            raise DataError(
                f"TextDataset: a text of {len(self.tokens)} tokens makes no window of {block_size} and the token that "
                "follows",
                hint=f"block_size={len(self.tokens) - 1}" if len(self.tokens) > 1 else "a longer text",
            )

    @property
    def arrays(self) -> tuple[Array]:
        """The tokens."""
        return (self.tokens,)

    def __len__(self) -> int:
        return (len(self.tokens) - self.block_size - 1) // self.stride + 1

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        """Inputs and targets of window `index`."""
        if not is_whole(index) or not -len(self) <= index < len(self):
            raise no_such_example(self, index)
        start = index % len(self) * self.stride
        return self.tokens[start : start + self.block_size], self.tokens[start + 1 : start + self.block_size + 1]

    def examples_at(self, indices: Array) -> tuple[Array, Array]:
        """Several windows at once, as columns: both (N, block_size)."""
        places = as_array(indices)[:, None] * self.stride + np.arange(self.block_size)
        return self.tokens[places], self.tokens[places + 1]

    def __repr__(self) -> str:
        return f"TextDataset({len(self):,} windows of {self.block_size} in {len(self.tokens):,} tokens)"


def text_file(
    path: str | os.PathLike[str],
    part: Part = "train",
    *,
    block_size: int = 128,
    tokenizer: Tokenizer | None = None,
    stride: int | None = None,
    validation: float = 0.1,
    encoding: str = "utf-8",
) -> TextDataset:
    """The windows of a text file.

    Args:
        path: the file.
        part: "train" for what comes before the validation part, "validation" for the end of the file, "all" for both.
        block_size, stride: of the windows, see `TextDataset`.
        tokenizer: by default a `CharTokenizer` of all characters in the file, whatever the part.
        validation: the share of the characters, at the end of the file, that is the validation part.
        encoding: of the file.

    Raises:
        FileError: it cannot be read.
        DataError: it is no text in this encoding; a part makes no window.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> _ = path.write_text("one two three four " * 10)
    >>> text_file(path, block_size=8), text_file(path, "validation", block_size=8)
    (TextDataset(21 windows of 8 in 171 tokens), TextDataset(2 windows of 8 in 19 tokens))
    """
    return _windows(read_text(path, encoding), part, block_size, tokenizer, stride, validation)


def tiny_shakespeare(
    part: Part = "train",
    *,
    block_size: int = 128,
    tokenizer: Tokenizer | None = None,
    stride: int | None = None,
    validation: float = 0.1,
    folder: str | os.PathLike[str] | None = None,
) -> TextDataset:
    """Some scenes of Shakespeare's plays: 1,115,394 characters, 65 different ones (A. Karpathy 2015, char-rnn).

    The file ``tinyshakespeare.txt`` is taken from the folder in the environment variable ``CLEARPROP_DATA`` if it is
    there, else from the cache, into which it is downloaded once.

    Args:
        part, block_size, tokenizer, stride, validation: see `text_file`.
        folder: where to look instead; nothing is downloaded then.

    Raises:
        DataError: the file is not the published one.
        FileError: it can neither be read nor downloaded, or is not in the folder named.
    """
    _check_part(part, validation)
    path = _find_shakespeare(folder)
    found = hashlib.sha256(read_bytes(path)).hexdigest()
    if found != _SHAKESPEARE_SHA256:
        raise DataError(
            f"{path} is not the published text: its content has the SHA-256 {found}, not {_SHAKESPEARE_SHA256}",
            hint="remove it, and it is downloaded; or data.text_file(path)",
        )
    return _windows(read_text(path), part, block_size, tokenizer, stride, validation)


def read_text(path: str | os.PathLike[str], encoding: str = "utf-8") -> str:
    """The text in a file, without the mark of byte order that some editors put in front.

    Raises:
        FileError: it cannot be read.
        DataError: it is no text in this encoding; the message says at which byte.
        UsageError: there is no such encoding.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "words.txt"
    >>> _ = path.write_bytes("Übung".encode("latin-1"))
    >>> read_text(path, encoding="latin-1")
    'Übung'
    """
    content = read_bytes(path)
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise UsageError(f"there is no encoding {encoding!r}", hint='"utf-8", "latin-1", "utf-16"') from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not text in {encoding}: byte {error.start:,} is {content[error.start]:#04x}",
            hint='encoding="latin-1" or "utf-16", if it is text at all',
        ) from error


def _check_part(part: str, validation: float) -> None:
    one_of("a text", "part", part, "train", "validation", "all")
    if not 0.0 <= number("a text", "validation", validation) < 1.0:
        raise UsageError(f"a text: validation={validation}", hint="a share of the text, such as 0.1")


def _windows(
    text: str, part: str, block_size: int, tokenizer: Tokenizer | None, stride: int | None, validation: float
) -> TextDataset:
    _check_part(part, validation)
    known = tokenizer if tokenizer is not None else CharTokenizer.train(text)
    end = int(len(text) * (1 - validation))
    chosen = {"train": text[:end], "validation": text[end:], "all": text}[part]
    return TextDataset(chosen, known, block_size, stride)


def _find_shakespeare(folder: str | os.PathLike[str] | None) -> Path:
    chosen = folder or os.environ.get("CLEARPROP_DATA")
    if chosen and (Path(chosen) / _SHAKESPEARE).is_file():
        return Path(chosen) / _SHAKESPEARE
    if folder:
        raise FileError(f"{folder} holds no {_SHAKESPEARE}", hint="the file belongs there")
    path = cache_folder() / _SHAKESPEARE
    if not path.exists():
        from clearprop.files.download import download  # loads the network and the progress bar: only when needed

        download(_SHAKESPEARE_MIRRORS, path, sha256=_SHAKESPEARE_SHA256)
    return path

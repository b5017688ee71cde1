"""The texts that recipes learn from: a file that the user names, or tiny Shakespeare."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from clearprop.data import TextDataset, read_text, text_file, tiny_shakespeare
from clearprop.recipes.settings import Option

TextFile: TypeAlias = Annotated[str, Option("a text file to learn from; without one, tiny Shakespeare")]


def whole_text(file: str, folder: str | None) -> str:
    """All of a text; for the arguments see `windows`."""
    return read_text(file) if file else tiny_shakespeare("all", folder=folder).text


def windows(file: str, folder: str | None, training: int, validation: int) -> tuple[TextDataset, TextDataset]:
    """The first nine tenths of a text in windows of so many characters, and its end in windows of so many.

    Args:
        file: a text file; empty for tiny Shakespeare.
        folder: where tiny Shakespeare lies, None for the usual places.
    """
    if file:
        return text_file(file, block_size=training), text_file(file, "validation", block_size=validation)
    return (
        tiny_shakespeare(block_size=training, folder=folder),
        tiny_shakespeare("validation", block_size=validation, folder=folder),
    )

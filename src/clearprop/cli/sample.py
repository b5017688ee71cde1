"""``clearprop sample RUN``: let a network that has learned from a text go on writing."""

from __future__ import annotations

import argparse
import math
import sys
from itertools import islice
from pathlib import Path
from typing import cast

from clearprop.cli import terminal
from clearprop.cli.command import Command
from clearprop.cli.records import weights_of
from clearprop.cli.settings import whole
from clearprop.data import CharTokenizer
from clearprop.errors import DataError
from clearprop.models import stream
from clearprop.models.sampling import Writer
from clearprop.models.saving import Saved
from clearprop.random import Generator

_DESCRIPTION = """\
Write on behind a few characters with a network that clearprop train char-rnn or gpt has saved, one
character after the other. The same seed writes the same text."""

_EXAMPLES = (
    'clearprop sample runs/gpt-20260101-120000 --prompt "ROMEO:"',
    "clearprop sample runs/char-rnn-20260101-120000 --length 2000 --temperature 0.5 --top-k 10 --seed 1",
)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the folder of a run, or its weights.safetensors")
    parser.add_argument("--prompt", metavar="TEXT", default="\n", help="what to begin with (default: a new line)")
    parser.add_argument("--length", type=whole(1), default=500, metavar="N", help="characters to write (default: 500)")
    parser.add_argument(
        "--temperature", type=_temperature, default=0.8, metavar="X",
        help="how daring: near 0 always what is likeliest, 1 as learned, above 1 wilder (default: 0.8)",
    )  # fmt: skip
    parser.add_argument(
        "--top-k", type=whole(1), metavar="N", help="choose among the N likeliest characters (default: all)"
    )
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of the choices (default: 0)")


def _run(options: argparse.Namespace) -> None:
    saved, model = Saved.load(weights_of(Path(options.run)))
    if "characters" not in saved.extra:
        raise DataError(
            f"{options.run} holds a {saved.builder}, which does not write", hint="a run of clearprop train gpt"
        )
    tokenizer, writer = CharTokenizer(saved.extra["characters"]), cast(Writer, model)
    prompt, generator = _tokens(tokenizer, options.prompt), Generator(options.seed)
    written = stream(writer, prompt, options.temperature, options.top_k, generator)
    _print(options.prompt)
    for token in islice(written, options.length):
        _print(tokenizer.decode(token))
    _print("\n")


def _tokens(tokenizer: CharTokenizer, prompt: str) -> list[int]:
    """The prompt as tokens; DataError for a character that the network has never seen."""
    unknown = sorted(set(prompt) - set(tokenizer.characters))
    if unknown:
        raise DataError(
            f"the prompt has {', '.join(map(repr, unknown))}, which the network has never read",
            hint=f"its {len(tokenizer.characters)} characters: {''.join(tokenizer.characters)!r}",
        )
    return tokenizer.encode(prompt).tolist()


def _print(text: str) -> None:
    """Show a piece of the text at once."""
    sys.stdout.write(terminal.printable(text))
    sys.stdout.flush()


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


COMMAND = Command("sample", "let a network go on with a text", _DESCRIPTION, _EXAMPLES, _configure, _run)

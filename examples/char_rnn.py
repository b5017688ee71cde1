"""A character LSTM and a character GRU learn from tiny Shakespeare, and write. To be reached: 1.65 nats per character.

What is measured is the last tenth of the text, which no network has learned from, in windows of 256 characters, each
read with a state of zeros before it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from clearprop import recipes
from clearprop.data import CharTokenizer
from clearprop.models import sample
from clearprop.models.saving import Saved
from clearprop.random import Generator

GOAL = 1.65


def main() -> None:
    """Train both, and show what they write at three temperatures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/examples/char_rnn"), metavar="FOLDER")
    parser.add_argument("--epochs", type=int, default=4, metavar="N")
    options = parser.parse_args()
    for cell in ("lstm", "gru"):
        run = options.output / cell
        history = recipes.run("char-rnn", run, cell=cell, epochs=options.epochs, resume=True)
        reached = history.evaluation.metrics["loss"]
        print(f"\n{cell}: {reached:.4f} nats per character (to be reached: {GOAL}) in {history.seconds:.0f} s")
        saved, model = Saved.load(run / "weights.safetensors")
        tokenizer = CharTokenizer(saved.extra["characters"])
        for temperature in (0.2, 0.7, 1.2):
            written = sample(model, tokenizer.encode("ROMEO:\n"), 240, temperature, generator=Generator(0))
            print(f"\n-- {cell} at temperature {temperature} " + 50 * "-")
            print("ROMEO:\n" + tokenizer.decode(written))


if __name__ == "__main__":
    main()

"""A GPT learns from tiny Shakespeare, character by character. To be reached: 1.65 nats per character in 15 minutes.

What is measured is the last tenth of the text, which the network has not learned from, in windows of 128 characters.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from clearprop import recipes
from clearprop.data import CharTokenizer, tiny_shakespeare
from clearprop.models import chances, sample
from clearprop.models.saving import Saved
from clearprop.random import Generator

GOAL, MINUTES = 1.65, 15


def main() -> None:
    """Train it, and show what temperature and top-k do to its choices and to what it writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/examples/gpt"), metavar="FOLDER")
    parser.add_argument("--epochs", type=int, metavar="N")
    options = parser.parse_args()
    chosen = {} if options.epochs is None else {"epochs": options.epochs}
    history = recipes.run("gpt", options.output, resume=True, **chosen)
    reached, minutes = history.evaluation.metrics["loss"], history.seconds / 60
    print(f"\n{reached:.4f} nats per character (to be reached: {GOAL})")
    seen = len(history.epochs) * len(tiny_shakespeare().tokens) / 1e6
    print(f"{minutes:.1f} minutes (at most {MINUTES}), {seen:.1f} million tokens seen")
    saved, model = Saved.load(options.output / "weights.safetensors")
    tokenizer = CharTokenizer(saved.extra["characters"])
    prompt = "ROMEO:\nO, she doth teach the t"
    scores = model(tokenizer.encode(prompt)[None]).numpy()[0, :, -1]
    print(f"\nwhat follows {prompt[-21:]!r}, and how likely it is:")
    for temperature, top_k in ((1.0, None), (0.5, None), (2.0, None), (1.0, 3)):
        share = chances(scores, temperature, top_k)
        shown = "  ".join(f"{tokenizer.decode(token)!r} {share[token]:.3f}" for token in (-share).argsort()[:6])
        print(f"  temperature {temperature}, top-k {top_k or 'all':>3}:  {shown}")
    for temperature, top_k in ((0.5, None), (0.8, 40), (1.2, None)):
        written = sample(model, tokenizer.encode("ROMEO:\n"), 400, temperature, top_k, Generator(0))
        print(f"\n-- temperature {temperature}, top-k {top_k or 'all'} " + 50 * "-")
        print("ROMEO:\n" + tokenizer.decode(written))


if __name__ == "__main__":
    main()

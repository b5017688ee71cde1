"""Skip-gram and CBOW learn vectors for the words of tiny Shakespeare: neighbours, analogies, words per second."""

from __future__ import annotations

import argparse
from pathlib import Path

from clearprop import recipes
from clearprop.data import WordText, tiny_shakespeare
from clearprop.models import WordVectors
from clearprop.models.saving import Saved


def main() -> None:
    """Train both, and ask them about some words."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/examples/word2vec"), metavar="FOLDER")
    parser.add_argument("--epochs", type=int, default=20, metavar="N")
    options = parser.parse_args()
    words = len(WordText(tiny_shakespeare("all").text))  # without those that occur less than five times
    for architecture in ("skip-gram", "cbow"):
        run = options.output / architecture
        history = recipes.run("word2vec", run, architecture=architecture, epochs=options.epochs, resume=True)
        right = history.evaluation.metrics["top-5 analogy accuracy"]
        speed = words / sorted(history.column("seconds"))[len(history.epochs) // 2]
        print(f"\n{architecture}: {speed:,.0f} words/s; {right:.0%} of the analogies have the right word among five")
        saved, model = Saved.load(run / "weights.safetensors")
        vectors = WordVectors(saved.extra["words"], model.words.weight)
        for word in ("king", "romeo", "night", "three", "thou"):
            print(f"  {word:6}", ", ".join(f"{near} {cosine:.2f}" for near, cosine in vectors.neighbours(word, 7)))
        for first, second, third in (("he", "him", "she"), ("i", "me", "we"), ("man", "woman", "king")):
            found = ", ".join(f"{word} {cosine:.2f}" for word, cosine in vectors.analogy(first, second, third))
            print(f"  {first} : {second} = {third} : {found}")
        print(f"  page: {run / 'words.html'}")


if __name__ == "__main__":
    main()

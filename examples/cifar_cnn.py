"""A convolutional network on the photographs of CIFAR-10. To be reached: 80 % of the test images within 10 minutes."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from clearprop import recipes

GOAL, MINUTES = 0.80, 10


def main() -> None:
    """Train it, and tell what it takes for what."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/examples/cifar_cnn"), metavar="FOLDER")
    parser.add_argument("--epochs", type=int, metavar="N")
    options = parser.parse_args()
    chosen = {} if options.epochs is None else {"epochs": options.epochs}
    history = recipes.run("cifar-cnn", options.output, resume=True, **chosen)
    test, minutes = history.evaluation, history.seconds / 60
    print(f"\n{test.metrics['accuracy']:.2%} of the test images (to be reached: {GOAL:.0%})")
    print(f"{minutes:.1f} minutes (at most {MINUTES})\n")
    for number, (name, row) in enumerate(zip(test.class_names, test.confusion, strict=True)):
        wrong = np.where(np.arange(len(row)) == number, 0, row)
        other = test.class_names[int(wrong.argmax())]
        print(f"{name:12} {row[number] / row.sum():6.1%} right; else most often {other}, {wrong.max() / row.sum():.1%}")


if __name__ == "__main__":
    main()

"""A multilayer perceptron on MNIST, and what its hidden units look at. To be reached: 98.4 % of the test images."""

from __future__ import annotations

import argparse
from pathlib import Path

from clearprop import recipes
from clearprop.models import ImageClassifier
from clearprop.recipes.templates import draw_templates

GOAL = 0.984
SHOWN = 20


def main() -> None:
    """Train it, and draw the weights of some units of its first layer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/examples/mlp"), metavar="FOLDER")
    parser.add_argument("--epochs", type=int, metavar="N")
    options = parser.parse_args()
    chosen = {} if options.epochs is None else {"epochs": options.epochs}
    history = recipes.run("mnist", options.output, resume=True, **chosen)
    reached = history.evaluation.metrics["accuracy"]
    print(f"\n{reached:.2%} of the test images (to be reached: {GOAL:.1%}), {history.seconds:.0f} s")
    classifier, model = ImageClassifier.load(options.output / "weights.safetensors")
    units = model.linear1.weight.numpy().T[:SHOWN].reshape(-1, classifier.height, classifier.width)
    picture = options.output / "units.svg"
    names = [f"unit {number}" for number in range(1, SHOWN + 1)]
    draw_templates(picture, units, names, "What hidden units look at", "unit")
    print(f"what {SHOWN} of its hidden units look at: {picture}")


if __name__ == "__main__":
    main()

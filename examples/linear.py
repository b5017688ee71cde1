"""Logistic regression and the linear support vector machine on MNIST. To be reached: 91.5 % of the test images.

A linear classifier has one template for each digit, a column of its matrix. templates.svg, in the folder of each run,
shows all ten: where ink speaks for the digit, and where against it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from clearprop import recipes

GOAL = 0.915


def main() -> None:
    """Train both, and say where their weights are drawn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/examples/linear"), metavar="FOLDER")
    parser.add_argument("--data-set", choices=("mnist", "digits"), default="mnist")
    options = parser.parse_args()
    for loss, name in (("softmax", "logistic regression"), ("hinge", "linear support vector machine")):
        history = recipes.run("linear", options.output / loss, resume=True, data_set=options.data_set, loss=loss)
        reached = history.evaluation.metrics["accuracy"]
        print(f"\n{name}: {reached:.2%} of the test images (to be reached: {GOAL:.1%}), {history.seconds:.0f} s")
        print(f"its ten templates: {history.files['templates']}\n", flush=True)


if __name__ == "__main__":
    main()

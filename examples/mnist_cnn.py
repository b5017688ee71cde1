"""A convolutional network on MNIST, and the windows that it looks through. To be reached: 99.3 % of the test images."""

from __future__ import annotations

import argparse
from pathlib import Path

from clearprop import recipes
from clearprop.models import ImageClassifier
from clearprop.recipes.templates import draw_templates

GOAL = 0.993


def main() -> None:
    """Train it, and draw the weights of its first convolution."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/examples/mnist_cnn"), metavar="FOLDER")
    parser.add_argument("--epochs", type=int, metavar="N")
    options = parser.parse_args()
    chosen = {} if options.epochs is None else {"epochs": options.epochs}
    history = recipes.run("mnist-cnn", options.output, resume=True, **chosen)
    reached = history.evaluation.metrics["accuracy"]
    print(f"\n{reached:.2%} of the test images (to be reached: {GOAL:.1%}), {history.seconds:.0f} s")
    _, model = ImageClassifier.load(options.output / "weights.safetensors")
    windows = model.stages[0].conv1.weight.numpy()[:, 0]  # (channels, 3, 3)
    names = [f"channel {number}" for number in range(1, len(windows) + 1)]
    picture = options.output / "windows.svg"
    draw_templates(picture, windows, names, "The windows of the first convolution", "channel")
    print(f"the windows of its first convolution: {picture}")


if __name__ == "__main__":
    main()

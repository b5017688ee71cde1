"""Write the pictures of graphs in docs/pictures, with `Tape.draw`.

    .venv/bin/python scripts/make_pictures.py

A test says when one of them is no longer what `draw` makes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import clearprop as cp
from clearprop import nn
from clearprop.lens import Drawing

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"


def lecture() -> Drawing:
    """The first example of the lecture."""
    x, y, z = (cp.tensor(value, requires_grad=True) for value in (-2.0, 5.0, -4.0))
    with cp.record() as tape:
        q = x + y
        f = q * z
        f.backward()
    return tape.draw()


def transformer() -> Drawing:
    """Twelve layers, of which one is unfolded."""
    cp.random.seed(0)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 12)
    x, target = (cp.asarray(part) for part in np.random.default_rng(0).normal(size=(2, 2, 5, 64)).astype(np.float32))
    with cp.record() as tape:
        loss = cp.mean(cp.square(model(x) - target))
        loss.backward()
    return tape.draw(depth=1, unfold="layers.3")


PICTURES = {"lecture.svg": lecture, "transformer.svg": transformer}


def main() -> None:
    """Draw all of them anew."""
    for name, draw in PICTURES.items():
        print(draw().save(FOLDER / name))


if __name__ == "__main__":
    main()

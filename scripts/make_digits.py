"""Make the digits that come with the package (src/clearprop/data/samples) from the file in scikit-learn's wheel.

    pip download --no-deps scikit-learn
    unzip scikit_learn-*.whl sklearn/datasets/data/digits.csv.gz
    python scripts/make_digits.py sklearn/datasets/data/digits.csv.gz

Each line of the source is one image: 64 pixels from 0 to 16, row by row, and the digit.
"""

import sys
from pathlib import Path

import numpy as np

from clearprop.data import write_idx

SAMPLES = Path(__file__).parents[1] / "src/clearprop/data/samples"


def main(source: str) -> None:
    """Write the images and the labels as two IDX files."""
    table = np.loadtxt(source, delimiter=",").astype(np.uint8)
    write_idx(SAMPLES / "digits-images-idx3-ubyte.gz", table[:, :64].reshape(-1, 8, 8))
    write_idx(SAMPLES / "digits-labels-idx1-ubyte.gz", table[:, 64])
    print(f"{len(table)} images")


if __name__ == "__main__":
    main(sys.argv[1])

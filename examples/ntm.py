"""A Neural Turing Machine learns to copy: trained on 1 to 20 vectors of 8 bits, it copies more than it has ever seen.

After Graves et al. (2014), section 4.1. To be reached: at most one wrong bit in a sequence of 40 vectors.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from clearprop import recipes
from clearprop.recipes.ntm import BITS, LENGTHS


def main() -> None:
    """Train the machine, and count the bits that it copies wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/examples/ntm"), metavar="FOLDER")
    parser.add_argument("--epochs", type=int, metavar="N")
    options = parser.parse_args()
    chosen = {} if options.epochs is None else {"epochs": options.epochs}
    history = recipes.run("ntm", options.output, resume=True, **chosen)
    figures = history.evaluation.metrics
    print("\nwrong bits per sequence, mean of 128 sequences that it was not trained with:")
    for length in LENGTHS:
        seen = "a length that it has seen" if length <= 20 else "longer than all that it has seen"
        asked = "; asked: at most 1" if length == 40 else ""
        print(f"  {length} vectors: {figures[f'wrong_bits_at_{length}']:6.2f} of {BITS * length:3} ({seen}{asked})")
    print(f"\ncopies, and where the heads were: {history.files['copies']}")


if __name__ == "__main__":
    main()

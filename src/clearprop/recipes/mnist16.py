"""The images with which the training of 1989 is repeated: MNIST shrunk to 16×16 pixels, as many as there were then.

The zip codes of the paper were never published. MNIST's digits are as close to them as can be had; A. Karpathy (2022)
takes 7,291 of its images to train with and 2,007 to test with, shrunk by bilinear interpolation, and so does this.
"""

from __future__ import annotations

from clearprop.array import asarray
from clearprop.autodiff import no_grad
from clearprop.data import ArrayDataset, mnist
from clearprop.data.order import shuffled
from clearprop.functional import interpolate

TRAINING, HELD_OUT = 7_291, 2_007
_SEED = 1989  # which images: the same ones in every run, as in the paper


def mnist16(part: str, folder: str | None = None) -> ArrayDataset:
    """One part of them: images, float32 from 0 to 1 of shape (N, 1, 16, 16), and labels.

    Args:
        part: "train", 7,291 of MNIST's images to train with; "validation", 2,007 others of these; "test", 2,007 of
            those to test with.
        folder: where the files of MNIST are, None for the usual places.
    """
    whole = mnist("test" if part == "test" else "train", folder=folder)
    first, count = {"train": (0, TRAINING), "validation": (TRAINING, HELD_OUT), "test": (0, HELD_OUT)}[part]
    images, labels = whole[shuffled(len(whole), _SEED)[first : first + count]]
    with no_grad():
        small = interpolate(asarray(images), (16, 16), mode="bilinear")
    return ArrayDataset(small.numpy(), labels)

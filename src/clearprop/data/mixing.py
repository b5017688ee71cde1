"""Mixtures of two examples with a target in between: mixup and CutMix. They belong behind all other transforms.

Each image of a batch is mixed with another one of the batch. The target becomes a probability for each class, floating
point of shape (N, classes), which `cross_entropy` takes like labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from clearprop.arguments import number, whole
from clearprop.data.checks import check_labels
from clearprop.data.draws import Array, Draws
from clearprop.data.transforms import check_images
from clearprop.errors import DataError
from clearprop.tensor import as_array

_STEPS = 4096  # of the table of the beta distribution


@dataclass(frozen=True)
class MixUp:
    """λ x₁ + (1 - λ) x₂ of two images, and the same of their targets (Zhang et al. 2018, https://arxiv.org/abs/1710.09412).

    Args:
        classes: how many there are.
        alpha: λ is drawn from Beta(alpha, alpha) for each pair: near 0 or 1 for a small alpha, near ½ for a large one.
            The paper takes 1 for CIFAR-10 and 0.2 to 0.4 for ImageNet.

    Raises:
        UsageError: an alpha that is not positive.

    >>> images = np.stack([np.zeros((1, 2, 2)), np.ones((1, 2, 2))])
    >>> mixed, target = MixUp(classes=2)(images, np.array([0, 1]), draws=Draws(2, seed=8))
    >>> mixed[:, 0, 0, 0].round(2)
    array([0.51, 0.35])
    >>> target.round(2)
    array([[0.49, 0.51],
           [0.65, 0.35]], dtype=float32)
    """

    classes: int
    alpha: float = 1.0

    def __post_init__(self) -> None:
        _check_alpha(self)

    def __call__(self, images: Any, labels: Any = None, *, draws: Draws | None = None) -> tuple[Array, Array]:
        """(N, …) and labels of shape (N,), or targets (N, classes), -> mixtures of both, with the same shapes."""
        batch = as_array(images)
        _check_floats(self, batch)
        source = draws if draws is not None else Draws(len(batch))
        other = source.order()
        share = beta(source.uniform(), self.alpha).astype(batch.dtype)  # (N,)
        shares = share.reshape(-1, *(1,) * (batch.ndim - 1))
        target = probabilities(labels, self.classes)
        mixed = batch[other] - batch
        mixed *= 1 - shares
        mixed += batch
        return mixed, _mixed(target, other, share)


@dataclass(frozen=True)
class CutMix:
    """A rectangle of each image comes from another one (Yun et al. 2019, https://arxiv.org/abs/1905.04899).

    The target is mixed like the areas. The rectangle has the proportions of the image; its centre is a random pixel,
    and what lies outside of the image is cut off.

    Args:
        classes: how many there are.
        alpha: the share of the area that is kept is drawn from Beta(alpha, alpha); the paper takes 1.

    Raises:
        UsageError: an alpha that is not positive.

    >>> images = np.stack([np.zeros((1, 4, 4)), np.ones((1, 4, 4))])
    >>> mixed, target = CutMix(classes=2)(images, np.array([0, 1]), draws=Draws(2, seed=8))
    >>> mixed.mean(axis=(1, 2, 3)).tolist() == target[:, 1].tolist()
    True
    """

    classes: int
    alpha: float = 1.0

    def __post_init__(self) -> None:
        _check_alpha(self)

    def __call__(self, images: Any, labels: Any = None, *, draws: Draws | None = None) -> tuple[Array, Array]:
        """(N, C, H, W) and labels of shape (N,), or targets (N, classes), -> mixtures of both, with the same shapes."""
        batch = check_images("CutMix", images)
        source = draws if draws is not None else Draws(len(batch))
        other = source.order()
        side = np.sqrt(1 - beta(source.uniform(), self.alpha))  # of the rectangle, as a share of the image's
        rows = _span(batch.shape[2], side, source)  # (N, H)
        columns = _span(batch.shape[3], side, source)  # (N, W)
        taken = rows[:, None, :, None] & columns[:, None, None, :]  # (N, 1, H, W)
        kept = 1 - taken.mean(axis=(1, 2, 3))
        return np.where(taken, batch[other], batch), _mixed(probabilities(labels, self.classes), other, kept)


def probabilities(labels: Any, classes: int) -> Array:
    """Targets as probabilities, float32 of shape (N, classes): those that are already, or 1 where the label says.

    Raises:
        DataError: a label that is no class, or targets for another number of classes.

    >>> probabilities([2, 0], classes=3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    if labels is None:
        raise DataError("there are no labels to be mixed with the images", hint="batches of images and labels")
    targets = as_array(labels)
    if targets.dtype.kind == "f" and targets.ndim == 2:
        if targets.shape[1] != classes:
            raise DataError(f"targets of shape {targets.shape} for {classes} classes", hint="one number for each class")
        return targets.astype(np.float32, copy=False)
    check_labels(targets, classes)
    if targets.ndim != 1:
        raise DataError(f"labels of shape {targets.shape} cannot be mixed", hint="one label for each image")
    return np.eye(classes, dtype=np.float32)[targets]


def beta(uniform: Array, alpha: float) -> Array:
    """Numbers distributed as Beta(alpha, alpha), one from each that is equally likely in [0, 1).

    It inverts the cumulative distribution, so that every number takes one draw, whatever its value.

    >>> beta(np.array([0.0, 0.25, 0.5, 0.75]), alpha=1.0)
    array([0.  , 0.25, 0.5 , 0.75])
    """
    cumulative, places = _lower_half(alpha)
    below = np.interp(np.minimum(uniform, 1 - uniform), cumulative, places)
    half = below ** (1 / min(alpha, 1.0))
    return np.where(uniform < 0.5, half, 1 - half)


@cache
def _lower_half(alpha: float) -> tuple[Array, Array]:
    """The cumulative Beta(alpha, alpha) from 0 to ½, at places x, or x^alpha where alpha < 1.

    The density x^(alpha-1) (1-x)^(alpha-1) has a pole at 0 for alpha < 1; as a function of t = x^alpha it is
    (1-x)^(alpha-1) / alpha, and smooth. The density is scaled so that it is 1 at x = ½: nothing underflows.
    """
    places = np.linspace(0.0, 0.5 ** min(alpha, 1.0), _STEPS + 1)
    factor = 1 - places ** (1 / alpha) if alpha < 1 else 4 * places * (1 - places)
    density = factor ** (alpha - 1)
    cumulative = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return cumulative / cumulative[-1] / 2, places


def _span(length: int, share: Array, draws: Draws) -> Array:
    """For each image, which pixels along an axis belong to the rectangle: (N, length)."""
    pixels = (length * share).astype(np.int64)[:, None]
    first = draws.integers(0, length)[:, None] - pixels // 2
    along = np.arange(length)
    return (first <= along) & (along < first + pixels)


def _mixed(target: Array, other: Array, share: Array) -> Array:
    kept = share.astype(np.float32)[:, None]
    return kept * target + (1 - kept) * target[other]


def _check_alpha(mixer: MixUp | CutMix) -> None:
    whole(type(mixer).__name__, "classes", mixer.classes)
    number(type(mixer).__name__, "alpha", mixer.alpha, positive=True)


def _check_floats(mixer: MixUp, batch: Array) -> None:
    if batch.dtype.kind != "f":
        raise DataError(f"MixUp: examples of dtype {batch.dtype} cannot be mixed", hint="ToFloat() in front of it")

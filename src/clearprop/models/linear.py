"""The linear classifier of the lecture notes, as a matrix: s = x W + b, a score for each class.

With the softmax loss it is (multinomial) logistic regression, with the hinge loss a support vector machine for several
classes: J. Weston, C. Watkins (1999), Support vector machines for multi-class pattern recognition. The network is the
same; what differs is the loss, `nn.CrossEntropyLoss` or `nn.MultiMarginLoss`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from clearprop import nn
from clearprop.models.images import check_images, image_shape
from clearprop.tensor import Tensor

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


class LinearClassifier(nn.Module):
    """s = x W + b: an image is a row x of pixels, and each column of W a template that it is multiplied with.

    The weights begin at 0, which is as good as anything here: no symmetry must be broken, as each class has a gradient
    of its own.

    Args:
        image: shape of the images, (channels, height, width).
        outputs: how many classes.

    Attributes:
        scores: the layer that computes s, with ``weight`` W of shape (channels height width, outputs).

    >>> import clearprop as cp
    >>> model = LinearClassifier((1, 8, 8), 10)
    >>> model(cp.zeros((5, 1, 8, 8))).shape, model.templates().shape
    ((5, 10), (10, 1, 8, 8))
    """

    def __init__(self, image: Sequence[int] = (1, 28, 28), outputs: int = 10) -> None:
        self.image = image_shape("LinearClassifier", image)
        self.flatten = nn.Flatten()
        self.scores = nn.Linear(math.prod(self.image), outputs)
        for parameter in self.scores.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Any) -> Tensor:
        """Images, brightness from 0 to 1, (N, channels, height, width) -> scores (N, outputs)."""
        return self.scores(self.flatten(check_images("LinearClassifier", x, self.image)))

    def templates(self) -> Array:
        """The columns of W as images, (outputs, channels, height, width): where a class wants ink, and where none."""
        return self.scores.weight.numpy().T.reshape(-1, *self.image)

"""The linear classifier: scores as a product of matrices, and its columns as images."""

from __future__ import annotations

import math

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.errors import ShapeError
from clearprop.models import LinearClassifier


def test_scores_are_a_product_with_the_columns() -> None:
    model = LinearClassifier((1, 2, 3), 4)
    nn.init.normal_(model.scores.weight)
    x = np.random.default_rng(0).uniform(size=(5, 1, 2, 3)).astype(np.float32)
    by_hand = np.einsum("nchw,kchw->nk", x, model.templates())
    np.testing.assert_allclose(model(cp.asarray(x)).numpy(), by_hand, rtol=1e-5)


def test_the_first_step_pulls_templates_to_the_images_of_their_class() -> None:
    """The gradient of the mean cross entropy by W is xᵀ(p - y) / N, and p is 1/C where the weights are 0."""
    model = LinearClassifier((1, 1, 2), 2)
    x = np.array([[[[1.0, 0.0]]], [[[0.0, 1.0]]]], np.float32)
    loss = nn.CrossEntropyLoss()(model(cp.asarray(x)), cp.tensor([0, 1]))
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    np.testing.assert_allclose(model.scores.weight.grad.numpy(), [[-0.25, 0.25], [0.25, -0.25]])


def test_the_hinge_loss_of_the_lecture() -> None:
    """Scores 3.2, 5.1, -1.7, of which the first is right: max(0, 2.9) + max(0, -3.9) = 2.9, and divided by C."""
    assert nn.MultiMarginLoss()(cp.tensor([[3.2, 5.1, -1.7]]), cp.tensor([0])).item() == pytest.approx(2.9 / 3)


def test_other_images_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"LinearClassifier: the images have shape \(2, 1, 28, 28\)"):
        LinearClassifier((1, 8, 8))(cp.zeros((2, 1, 28, 28)))

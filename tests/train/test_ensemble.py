"""Networks that answer together: their mean, the mean of their probabilities, their majority."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.train.networks import blobs, mlp

import clearprop as cp
from clearprop import nn, train
from clearprop.data import ArrayDataset, DataLoader
from clearprop.errors import ShapeError, UsageError
from clearprop.train import Ensemble


class Says(nn.Module):
    """Gives the same logits whatever it is asked."""

    def __init__(self, logits: Any) -> None:
        self.logits = np.asarray(logits, np.float32)

    def forward(self, x: Any) -> Any:
        return cp.asarray(self.logits)


def softmax(z: Any, axis: int = 1) -> Any:
    e = np.exp(z - np.max(z, axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def random_logits(*shape: int, networks: int = 5) -> Any:
    return np.random.default_rng(0).standard_normal((networks, *shape)).astype(np.float32) * 3


def answer(logits: Any, vote: Any, **more: Any) -> Any:
    return Ensemble([Says(one) for one in logits], vote, **more)(cp.zeros(1)).numpy()


def test_numbers_are_averaged() -> None:
    np.testing.assert_allclose(answer(random_logits(7, 2), "mean"), random_logits(7, 2).mean(0), rtol=1e-5)


@pytest.mark.parametrize(("shape", "axis"), [((9, 4), 1), ((3, 4, 6), 1), ((3, 6, 4), -1)])
def test_probabilities_are_averaged(shape: tuple[int, ...], axis: int) -> None:
    logits = random_logits(*shape)
    together = answer(logits, "probabilities", class_axis=axis)
    expected = softmax(logits, axis if axis < 0 else axis + 1).mean(0)
    np.testing.assert_allclose(np.exp(together), expected, rtol=1e-4)


def test_the_majority_decides() -> None:
    logits = random_logits(200, 4, networks=5)
    votes = np.stack([np.bincount(one, minlength=4) for one in logits.argmax(2).T])
    clear = votes.max(1) >= 3
    assert clear.sum() > 50
    together = answer(logits, "majority")
    np.testing.assert_array_equal(together.argmax(1)[clear], votes.argmax(1)[clear])
    np.testing.assert_allclose(np.exp(together).sum(1), 1.0, rtol=1e-5)  # the shares of all classes make a whole
    np.testing.assert_allclose(np.exp(together), (votes + softmax(logits, 2).mean(0)) / 6, rtol=1e-4)


def test_a_tie_is_decided_by_the_probabilities() -> None:
    logits = np.log([[[0.5, 0.4, 0.1]], [[0.1, 0.8, 0.1]]])
    assert answer(logits, "majority").argmax(1).tolist() == [1]
    assert answer(logits[::-1], "majority").argmax(1).tolist() == [1]


def test_a_vote_may_differ_from_the_mean() -> None:
    logits = np.log([[[0.6, 0.4]], [[0.6, 0.4]], [[0.001, 0.999]]])
    assert answer(logits, "majority").argmax(1).tolist() == [0]
    assert answer(logits, "probabilities").argmax(1).tolist() == [1]


@pytest.mark.parametrize("vote", ["probabilities", "majority"])
def test_one_logit_for_two_classes(vote: Any) -> None:
    logits = random_logits(50, 1)
    both = np.concatenate([np.zeros_like(logits), logits], axis=2)
    expected = answer(both, vote)
    np.testing.assert_allclose(answer(logits, vote)[:, 0], expected[:, 1] - expected[:, 0], rtol=1e-4, atol=1e-5)


def test_the_surest_networks_leave_numbers_behind() -> None:
    """A probability that is 0 in float32, and a class that nobody votes for."""
    logits = np.array([[[300.0, 0.0, -300.0]], [[0.0, 300.0, -300.0]]], np.float32)
    for vote in ("probabilities", "majority"):
        together = answer(logits, vote)
        assert np.isfinite(together).all()
        assert together[0, 2] < -290


def test_evaluate_takes_it_and_it_is_compiled_and_saved() -> None:
    cp.random.seed(0)
    models = [mlp(16, 4) for _ in range(3)]
    ensemble = Ensemble(models, "probabilities").eval()
    data = DataLoader(ArrayDataset(*blobs(64)), batch_size=32)
    figures = train.evaluate(ensemble, data, loss=nn.CrossEntropyLoss(), metrics=["accuracy"]).metrics
    assert 0 < figures["accuracy"] < 1
    x = cp.asarray(blobs(64)[0])
    with cp.no_grad():
        np.testing.assert_allclose(cp.compile(ensemble)(x).numpy(), ensemble(x).numpy(), rtol=1e-4, atol=1e-6)
    assert len(ensemble.state_dict()) == 3 * 2


@pytest.mark.parametrize("models", [[], None, nn.Linear(1, 1), [nn.Linear(1, 1), 3], [nn.Linear]])
def test_what_is_no_list_of_networks(models: Any) -> None:
    with pytest.raises(UsageError, match="Ensemble"):
        Ensemble(models)


def test_what_is_no_vote() -> None:
    with pytest.raises(UsageError, match="vote"):
        Ensemble([nn.Linear(1, 1)], "soft")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"logits of shape \(N, classes"):
        answer(random_logits(7), "majority")


def test_outputs_of_different_shapes() -> None:
    with pytest.raises(ShapeError, match=r"\(3, 2\), \(3, 4\)"):
        Ensemble([nn.Linear(1, 2), nn.Linear(1, 4)])(cp.ones((3, 1)))

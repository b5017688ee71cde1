"""word2vec: the loss of the paper, vectors that meet where words keep the same company, and questions to them."""

from __future__ import annotations

import numpy as np
import pytest

import clearprop as cp
from clearprop import optim, train
from clearprop.data import NearWords, WordText
from clearprop.errors import DataError, RangeError, ShapeError, UsageError
from clearprop.models import CBOW, SkipGram, WordVectors, negative_sampling


def test_the_loss_is_equation_4() -> None:
    v, others = np.array([[1.0, -2.0]]), np.array([[[0.5, 0.5], [1.0, 0.0], [2.0, 2.0]]])
    fits = (others @ v[0])[0]
    expected = -np.log(1 / (1 + np.exp(-fits[0]))) - np.log(1 / (1 + np.exp(fits[1:]))).sum()
    model = SkipGram(4, 2)
    model.words.weight.assign(cp.asarray(np.array([[0, 0], [1, -2], [0, 0], [0, 0]], np.float32)))
    model.others.weight.assign(cp.asarray(np.array([[0.5, 0.5], [1, 0], [2, 2], [9, 9]], np.float32)))
    scores = model([1], [[0, 1, 2]])
    assert negative_sampling(scores, [[1.0, 0.0, 0.0]]).item() == pytest.approx(expected, rel=1e-6)


def test_cbow_takes_the_mean_of_the_context() -> None:
    model = CBOW(5, 3)
    words = np.arange(15, dtype=np.float32).reshape(5, 3)
    model.words.weight.assign(cp.asarray(words))
    model.others.weight.assign(cp.asarray(words[::-1].copy()))
    scores = model([0, 1, 4, 2], [0, 3], [[1, 2], [3, 0]]).numpy()
    others = words[::-1]
    np.testing.assert_allclose(scores[0], others[[1, 2]] @ words[[0, 1, 4]].mean(0))
    np.testing.assert_allclose(scores[1], others[[3, 0]] @ words[2])


@pytest.mark.parametrize("architecture", ["skip-gram", "cbow"])
def test_words_in_the_same_company_become_alike(architecture: str) -> None:
    """Cats and dogs are said the same of, and cars and ships are; the words themselves never meet."""
    random, sentences = np.random.default_rng(0), []
    pairs = {
        ("cat", "dog"): ["eats", "sleeps", "purrs", "runs"],
        ("car", "ship"): ["drives", "carries", "rusts", "turns"],
    }
    for _ in range(1500):
        (names, verbs) = list(pairs.items())[random.integers(2)]
        sentences.append(f"{random.choice(verbs)} {random.choice(names)} {random.choice(verbs)}")
    text = WordText(" ".join(sentences), min_count=1)
    cp.random.seed(0)
    batches = NearWords(text, architecture, batch_size=20, window=1, subsample=0)
    model = (SkipGram if architecture == "skip-gram" else CBOW)(len(text.words), 8)
    optimizer = optim.SGD(model.parameters(), lr=0.05 * batches.predictions)
    history = train.fit(model, batches, loss=negative_sampling, optimizer=optimizer, epochs=6, progress=False)
    assert history.column("loss")[-1] < 0.95 * history.column("loss")[0]
    vectors = WordVectors(text.words, model.words.weight)

    def alike(one: str, other: str) -> float:
        return float(vectors.vector(one) @ vectors.vector(other))

    assert alike("cat", "dog") > alike("cat", "car") + 0.3
    assert alike("car", "ship") > alike("dog", "ship") + 0.3


def test_neighbours_and_analogies() -> None:
    words = ["man", "woman", "king", "queen", "apple"]
    rows = [[1.0, 0.0, 0.1], [1.0, 1.0, 0.1], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [-1.0, 0.0, -1.0]]
    vectors = WordVectors(words, rows)
    np.testing.assert_allclose(np.linalg.norm(vectors.directions, axis=1), 1.0)
    assert [word for word, _ in vectors.neighbours("king", 2)] == ["queen", "man"]
    answers = vectors.analogy("man", "king", "woman", count=2)
    assert answers[0][0] == "queen"
    assert {"man", "king", "woman"}.isdisjoint(word for word, _ in answers)
    assert len(vectors.neighbours("king", 100)) == 4


def test_questions_that_have_no_answer() -> None:
    vectors = WordVectors(["king", "queen"], np.eye(2))
    with pytest.raises(DataError, match="'quen' is none of the 2 words") as caught:
        vectors.neighbours("quen")
    assert "'queen'" in str(caught.value)
    with pytest.raises(DataError, match="'man'"):
        vectors.analogy("king", "queen", "man")
    with pytest.raises(UsageError, match="count=0"):
        vectors.neighbours("king", 0)
    with pytest.raises(ShapeError, match="3 words and vectors of shape"):
        WordVectors(["a", "b", "c"], np.eye(2))


def test_words_and_labels_that_do_not_fit() -> None:
    with pytest.raises(RangeError, match="9"):
        SkipGram(5, 2)([9], [[1, 2]])
    with pytest.raises(ShapeError, match="labels"):
        negative_sampling(cp.zeros((3, 2)), cp.zeros((3, 1)))

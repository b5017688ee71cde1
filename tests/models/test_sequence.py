"""Classes of sequences and tags of their elements, by recurrence and by attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, optim
from clearprop.errors import DTypeError, RangeError, ShapeError, UsageError
from clearprop.models import SequenceClassifier, SequenceTagger

KINDS = ("attention", "lstm")
TOKENS = np.array([[1, 2, 3, 4, 5], [6, 7, 8, 0, 0], [9, 0, 0, 0, 0]])
LENGTHS = np.array([5, 3, 1])


def classifier(kind: str, **settings: Any) -> SequenceClassifier:
    sizes = {"width": 16, "heads": 2, "dropout": 0.0} | settings
    return SequenceClassifier(10, 3, kind, **sizes, generator=cp.random.Generator(0))


def tagger(kind: str, **settings: Any) -> SequenceTagger:
    sizes = {"width": 16, "heads": 2, "dropout": 0.0, "layers": 1} | settings
    return SequenceTagger(10, 4, kind, **sizes, generator=cp.random.Generator(0))


def behind_the_end_changed() -> Any:
    changed = TOKENS.copy()
    changed[1, 3:], changed[2, 1:] = 9, 4
    return changed


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_does_not_depend_on_what_stands_behind_the_end(kind: str) -> None:
    model = classifier(kind, layers=2)
    logits = model(TOKENS, LENGTHS).numpy()
    assert logits.shape == (3, 3)
    np.testing.assert_allclose(logits, model(behind_the_end_changed(), LENGTHS).numpy(), atol=1e-6)
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(logits[row], model(TOKENS[row : row + 1, :length])[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_nor_do_tags(kind: str) -> None:
    model = tagger(kind, layers=2)
    logits, other = (model(tokens, LENGTHS).numpy() for tokens in (TOKENS, behind_the_end_changed()))
    assert logits.shape == (3, 4, 5)
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(logits[row, :, :length], other[row, :, :length], atol=1e-6)
        alone = model(TOKENS[row : row + 1, :length])[0].numpy()
        np.testing.assert_allclose(logits[row, :, :length], alone, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_element_counts_for_the_class_and_for_every_tag(kind: str) -> None:
    for place in range(5):
        changed = TOKENS[:1].copy()
        changed[0, place] = 8
        assert not np.allclose(classifier(kind)(TOKENS[:1]).numpy(), classifier(kind)(changed).numpy(), atol=1e-6)
        difference = np.abs(tagger(kind)(TOKENS[:1]).numpy() - tagger(kind)(changed).numpy())
        assert (difference.max(axis=(0, 1)) > 1e-7).all()


@pytest.mark.parametrize("kind", KINDS)
def test_order_counts(kind: str) -> None:
    model = classifier(kind)
    turned = TOKENS[:1, ::-1].copy()
    assert not np.allclose(model(TOKENS[:1]).numpy(), model(turned).numpy(), atol=1e-5)


def test_weights_are_shares_of_the_elements_that_there_are() -> None:
    logits, weights = classifier("attention")(TOKENS, LENGTHS, need_weights=True)
    np.testing.assert_allclose(weights.sum(axis=1).numpy(), 1, rtol=1e-5)
    assert not weights[1, 3:].numpy().any()
    assert weights[2].tolist() == pytest.approx([1, 0, 0, 0, 0])
    np.testing.assert_array_equal(logits.numpy(), classifier("attention")(TOKENS, LENGTHS).numpy())
    with pytest.raises(UsageError, match="an LSTM has no weights"):
        classifier("lstm")(TOKENS, need_weights=True)


def test_parameters_are_counted() -> None:
    block = 4 * (16 * 16 + 16) + 2 * 16 * 64 + 64 + 16 + 4 * 16
    pooling = 16 + 4 * (16 * 16 + 16)
    assert sum(p.size for p in classifier("attention").parameters()) == 10 * 16 + block + 2 * 16 + pooling + 17 * 3
    assert sum(p.size for p in classifier("lstm").parameters()) == 10 * 16 + 4 * 16 * (16 + 16 + 2) + 17 * 3
    assert sum(p.size for p in tagger("lstm").parameters()) == 10 * 16 + 2 * 4 * 8 * (16 + 8 + 2) + 17 * 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_cue_that_stands_anywhere_is_learned_by_a_compiled_step(kind: str) -> None:
    """The class is which of two tokens is there, among noise."""
    random = np.random.default_rng(0)
    model = classifier(kind)
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def batch(count: int) -> tuple[Any, Any]:
        tokens, labels = random.integers(3, 10, (count, 8)), random.integers(0, 3, count)
        tokens[np.arange(count), random.integers(0, 8, count)] = labels
        return cp.asarray(tokens), cp.asarray(labels)

    @cp.compile
    def step(tokens: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(tokens), labels)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(250):
        step(*batch(32))
    assert "computed by NumPy" not in step.report()
    tokens, labels = batch(300)
    assert (model.eval()(tokens).numpy().argmax(axis=1) == labels.numpy()).mean() > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_with_lengths_is_as_eager_and_a_length_of_zero_is_found_in_every_run(kind: str) -> None:
    for model in (classifier(kind), tagger(kind)):
        run = cp.compile(model)
        tokens = cp.asarray(TOKENS)
        np.testing.assert_allclose(
            run(tokens, cp.asarray(LENGTHS)).numpy(), model(TOKENS, LENGTHS).numpy(), rtol=1e-4, atol=1e-5
        )
        assert "computed by NumPy" not in run.report()
        with pytest.raises(RangeError, match="a length is not one of 1 to 5"):
            run(tokens, cp.asarray(np.array([5, 0, 1])))


@pytest.mark.parametrize("make", [classifier, tagger])
@pytest.mark.parametrize("kind", KINDS)
def test_bad_input(kind: str, make: Any) -> None:
    model = make(kind)
    name = type(model).__name__
    with pytest.raises(ShapeError, match=rf"{name}: tokens have shape \(2, 0\): a text must have at least one token"):
        model(np.zeros((2, 0), np.int64))
    with pytest.raises(ShapeError, match=r"tokens have shape \(5,\)"):
        model(TOKENS[0])
    with pytest.raises(RangeError, match=rf"{name}: lengths\[1\] is 0; the input has 5 steps"):
        model(TOKENS, [5, 0, 1])
    with pytest.raises(RangeError, match=r"lengths\[0\] is 6"):
        model(TOKENS, [6, 1, 1])
    with pytest.raises(ShapeError, match=r"lengths have shape \(2,\); one for each of 3 sequences"):
        model(TOKENS, [5, 1])
    with pytest.raises(DTypeError, match="lengths are bool"):
        model(TOKENS, [True, True, True])
    with pytest.raises(RangeError, match="10, which is not one of 0 to 9"):
        model(TOKENS + 5, LENGTHS)
    with pytest.raises(DTypeError, match="float64; it takes whole numbers"):
        model(TOKENS / 2)


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="kind='gru'"):
        classifier("gru")
    with pytest.raises(UsageError, match="layers=0"):
        tagger("lstm", layers=0)
    with pytest.raises(UsageError, match="width=15"):
        tagger("lstm", width=15)
    with pytest.raises(UsageError, match="3 heads"):
        tagger("attention", heads=3)

"""The worst mistakes are those with the largest loss, and look like what the network was given."""

from __future__ import annotations

import base64
import io
import json
import math
from typing import Any

import numpy as np
import pytest
from tests.train.small import make

import clearprop as cp
from clearprop import nn, train
from clearprop.data import DataLoader, digits
from clearprop.errors import ShapeError, UsageError
from clearprop.train.pictures import is_image, picture
from clearprop.train.worst import losses_of_examples

rng = np.random.default_rng(0)


class Same(nn.Module):
    """Gives what it is given."""

    def forward(self, x: Any) -> Any:
        return x


def worst(output: Any, target: Any, loss: Any = None, batch: int = 7, **more: Any) -> list[train.Example]:
    """Of a network with these outputs, in batches of a length that does not divide the whole."""
    outputs, targets = np.asarray(output), np.asarray(target)
    batches = [
        (cp.asarray(outputs[at : at + batch]), cp.asarray(targets[at : at + batch]))
        for at in range(0, len(outputs), batch)
    ]
    return train.evaluate(Same(), batches, loss=loss or nn.CrossEntropyLoss(), **{"worst": 5, **more}).worst


LOGITS, LABELS = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
LOSSES = -np.log(np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True))[np.arange(40), LABELS]


def test_the_mistakes_with_the_largest_loss() -> None:
    found = worst(LOGITS, LABELS, class_names=["ant", "bee", "cat"])
    expected = np.argsort(-LOSSES)[:5]
    assert [one.index for one in found] == expected.tolist()
    np.testing.assert_allclose([one.loss for one in found], LOSSES[expected], rtol=1e-5)
    first = found[0]
    shares = np.exp(LOGITS[first.index]) / np.exp(LOGITS[first.index]).sum()
    names = ["ant", "bee", "cat"]
    assert (first.truth, first.answer) == (names[LABELS[first.index]], names[shares.argmax()])
    assert first.mistaken
    assert first.probability == pytest.approx(shares.max(), rel=1e-5)
    assert first.truth_probability == pytest.approx(shares[LABELS[first.index]], rel=1e-5)
    assert first.text.count(",") == 2


def test_mistakes_come_before_right_answers() -> None:
    """With three classes a right answer may have a larger loss than a mistake."""
    logits = np.log([[0.34, 0.33, 0.33], [0.51, 0.49, 0.0001], [0.9, 0.05, 0.05]])
    found = worst(logits, [0, 1, 0], worst=2)
    assert [(one.index, one.mistaken) for one in found] == [(1, True), (0, False)]
    assert found[1].loss > found[0].loss


def test_more_than_there_are_and_none() -> None:
    assert len(worst(LOGITS, LABELS, worst=1000)) == 40
    assert worst(LOGITS, LABELS, worst=0) == []


@pytest.mark.parametrize(
    ("loss", "output", "target"),
    [
        (nn.CrossEntropyLoss(), LOGITS, LABELS),
        (nn.CrossEntropyLoss(label_smoothing=0.1), LOGITS, LABELS),
        (nn.CrossEntropyLoss(), rng.normal(size=(6, 4, 5)), rng.integers(0, 4, (6, 5))),
        (nn.MSELoss(), rng.normal(size=(9, 2)), rng.normal(size=(9, 2))),
        (lambda output, target: cp.abs(output - target).mean(), rng.normal(size=(9, 2)), rng.normal(size=(9, 2))),
    ],
)
def test_the_loss_of_an_example_is_that_of_a_batch_of_one(loss: Any, output: Any, target: Any) -> None:
    x, y = cp.asarray(output), cp.asarray(target)
    alone = [float(loss(x[at : at + 1], y[at : at + 1]).item()) for at in range(len(output))]
    np.testing.assert_allclose(losses_of_examples(loss, x, y), alone, rtol=1e-6)
    assert getattr(loss, "reduction", "mean") == "mean"  # the loss itself is as it was


def test_padding_does_not_thin_the_loss_of_a_sequence() -> None:
    logits, labels = rng.normal(size=(2, 4, 3)), np.array([[1, -100, -100], [2, 0, 1]])
    both = losses_of_examples(nn.CrossEntropyLoss(), cp.asarray(logits), cp.asarray(labels))
    alone = losses_of_examples(nn.CrossEntropyLoss(), cp.asarray(logits[:1, :, :1]), cp.asarray(labels[:1, :1]))
    assert both[0] == pytest.approx(alone[0])


def test_one_logit_for_two_classes() -> None:
    found = worst([[-3.0], [0.5], [2.0]], [[1.0], [1.0], [0.0]], nn.BCEWithLogitsLoss(), class_names=(), worst=3)
    assert [(one.index, one.truth, one.answer, one.mistaken) for one in found] == [
        (0, "1", "0", True), (2, "0", "1", True), (1, "1", "1", False),
    ]  # fmt: skip
    assert found[0].probability == pytest.approx(1 / (1 + math.exp(-3)))


def test_numbers_in_place_of_classes() -> None:
    found = worst([[1.0], [2.0], [4.0]], [[1.5], [2.0], [1.0]], nn.MSELoss(), worst=2)
    assert [(one.truth, one.answer, one.loss, one.probability) for one in found] == [
        ("1", "4", 9.0, None), ("1.5", "1", 0.25, None),
    ]  # fmt: skip


def test_outputs_that_are_no_numbers_are_the_worst() -> None:
    logits = LOGITS.copy()
    logits[11] = math.nan
    one = worst(logits, LABELS)[0]
    assert (one.index, one.loss, one.mistaken) == (11, math.inf, True)
    again = train.Example.from_dict(json.loads(json.dumps(one.to_dict(), allow_nan=False)))
    assert again.loss == math.inf
    assert math.isnan(again.probability or 0)


def test_what_is_shown_can_be_said() -> None:
    texts = worst(LOGITS, LABELS, show=lambda given: "x" * 1000)
    assert texts[0].text == "x" * 400 + "…"
    pictures = worst(LOGITS, LABELS, show=lambda given: np.zeros((8, 8)))
    assert all(one.picture.startswith("iVBOR") and not one.text for one in pictures)


def test_of_a_real_network_they_are_in_the_record(tmp_path: Any) -> None:
    model = make()["model"]
    loader = DataLoader(digits("test"), batch_size=100)
    history = train.History("digits")
    history.evaluation = train.evaluate(
        model, loader, loss=nn.CrossEntropyLoss(), metrics=["accuracy"], class_names="0123456789", worst=24
    )
    assert len(history.evaluation.worst) == 24
    images, labels = digits("test").arrays
    for one in history.evaluation.worst:
        assert one.truth == str(labels[one.index])
        assert one.picture == picture(images[one.index])
    history.write(tmp_path / "history.jsonl")
    again = train.write_report(train.History.read(tmp_path), tmp_path / "report.html").read_text()
    assert again == train.write_report(history, tmp_path / "other.html").read_text()
    assert again.count("<img ") == 24


def test_wrong_arguments() -> None:
    with pytest.raises(UsageError, match="worst needs a loss"):
        train.evaluate(Same(), [(LOGITS, LABELS)], worst=3)
    with pytest.raises(UsageError, match="worst is -1"):
        worst(LOGITS, LABELS, worst=-1)


# Pictures -------------------------------------------------------------------------------------------------------------


def pixels(image: Any) -> Any:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    return np.asarray(pillow.open(io.BytesIO(base64.b64decode(picture(np.asarray(image))))))


def test_bytes_and_brightness() -> None:
    grey = np.array([[[0.0, 1.0], [0.5, 0.2]]])
    np.testing.assert_array_equal(pixels(grey), [[0, 255], [128, 51]])
    whole = rng.integers(0, 256, (3, 5, 4)).astype(np.uint8)
    np.testing.assert_array_equal(pixels(whole), whole.transpose(1, 2, 0))


def test_normalized_images_are_stretched() -> None:
    np.testing.assert_array_equal(pixels([[[-2.0, 2.0], [0.0, 1.0]]]), [[0, 255], [128, 191]])
    np.testing.assert_array_equal(pixels(np.full((1, 2, 2), 7.0)), np.zeros((2, 2)))
    np.testing.assert_array_equal(pixels([[[math.nan, 1.0], [0.0, math.inf]]]), [[0, 255], [0, 0]])


def test_large_images_become_means_of_squares() -> None:
    wide = np.zeros((1, 100, 300))
    wide[:, :, 3:6] = 0.6
    small = pixels(wide)
    assert small.shape == (33, 100)
    np.testing.assert_array_equal(small[0, :3], [0, 153, 0])


@pytest.mark.parametrize(
    ("shape", "image"),
    [((1, 8, 8), True), ((3, 2, 2), True), ((28, 28), True), ((4, 8, 8), False), ((64,), False), ((5, 6), False),
     ((1, 1, 9), False), ((0, 8, 8), False), ((3, 0, 8), False), ((), False)],
)  # fmt: skip
def test_what_is_an_image(shape: tuple[int, ...], image: bool) -> None:
    assert is_image(np.zeros(shape)) == image
    if not image:
        with pytest.raises(ShapeError, match="is no image"):
            picture(np.zeros(shape))

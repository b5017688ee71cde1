"""Transforms: what they do to a batch, and that the same seed does the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clearprop.data import (
    Compose,
    CutMix,
    Cutout,
    Draws,
    MixUp,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    ToFloat,
)
from clearprop.data.mixing import beta
from clearprop.errors import ClearpropError, DataError, UsageError

Array = np.ndarray[Any, np.dtype[Any]]

RANDOM = [RandomCrop(5, padding=2), RandomHorizontalFlip(), Cutout(3)]


def images(count: int = 6, size: int = 7) -> Array:
    """Images whose pixels are all different, and none is 0."""
    return np.arange(1, count * 2 * size * size + 1, dtype=np.float32).reshape(count, 2, size, size)


# What all have in common ------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", RANDOM, ids=str)
def test_a_transform_depends_on_the_draws_alone_and_changes_nothing_that_it_is_given(transform: Any) -> None:
    batch, before = images(), images()
    first = transform(batch, draws=Draws(6, seed=4, epoch=1))
    np.testing.assert_array_equal(batch, before)
    np.testing.assert_array_equal(transform(batch, draws=Draws(6, seed=4, epoch=1)), first)
    assert (transform(batch, draws=Draws(6, seed=4, epoch=2)) != first).any()


@pytest.mark.parametrize("transform", RANDOM, ids=str)
def test_an_image_is_treated_alike_in_every_batch(transform: Any) -> None:
    whole = transform(images(), draws=Draws(6, seed=2))
    halves = [transform(images()[:2], draws=Draws(2, seed=2)), transform(images()[2:], draws=Draws(4, seed=2, start=2))]
    np.testing.assert_array_equal(np.concatenate(halves), whole)


@pytest.mark.parametrize("transform", [ToFloat(), Normalize(0.0, 1.0), *RANDOM], ids=str)
def test_other_columns_are_passed_on(transform: Any) -> None:
    labels = np.arange(6)
    changed, passed = transform(images(), labels)
    assert passed is labels
    np.testing.assert_array_equal(changed, transform(images()))


@pytest.mark.parametrize("transform", [ToFloat(), Normalize(0.0, 1.0), *RANDOM], ids=str)
@pytest.mark.parametrize("shape", [(2, 5, 5), (4, 25), ()])
def test_what_are_no_images_is_an_error_that_names_the_transform(transform: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=rf"{type(transform).__name__}: images have the shape \(N, C, H, W\)") as caught:
        transform(np.zeros(shape))
    assert caught.value.hint


# One by one -------------------------------------------------------------------------------------------------


def test_a_crop_is_a_part_of_the_padded_image() -> None:
    batch = images(count=40, size=4)
    padded = np.pad(batch, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-1)
    cropped = RandomCrop((3, 4), padding=1, fill=-1)(batch, draws=Draws(40, seed=1))
    assert cropped.shape == (40, 2, 3, 4)
    places = set()
    for image, source in zip(cropped, padded, strict=True):
        found = [
            (row, column)
            for row in range(4)
            for column in range(3)
            if (source[:, row : row + 3, column : column + 4] == image).all()
        ]
        assert len(found) == 1
        places.update(found)
    assert len(places) == 12  # every place occurs


def test_flipping_exchanges_left_and_right_in_half_of_the_images() -> None:
    batch = images(count=400, size=2)
    flipped = RandomHorizontalFlip()(batch, draws=Draws(400, seed=1))
    changed = (flipped != batch).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(flipped[changed], batch[changed][..., ::-1])
    assert 150 < changed.sum() < 250
    np.testing.assert_array_equal(RandomHorizontalFlip(0.0)(batch), batch)
    np.testing.assert_array_equal(RandomHorizontalFlip(1.0)(batch), batch[..., ::-1])


@pytest.mark.parametrize(("size", "length"), [(1, 6), (3, 6), (4, 6), (20, 6)])
def test_cutout_blanks_a_square_around_a_random_pixel(size: int, length: int) -> None:
    batch = images(count=200, size=length)
    cut = Cutout(size, fill=0.0)(batch, draws=Draws(200, seed=1))
    heights = set()
    for image, source in zip(cut, batch, strict=True):
        hole = image == 0
        np.testing.assert_array_equal(image[~hole], source[~hole])
        np.testing.assert_array_equal(hole[0], hole[1])
        rows, columns = hole[0].any(axis=1), hole[0].any(axis=0)
        np.testing.assert_array_equal(hole[0], rows[:, None] & columns)  # a rectangle
        assert len(np.trim_zeros(rows.astype(int))) == rows.sum()  # without a gap
        heights.add(int(rows.sum()))
    least = min(length, size - size // 2)  # centred on an edge, it lies half outside
    assert heights == set(range(least, min(size, length) + 1))


def test_normalizing_gives_mean_0_and_standard_deviation_1() -> None:
    batch = np.random.default_rng(0).normal([[[[3.0]], [[-1.0]]]], [[[[2.0]], [[0.5]]]], (50, 2, 8, 8))
    mean, std = batch.mean(axis=(0, 2, 3)), batch.std(axis=(0, 2, 3))
    normal = Normalize(mean.tolist(), std.tolist())(batch)
    np.testing.assert_allclose(normal.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(normal.std(axis=(0, 2, 3)), 1)
    assert Normalize(0.5, 0.5)(batch.astype(np.float32)).dtype == np.float32


def test_bytes_become_fractions() -> None:
    found = ToFloat()(np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16))
    np.testing.assert_array_equal(found.ravel(), np.arange(256, dtype=np.float32) / np.float32(255))


# Compose ----------------------------------------------------------------------------------------------------


def test_compose_calls_one_after_the_other_with_random_numbers_of_their_own() -> None:
    both = Compose([RandomHorizontalFlip(), RandomHorizontalFlip()])
    flipped = both(images(count=200), draws=Draws(200))
    same = (flipped == images(count=200)).all(axis=(1, 2, 3))
    assert 60 < same.sum() < 140  # with the same numbers twice, all would be back


def test_compose_takes_functions_with_and_without_draws() -> None:
    def shifted(batch: Array, labels: Array, draws: Draws) -> tuple[Array, Array]:
        return batch + draws.integers(0, 100)[:, None, None, None], labels

    def halved(batch: Array, labels: Array) -> tuple[Array, Array]:
        return batch / 2, labels

    found, labels = Compose([shifted, halved])(images(), np.arange(6), draws=Draws(6))
    np.testing.assert_array_equal(found, (images() + Draws(6).integers(0, 100)[:, None, None, None]) / 2)
    assert labels.tolist() == list(range(6))


def test_compose_says_what_it_consists_of() -> None:
    transform = Compose([RandomCrop(4, padding=1), Normalize((0.5,), 1.0), np.negative, test_bytes_become_fractions])
    assert repr(transform) == (
        "Compose([RandomCrop(size=4, padding=1, fill=0.0), Normalize(mean=(0.5,), std=1.0), negative, "
        "test_bytes_become_fractions])"
    )


# Mixtures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 3.0, 50.0])
def test_shares_have_the_moments_of_the_beta_distribution(alpha: float) -> None:
    shares = beta((np.arange(100_000) + 0.5) / 100_000, alpha)
    assert shares.mean() == pytest.approx(0.5, abs=1e-9)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=1e-3)
    # The fourth moment about 0 is the product of (alpha + k) / (2 alpha + k), k from 0 to 3.
    assert (shares**4).mean() == pytest.approx(np.prod([(alpha + k) / (2 * alpha + k) for k in range(4)]), rel=1e-3)


def test_mixup_mixes_images_and_targets_alike() -> None:
    count = 50
    batch = np.broadcast_to(np.arange(float(count))[:, None, None, None], (count, 1, 2, 2))
    mixed, target = MixUp(classes=count, alpha=1.0)(batch, np.arange(count), draws=Draws(count, seed=1))
    np.testing.assert_allclose(target.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(mixed[:, 0, 0, 0], target @ np.arange(count), rtol=1e-5)
    assert ((target > 0).sum(axis=1) <= 2).all()
    assert target.dtype == np.float32
    assert mixed.dtype == batch.dtype


def test_cutmix_mixes_targets_like_areas() -> None:
    count = 60
    batch = np.broadcast_to(np.arange(float(count))[:, None, None, None], (count, 2, 8, 6))
    mixed, target = CutMix(classes=count)(batch, np.arange(count), draws=Draws(count, seed=1))
    for image, own, row in zip(mixed, range(count), target, strict=True):
        values, areas = np.unique(image[0], return_counts=True)
        np.testing.assert_array_equal(image[0], image[1])
        np.testing.assert_allclose(row[values.astype(int)], areas / 48, rtol=1e-6)
        assert row.sum() == pytest.approx(1.0)
        assert len(values) <= 2
        assert own in values or len(values) == 1


def test_mixtures_can_be_mixed_again() -> None:
    mix = Compose([MixUp(classes=3), CutMix(classes=3)])
    mixed, target = mix(images(), np.array([0, 1, 2, 0, 1, 2]), draws=Draws(6, seed=1))
    assert mixed.shape == images().shape
    np.testing.assert_allclose(target.sum(axis=1), 1, rtol=1e-6)


# Bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normalize(0.0, 0.0), "std=0.0"),
        (lambda: Normalize((0.0, 0.0), (1.0, -1.0)), "std="),
        (lambda: RandomCrop(0), "it gives no image"),
        (lambda: RandomCrop("a"), "a size of 'a'"),
        (lambda: RandomCrop(4, padding=-1), "padding=-1"),
        (lambda: RandomHorizontalFlip(1.5), "p=1.5"),
        (lambda: Cutout(0), "size=0"),
        (lambda: MixUp(10, alpha=0.0), "alpha=0.0"),
        (lambda: CutMix(10, alpha=float("nan")), "alpha=nan"),
        (lambda: Compose([3]), "a transform is 3"),
        (lambda: Compose([RandomCrop]), "a transform is RandomCrop"),
        (lambda: Compose(Cutout(1)), r"Cutout\(size=1, fill=0.0\) is not a list"),
    ],
)
def test_settings_that_make_no_transform(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        make()
    assert caught.value.hint


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RandomCrop(8)(images()), r"images of 7×7 pixels, padding included, are too small"),
        (
            lambda: Normalize((0.5,) * 3, 1.0)(images()),
            r"mean and std of shape \(3,\) for images of shape \(6, 2, 7, 7\)",
        ),
        (lambda: Normalize(0.5, 1.0)(images().astype(np.uint8)), "Normalize: images of dtype uint8"),
        (lambda: ToFloat()(images().astype(np.int64)), "ToFloat: images of dtype int64"),
        (lambda: MixUp(3)(images()), "no labels"),
        (lambda: MixUp(3)(images(), np.arange(6)), "labels must be integers from 0 to 2: the label at index 3 is 3"),
        (lambda: MixUp(3)(images().astype(np.uint8), np.zeros(6, int)), "examples of dtype uint8 cannot be mixed"),
        (lambda: CutMix(3)(images(), np.full((6, 2), 0.5)), r"targets of shape \(6, 2\) for 3 classes"),
        (lambda: CutMix(3)(images(), np.zeros((6, 7, 7), int)), r"labels of shape \(6, 7, 7\) cannot be mixed"),
        (lambda: Compose([lambda batch: None])(images()), "returned None"),
    ],
)
def test_data_that_a_transform_does_not_take(call: Any, message: str) -> None:
    with pytest.raises(ClearpropError, match=message) as caught:
        call()
    assert caught.value.hint

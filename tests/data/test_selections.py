"""Parts of datasets, several as one, and random splits."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop.data import ArrayDataset, ConcatDataset, DataLoader, ImageDataset, Subset, random_split, split
from clearprop.data.selections import contents_of
from clearprop.errors import DataError, RangeError


def numbers(length: int, first: int = 0) -> ArrayDataset:
    return ArrayDataset(np.arange(first, first + length), np.arange(first, first + length) * 2)


class OneByOne:
    """A dataset that gives single examples only."""

    def __init__(self, dataset: ArrayDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]


@pytest.mark.parametrize("kind", [lambda dataset: dataset, OneByOne])
def test_a_subset_gives_the_examples_it_names(kind: Any) -> None:
    part = Subset(kind(numbers(10)), [7, 2, 2])
    assert len(part) == 3
    assert part[0] == (7, 14)
    assert part[-1] == (2, 4)
    assert [column.tolist() for column in part.examples_at(np.array([2, 0]))] == [[2, 7], [4, 14]]
    assert part[1:].indices.tolist() == [2, 2]


def test_a_subset_of_a_subset() -> None:
    part = Subset(Subset(numbers(10), np.arange(1, 10, 2)), [0, 4])
    ((x, _),) = DataLoader(part)
    assert x.tolist() == [1, 9]


@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4), one_by_one=st.booleans(), data=st.data())
def test_several_datasets_are_one_behind_the_other(lengths: list[int], one_by_one: bool, data: st.DataObject) -> None:
    starts = [sum(lengths[:position]) for position in range(len(lengths))]
    parts = [numbers(length, first) for length, first in zip(lengths, starts, strict=True)]
    whole = ConcatDataset([OneByOne(part) for part in parts] if one_by_one else parts)
    total = sum(lengths)
    assert len(whole) == total
    assert [whole[index][0] for index in range(-total, total)] == [*range(total), *range(total)]
    asked = np.array(data.draw(st.lists(st.integers(0, total - 1), min_size=1)))
    first, second = whole.examples_at(asked)
    np.testing.assert_array_equal(first, asked)
    np.testing.assert_array_equal(second, asked * 2)


def test_a_random_split_gives_each_example_to_one_part() -> None:
    parts = random_split(numbers(100), [50, 30, 20], seed=3)
    assert [len(part) for part in parts] == [50, 30, 20]
    assert sorted(int(part[index][0]) for part in parts for index in range(len(part))) == list(range(100))
    again = random_split(numbers(100), [0.5, 0.3, 0.2], seed=3)
    assert [part.indices.tolist() for part in again] == [part.indices.tolist() for part in parts]
    assert random_split(numbers(100), [50, 50], seed=4)[0].indices.tolist() != parts[0].indices.tolist()


def test_shares_leave_no_example_out() -> None:
    for length in (7, 10, 11, 1000):
        assert sum(len(part) for part in random_split(numbers(length), [1 / 3, 1 / 3, 1 / 3])) == length


def test_contents_tell_datasets_apart_and_know_checksums() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 1, 2, 2), dtype=np.uint8)
    images, known = (ImageDataset(pixels, [0, 0, 0, 0], ["any"], checksum=crc) for crc in (None, zlib.crc32(pixels)))
    assert contents_of(images) == contents_of(known)
    datasets: list[Any] = [
        images, ImageDataset(255 - pixels, [0, 0, 0, 0], ["any"]), ImageDataset(pixels, [0, 0, 0, 1], ["any", "other"]),
        Subset(images, [0, 1]), Subset(images, [1, 0]), ConcatDataset([images, images]), numbers(4), numbers(4, 1),
    ]  # fmt: skip
    assert len({tuple(contents_of(dataset)) for dataset in datasets}) == len(datasets)
    assert contents_of([1, 2]) == []


def test_split_copies_arrays_and_only_points_into_others() -> None:
    images = ImageDataset(np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1), np.zeros(10, int), ["any"])
    first, second = split(images, 0.7)
    copied, _ = split(numbers(10), 0.7)
    assert isinstance(first, Subset)
    assert first.dataset is images
    assert isinstance(copied, ArrayDataset)
    assert first.indices.tolist() == copied.arrays[0].tolist()  # the same examples for the same seed
    assert len(second) == 3


# Bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0, 10], "index 10 of a dataset of 10 examples"),
        ([-1], "index -1 of a dataset of 10 examples"),
        ([0.5], "indices of dtype float64"),
        ([True, False], "indices of dtype bool"),
        ([[1, 2]], r"shape \(1, 2\)"),
    ],
)
def test_indices_that_make_no_subset(indices: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        Subset(numbers(10), indices)
    assert caught.value.hint


@pytest.mark.parametrize("lengths", [[5, 6], [0.5, 0.6], [10, 0], [0.999999999, 1e-9], [], [-1, 11]])
def test_lengths_that_do_not_add_up(lengths: list[float]) -> None:
    with pytest.raises(DataError, match="10 examples cannot be split"):
        random_split(numbers(10), lengths)


def test_datasets_that_do_not_fit_together() -> None:
    with pytest.raises(DataError, match="there are no datasets"):
        ConcatDataset([])
    uneven = ConcatDataset([ArrayDataset(np.zeros((2, 3))), ArrayDataset(np.zeros((2, 4)))])
    with pytest.raises(DataError, match=r"different shapes: \[\(3,\)\]; \[\(4,\)\]"):
        list(DataLoader(uneven, batch_size=4))
    with pytest.raises(RangeError, match="there is no example 4; it has 4"):
        uneven[4]

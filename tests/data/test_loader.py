"""The loader: which examples come, in which order, and how a run continues in the middle of an epoch."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cp
from clearprop.data import (
    ArrayDataset,
    Compose,
    Cutout,
    DataLoader,
    MixUp,
    PadCollate,
    RandomCrop,
    RandomHorizontalFlip,
)
from clearprop.errors import DataError, UsageError
from clearprop.tensor import Tensor


def numbers(length: int) -> ArrayDataset:
    return ArrayDataset(np.arange(length, dtype=np.float32).reshape(length, 1), np.arange(length))


def labels(loader: DataLoader) -> list[list[int]]:
    """The labels of one epoch, batch by batch."""
    return [y.numpy().tolist() for _, y in loader]


class Items:
    """A dataset that gives examples one by one."""

    def __init__(self, *items: Any) -> None:
        self.items = items
        self.asked: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        self.asked.append((index, threading.current_thread().name))
        return self.items[index]


# Batches ----------------------------------------------------------------------------------------------------


def test_batches_are_tensors_with_the_dtypes_of_the_dataset() -> None:
    x, y = next(iter(DataLoader(numbers(10), batch_size=4)))
    assert isinstance(x, Tensor)
    assert isinstance(y, Tensor)
    assert (x.shape, y.shape) == ((4, 1), (4,))
    assert (x.numpy().dtype, y.numpy().dtype) == (np.float32, np.int64)


def test_batches_do_not_change_with_the_dataset() -> None:
    dataset = numbers(4)
    x, _ = next(iter(DataLoader(dataset, batch_size=4)))
    dataset.arrays[0][:] = -1
    assert x.numpy().ravel().tolist() == [0, 1, 2, 3]


@given(length=st.integers(1, 50), batch_size=st.integers(1, 60), drop_last=st.booleans(), shuffle=st.booleans())
def test_each_example_comes_once_an_epoch(length: int, batch_size: int, drop_last: bool, shuffle: bool) -> None:
    if drop_last and length < batch_size:
        return
    loader = DataLoader(numbers(length), batch_size, shuffle, drop_last)
    batches = labels(loader)
    assert len(batches) == len(loader)
    seen = [label for batch in batches for label in batch]
    assert len(set(seen)) == len(seen) == (length // batch_size * batch_size if drop_last else length)
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_examples_one_by_one_make_the_same_batches() -> None:
    dataset = numbers(10)
    items = Items(*(dataset[i] for i in range(10)))
    for (x, y), (same_x, same_y) in zip(DataLoader(dataset, 4), DataLoader(items, 4), strict=True):
        np.testing.assert_array_equal(x.numpy(), same_x.numpy())
        np.testing.assert_array_equal(y.numpy(), same_y.numpy())


def test_an_example_that_is_no_tuple_makes_a_batch_of_one_column() -> None:
    ((x,),) = DataLoader(Items([1.0, 2.0], [3.0, 4.0]))
    assert x.numpy().tolist() == [[1.0, 2.0], [3.0, 4.0]]


# Order ----------------------------------------------------------------------------------------------------


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first, second = (DataLoader(numbers(100), 10, shuffle=True, seed=5) for _ in range(2))
    epochs = [labels(first) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    second.set_epoch(2)
    assert labels(second) == epochs[2]
    assert labels(DataLoader(numbers(100), 10, shuffle=True, seed=6)) != epochs[0]


def test_the_order_is_the_same_for_ever() -> None:
    # Written down once: with another order, a run saved by an older version would not resume exactly.
    loader = DataLoader(numbers(8), 8, shuffle=True, seed=1)
    assert labels(loader) + labels(loader) == [[3, 5, 2, 7, 0, 6, 1, 4], [0, 6, 5, 3, 4, 7, 2, 1]]


def test_without_shuffling_every_epoch_is_in_order() -> None:
    loader = DataLoader(numbers(5), 2)
    assert labels(loader) == labels(loader) == [[0, 1], [2, 3], [4]]


def test_all_orders_are_equally_likely() -> None:
    loader = DataLoader(numbers(3), 3, shuffle=True, seed=0)
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(6000):
        (order,) = labels(loader)
        counts[tuple(order)] = counts.get(tuple(order), 0) + 1
    assert len(counts) == 6
    assert all(850 < count < 1150 for count in counts.values())  # 1000 ± 5 standard deviations


# Resuming ----------------------------------------------------------------------------------------------------


@given(
    length=st.integers(1, 30),
    batch_size=st.integers(1, 8),
    done=st.integers(0, 40),
    prefetch=st.sampled_from([0, 2]),
    by_item=st.booleans(),
)
def test_a_loader_continues_with_the_next_batch(
    length: int, batch_size: int, done: int, prefetch: int, by_item: bool
) -> None:
    arrays = numbers(length)
    dataset = Items(*(arrays[i] for i in range(length))) if by_item else arrays

    def stream(loader: DataLoader) -> Any:
        while loader.epoch < 5:
            for _, y in loader:
                yield loader.epoch, y.numpy().tolist()

    def new_loader() -> DataLoader:
        return DataLoader(dataset, batch_size, shuffle=True, seed=7, prefetch=prefetch)

    whole = list(stream(new_loader()))
    interrupted = new_loader()
    begun = [batch for _, batch in zip(range(done), stream(interrupted), strict=False)]
    state = json.loads(json.dumps(interrupted.state_dict()))
    resumed = new_loader()
    resumed.load_state_dict(state)
    assert begun + list(stream(resumed)) == whole


def test_the_state_after_the_last_batch_still_belongs_to_its_epoch() -> None:
    loader = DataLoader(numbers(4), 2)
    for _ in loader:
        state = loader.state_dict()
    assert (state["epoch"], state["position"]) == (0, 2)
    resumed = DataLoader(numbers(4), 2)
    resumed.load_state_dict(state)
    assert labels(resumed) == []  # what follows the last batch, say validation, is still to be done
    assert resumed.epoch == 1
    assert labels(resumed) == [[0, 1], [2, 3]]


def test_a_loop_that_is_left_begins_again() -> None:
    loader = DataLoader(numbers(6), 2, shuffle=True)
    first = next(iter(loader))[1].numpy().tolist()
    assert labels(loader)[0] == first
    assert loader.epoch == 1


def test_set_epoch_keeps_the_position_in_the_same_epoch() -> None:
    loader = DataLoader(numbers(6), 2)
    loader.load_state_dict(loader.state_dict() | {"epoch": 3, "position": 1})
    loader.set_epoch(3)
    assert labels(loader) == [[2, 3], [4, 5]]
    loader.set_epoch(0)
    assert labels(loader) == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"batch_size": 3}, "batch_size"),
        ({"shuffle": True}, "shuffle"),
        ({"seed": 1}, "seed"),
        ({"drop_last": True}, "drop_last"),
        ({"dataset": numbers(7)}, "examples"),
    ],
)
def test_the_state_of_another_loader_is_refused(changed: dict[str, Any], name: str) -> None:
    settings: dict[str, Any] = {"dataset": numbers(6), "batch_size": 2}
    state = DataLoader(**settings).state_dict()
    with pytest.raises(DataError, match=f"the saved state has {name} = "):
        DataLoader(**settings | changed).load_state_dict(state)


# Transforms ----------------------------------------------------------------------------------------------------


AUGMENT = Compose([RandomCrop(3, padding=1), RandomHorizontalFlip(), Cutout(1), MixUp(classes=9)])


def pictures(count: int = 9) -> ArrayDataset:
    return ArrayDataset(np.arange(count * 9, dtype=np.float32).reshape(count, 1, 3, 3), np.arange(count))


def epochs(loader: DataLoader, count: int) -> list[Any]:
    """All values of so many epochs."""
    return [[column.tolist() for column in batch] for _ in range(count) for batch in loader]


def test_a_transform_is_given_the_columns_of_each_batch() -> None:
    def doubled(x: Any, y: Any) -> tuple[Any, Any]:
        return x * 2, y

    loader = DataLoader(numbers(5), batch_size=2, transform=doubled)
    for x, y in loader:
        assert x.numpy().ravel().tolist() == (2 * y.numpy()).tolist()


def test_batches_do_not_change_with_what_a_function_has_returned() -> None:
    kept = np.zeros(2)

    def same(x: Any, y: Any) -> Any:
        kept[:] = y
        return kept

    seen = [batch.numpy() for (batch,) in DataLoader(numbers(4), batch_size=2, transform=same)]
    assert [batch.tolist() for batch in seen] == [[0, 1], [2, 3]]


def test_a_function_may_return_lists_and_tensors() -> None:
    def collate(examples: Any) -> Any:
        return [x for x, _ in examples], cp.tensor([y for _, y in examples])

    ((x, y),) = DataLoader([(1.5, 2), (2.5, 3)], collate=collate)
    assert (x.tolist(), y.tolist()) == ([1.5, 2.5], [2, 3])


@pytest.mark.parametrize("prefetch", [1, 2, 5])
def test_transformed_batches_are_the_same_with_and_without_a_thread(prefetch: int) -> None:
    made = {"batch_size": 2, "shuffle": True, "seed": 3, "transform": AUGMENT}
    ahead, at_once = DataLoader(pictures(), **made, prefetch=prefetch), DataLoader(pictures(), **made, prefetch=0)
    assert epochs(ahead, 2) == epochs(at_once, 2)


def test_every_epoch_and_every_seed_is_transformed_differently() -> None:
    crop = RandomCrop(2)
    first, second = (epochs(DataLoader(pictures(), 9, seed=seed, transform=crop), 2) for seed in (0, 1))
    assert first[0] != first[1] != second[1]
    assert first[0] != second[0]


@pytest.mark.parametrize("transform", [RandomCrop(2), Compose([RandomHorizontalFlip(), Cutout(1)])], ids=str)
def test_an_example_is_transformed_alike_in_batches_of_any_size(transform: Any) -> None:
    flat = []
    for batch_size in (1, 4, 9):
        loader = DataLoader(pictures(), batch_size, shuffle=True, seed=2, transform=transform)
        flat.append([x for batch in loader for x in batch[0].tolist()])
    assert flat[0] == flat[1] == flat[2]


@pytest.mark.parametrize("done", range(1, 6))
def test_a_transformed_epoch_continues_with_the_next_batch(done: int) -> None:
    def new_loader() -> DataLoader:
        return DataLoader(pictures(), 2, shuffle=True, seed=7, transform=AUGMENT)

    whole = epochs(new_loader(), 2)
    interrupted = new_loader()
    begun = [[column.tolist() for column in batch] for _, batch in zip(range(done), interrupted, strict=False)]
    resumed = new_loader()
    resumed.load_state_dict(json.loads(json.dumps(interrupted.state_dict())))
    assert begun + epochs(resumed, 2) == whole


def test_the_state_of_a_loader_with_another_transform_is_refused() -> None:
    state = DataLoader(pictures(), transform=RandomCrop(2)).state_dict()
    for other in (None, RandomCrop(2, padding=1)):
        with pytest.raises(
            DataError, match=r"has transform = RandomCrop\(size=2, padding=0, fill=0.0\), this loader has"
        ):
            DataLoader(pictures(), transform=other).load_state_dict(state)
    with pytest.raises(DataError, match="has transform = None"):
        DataLoader(pictures(), transform=RandomCrop(2)).load_state_dict(DataLoader(pictures()).state_dict())


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_error_of_a_transform_reaches_the_loop_with_its_traceback(prefetch: int) -> None:
    def bad_function(x: Any, y: Any) -> Any:
        if 4 in y:
            raise ZeroDivisionError("of the user")
        return x, y

    seen = 0
    with pytest.raises(ZeroDivisionError, match="of the user") as caught:
        for _ in DataLoader(numbers(10), batch_size=2, transform=bad_function, prefetch=prefetch):
            seen += 1
    assert seen == 2
    assert "bad_function" in [entry.name for entry in caught.traceback]


# Collating ----------------------------------------------------------------------------------------------------


def test_examples_of_different_lengths_are_collated() -> None:
    sentences = [(np.arange(length), length % 2) for length in (3, 1, 2, 5)]
    first, second = DataLoader(sentences, batch_size=2, collate=PadCollate(padding_value=-1))
    assert [column.tolist() for column in first] == [[[0, 1, 2], [0, -1, -1]], [3, 1], [1, 1]]
    assert [column.tolist() for column in second] == [[[0, 1, -1, -1, -1], [0, 1, 2, 3, 4]], [2, 5], [0, 1]]


# Prefetching ----------------------------------------------------------------------------------------------------


def test_prefetch_prepares_that_many_batches_ahead_in_a_thread() -> None:
    items = Items(*range(20))
    batches = iter(DataLoader(items, batch_size=2, prefetch=3))
    next(batches)
    deadline = time.monotonic() + 10
    while len(items.asked) < 8 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)  # long enough for more than it should prepare
    assert [index for index, _ in items.asked] == list(range(8))  # the batch in use and three more
    assert all(thread.startswith("clearprop-loader") for _, thread in items.asked)


def test_no_prefetch_asks_for_each_batch_when_it_is_wanted() -> None:
    items = Items(*range(6))
    batches = iter(DataLoader(items, batch_size=2, prefetch=0))
    next(batches)
    assert items.asked == [(0, "MainThread"), (1, "MainThread")]


def test_leaving_a_loop_ends_the_thread() -> None:
    for _ in DataLoader(Items(*range(20)), batch_size=2):
        break
    assert not any(thread.name.startswith("clearprop-loader") for thread in threading.enumerate())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_loop_ends_the_thread(error: type[BaseException]) -> None:
    def loop() -> None:
        for (number,) in DataLoader(Items(*range(20)), batch_size=2):
            if 4 in number.numpy():
                raise error

    with pytest.raises(error):
        loop()
    assert not any(thread.name.startswith("clearprop-loader") for thread in threading.enumerate())


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_error_of_the_dataset_reaches_the_loop(prefetch: int) -> None:
    class Broken(Items):
        def __getitem__(self, index: int) -> Any:
            if index == 3:
                raise ZeroDivisionError
            return super().__getitem__(index)

    seen = []
    with pytest.raises(ZeroDivisionError):
        for (x,) in DataLoader(Broken(*range(6)), batch_size=2, prefetch=prefetch):
            seen.append(x.numpy().tolist())
    assert seen == [[0, 1]]


# Bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", [ArrayDataset(np.zeros((0, 3))), Items()])
def test_an_empty_dataset_is_an_error(dataset: Any) -> None:
    with pytest.raises(DataError, match="the dataset is empty") as caught:
        DataLoader(dataset)
    assert caught.value.hint


def test_no_full_batch_is_an_error() -> None:
    with pytest.raises(DataError, match="with drop_last, 10 examples make no batch of 64"):
        DataLoader(numbers(10), drop_last=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 0},
        {"batch_size": -1},
        {"prefetch": -1},
        {"prefetch": 1.5},
        {"prefetch": None},
        {"transform": 3},
        {"transform": RandomCrop},
        {"collate": PadCollate},
        {"dataset": 3},
    ],
)
def test_impossible_settings_are_errors(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        DataLoader(**{"dataset": numbers(10), **settings})
    assert next(iter(settings)) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("prefetch", [0, 2])
def test_entries_that_are_no_numbers_are_named(prefetch: int) -> None:
    with pytest.raises(DataError, match="entry 1 of the examples has dtype <U3") as caught:
        list(DataLoader(Items((1, "cat"), (2, "dog")), prefetch=prefetch))
    assert caught.value.hint


def test_a_collating_function_that_returns_nothing() -> None:
    with pytest.raises(DataError, match="print returned None"):
        list(DataLoader(numbers(2), collate=print))


@pytest.mark.parametrize("items", [(([1.0], 0), ([1.0, 2.0], 1)), ((1.0, 0), (1.0,))], ids=["shapes", "entries"])
def test_examples_that_do_not_fit_together_are_named(items: tuple[Any, ...]) -> None:
    with pytest.raises(DataError, match=r"examples \[0, 1\] do not make a batch"):
        list(DataLoader(Items(*items)))


def test_a_batch_size_and_a_seed_that_are_no_whole_numbers() -> None:
    dataset = ArrayDataset([[0.0], [1.0]])
    with pytest.raises(UsageError, match=r"batch_size is 1\.5"):
        DataLoader(dataset, batch_size=1.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="seed is 'x'"):
        DataLoader(dataset, seed="x")  # type: ignore[arg-type]

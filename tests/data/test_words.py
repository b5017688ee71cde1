"""Words with those near them: what is near, what is left out, what is drawn, and that a run can be resumed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from clearprop.data import NearWords, WordText
from clearprop.errors import DataError, UsageError

LINE = "the cat and the dog saw the fox under the old oak tree behind the mill "


def text(times: int = 100, min_count: int = 1) -> WordText:
    return WordText(LINE * times, min_count)


def arrays(batch: tuple) -> list[np.ndarray]:
    return [part.numpy() for part in batch]


def test_words_are_found_and_counted() -> None:
    found = WordText("Ay, ay! 'Tis the king's -- the KING’S 2nd über-crown: the end", min_count=1)
    assert dict(zip(found.words, found.counts.tolist(), strict=True)) == {
        "the": 3, "ay": 2, "crown": 1, "end": 1, "king's": 1, "king’s": 1, "nd": 1, "tis": 1, "über": 1,
    }  # fmt: skip
    assert [found.words[token] for token in found.tokens[:4]] == ["ay", "ay", "tis", "the"]


def test_rare_words_are_as_if_they_were_not_there() -> None:
    found = WordText("a b a c b a", min_count=2)
    assert found.words == ("a", "b")
    assert found.tokens.tolist() == [0, 1, 0, 1, 0]


def pairs(batches: NearWords) -> tuple[Counter[tuple[int, int]], np.ndarray]:
    """How often which place of the text is paired with which, told by words that occur once."""
    found: Counter[tuple[int, int]] = Counter()
    others = []
    for batch in batches:
        if batches.architecture == "skip-gram":
            words, drawn, _ = arrays(batch)
            found.update(zip(words.tolist(), drawn[:, 0].tolist(), strict=True))
        else:
            context, starts, drawn, _ = arrays(batch)
            for row, part in zip(drawn, np.split(context, starts[1:]), strict=True):
                found.update((int(row[0]), int(near)) for near in part)
        others.append(drawn[:, 1:])
    return found, np.concatenate(others)


@pytest.mark.parametrize("architecture", ["skip-gram", "cbow"])
def test_near_words_are_near_and_nearer_ones_more_often(architecture: str) -> None:
    words = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(300)]
    source = WordText(" ".join(words), min_count=1)
    place = np.argsort(source.tokens)  # of each word in the text
    batches = NearWords(source, architecture, batch_size=60, window=3, subsample=0)
    apart: Counter[int] = Counter()
    for _ in range(20):
        found, _ = pairs(batches)
        for (one, other), times in found.items():
            apart[min((place[one] - place[other]) % 300, (place[other] - place[one]) % 300)] += times
    assert set(apart) == {1, 2, 3}
    total = 20 * 300 * 2  # both sides
    assert [apart[distance] / total for distance in (1, 2, 3)] == pytest.approx([1.0, 2 / 3, 1 / 3], abs=0.02)


def test_others_are_drawn_by_the_power_of_three_quarters() -> None:
    source = WordText("a " * 800 + "b " * 150 + "c " * 50, min_count=1)
    _, drawn = pairs(NearWords(source, batch_size=100, window=2, negatives=8, subsample=0))
    share = np.bincount(drawn.ravel()) / drawn.size
    expected = np.array([800, 150, 50]) ** 0.75
    np.testing.assert_allclose(share, expected / expected.sum(), atol=0.01)


def test_frequent_words_are_left_out() -> None:
    source = WordText(("the " * 9 + "cat ") * 2000, min_count=1)
    batches = NearWords(source, "cbow", batch_size=50, window=5, subsample=0.01)
    right = np.concatenate([arrays(batch)[2][:, 0] for batch in batches])
    kept = np.sqrt(0.01 / np.array([0.9, 0.1])) + 0.01 / np.array([0.9, 0.1])  # of "the" and of "cat"
    expected = np.array([18000, 2000]) * kept
    assert len(right) == pytest.approx(expected.sum(), abs=150)
    assert np.bincount(right) / len(right) == pytest.approx(expected / expected.sum(), abs=0.03)


@pytest.mark.parametrize("architecture", ["skip-gram", "cbow"])
@pytest.mark.parametrize("done", [2, 8, 11])
def test_a_loader_goes_on_where_another_was(architecture: str, done: int) -> None:
    def loader() -> NearWords:
        return NearWords(text(), architecture, batch_size=10, seed=3)

    whole = loader()
    list(whole)
    expected = [arrays(batch) for batch in whole]
    first = loader()
    list(first)
    loop = iter(first)
    for _ in range(done):
        next(loop)
    again = loader()
    again.load_state_dict(first.state_dict())
    rest = [arrays(batch) for batch in again]
    assert len(rest) == len(expected) - done > 0
    for one, other in zip(rest, expected[done:], strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert (again.epoch, again.position) == (2, 0)


@pytest.mark.parametrize("architecture", ["skip-gram", "cbow"])
def test_no_batch_has_to_be_copied_before_it_is_used(architecture: str) -> None:
    for batch in NearWords(text(), architecture, batch_size=20):
        assert all(part.flags.c_contiguous for part in arrays(batch))


def test_epochs_and_seeds_differ() -> None:
    def first(seed: int, epoch: int) -> list[int]:
        batches = NearWords(text(), batch_size=50, seed=seed)
        batches.epoch = epoch
        return arrays(next(iter(batches)))[1].ravel().tolist()

    assert first(0, 0) == first(0, 0)
    assert first(0, 0) != first(0, 1) != first(1, 0) != first(0, 0)


def test_a_loader_of_another_kind_is_refused() -> None:
    state = NearWords(text(), batch_size=50).state_dict()
    with pytest.raises(DataError, match="window = 5, this loader has 2"):
        NearWords(text(), batch_size=50, window=2).load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"window": 0}, "window=0"), ({"negatives": 0}, "negatives=0"), ({"batch_size": 51}, "no multiple of window=5"),
        ({"subsample": -1.0}, "subsample=-1"), ({"architecture": "glove"}, "architecture='glove'"),
        ({"seed": "x"}, "seed"),
    ],
)  # fmt: skip
def test_settings_that_make_no_batches(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        NearWords(text(), **{"batch_size": 50} | arguments)


def test_texts_that_make_no_batches() -> None:
    with pytest.raises(DataError, match="of 2 words of the text 0 occur 5 times"):
        WordText("too short")
    with pytest.raises(DataError, match="make no batch of 1000"):
        NearWords(text(1), batch_size=1000)

"""Random numbers of examples: they depend on seed, epoch and position alone, and are distributed as they should be."""

from __future__ import annotations

import numpy as np
import pytest

from clearprop.data import Draws


@pytest.mark.parametrize("cut", [1, 3, 9])
def test_the_numbers_of_an_example_do_not_depend_on_the_others(cut: int) -> None:
    whole = Draws(10, seed=3, epoch=2)
    parts = Draws(cut, seed=3, epoch=2), Draws(10 - cut, seed=3, epoch=2, start=cut)
    for _ in range(6):  # more than one block of four words
        np.testing.assert_array_equal(whole.words(), np.concatenate([part.words() for part in parts]))


def test_seed_epoch_and_turn_give_other_numbers() -> None:
    first = Draws(100).uniform()
    again = Draws(100)
    np.testing.assert_array_equal(again.uniform(), first)
    others = [
        again.uniform(),
        Draws(100, seed=1).uniform(),
        Draws(100, epoch=1).uniform(),
        Draws(100, seed=-1).uniform(),
    ]
    for other in others:
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.35


def test_the_numbers_are_the_same_for_ever() -> None:
    # Written down once: with others, a run saved by an older version would not resume exactly.
    draws = Draws(4, seed=7, epoch=1, start=5)
    assert draws.integers(0, 1000).tolist() == [378, 236, 371, 937]
    assert draws.order().tolist() == [2, 0, 3, 1]


def test_uniform_and_whole_numbers_are_equally_likely() -> None:
    draws = Draws(20_000, seed=5)
    uniform = draws.uniform(2.0, 4.0)
    assert 2.0 <= uniform.min() < 2.001
    assert 3.999 < uniform.max() < 4.0
    assert uniform.mean() == pytest.approx(3.0, abs=0.02)
    counts = np.bincount(draws.integers(-3, 4) + 3, minlength=7)
    assert counts.sum() == 20_000
    assert np.abs(counts - 20_000 / 7).max() < 5 * (20_000 / 7) ** 0.5


def test_an_order_is_a_permutation() -> None:
    assert sorted(Draws(50).order()) == list(range(50))

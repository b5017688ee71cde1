"""Writing: what temperature and top-k do, what seeds fix, and what is refused."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.errors import DataError, NotFiniteError, UsageError
from clearprop.models import GPT, CharRNN, chances, sample, stream
from clearprop.random import Generator


class Counting(nn.Module):
    """A network that expects the next number, circling; and remembers what it was told since it began."""

    def __init__(self, vocabulary: int, memory: int | None, sure: float = 50.0) -> None:
        self.vocabulary, self.memory, self.sure = vocabulary, memory, sure

    def start(self) -> tuple[cp.Tensor, ...]:
        return (cp.asarray(0),)

    def step(self, token: cp.Tensor, state: tuple[cp.Tensor, ...]) -> tuple[cp.Tensor, tuple[cp.Tensor, ...]]:
        following = (token + 1) % self.vocabulary
        return cp.where(cp.arange(self.vocabulary) == following, self.sure, 0.0), (state[0] + 1,)


def likeliest(model: GPT, tokens: list[int]) -> int:
    return int(model(np.array([tokens])).numpy()[0, :, -1].argmax())


def test_it_goes_on_with_what_it_was_given() -> None:
    assert sample(Counting(5, None), [1, 2], length=7).tolist() == [3, 4, 0, 1, 2, 3, 4]


def test_a_full_memory_forgets_its_first_half() -> None:
    """A GPT reads on in windows that are between half full and full: written out here with the whole network."""
    cp.random.seed(1)
    model = GPT(vocabulary=9, context=6, width=16, heads=2, layers=2).eval()
    for parameter in model.parameters():
        parameter.assign(parameter.value * 20.0)  # scores far apart: no rounding decides
    read, expected = [4, 2], []
    for _ in range(20):
        expected.append(likeliest(model, read))
        if len(read) == 6:
            read = read[3:]
        read.append(expected[-1])
    assert sample(model, [4, 2], 20, top_k=1).tolist() == expected


@pytest.mark.parametrize("model", [CharRNN(7, 8), CharRNN(7, 8, 2, "gru"), GPT(7, 4, 8, 2, 1)])
def test_seeds_decide(model: nn.Module) -> None:
    def written(seed: int) -> list[int]:
        return sample(model, [0], 30, generator=Generator(seed)).tolist()

    assert written(3) == written(3) != written(4)


def test_dropout_is_off_and_the_mode_stays() -> None:
    model = CharRNN(7, 8, dropout=0.9).train()
    one, other = (sample(model, [0], 40, top_k=1).tolist() for _ in range(2))
    assert one == other
    assert model.training


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    written = sample(Counting(4, None, sure=np.log(5.0)), [0], 2000, generator=Generator(0))
    steps = np.diff([0, *written]) % 4
    shares = [np.mean(steps == step) for step in (1, 2, 3, 0)]
    np.testing.assert_allclose(shares, np.array([5, 1, 1, 1]) / 8, atol=0.03)  # e^ln 5 against three of e^0


def test_a_stream_writes_what_sample_writes() -> None:
    model = CharRNN(7, 8)
    streamed = islice(stream(model, [0], 0.7, 3, Generator(5)), 20)
    assert list(streamed) == sample(model, [0], 20, 0.7, 3, Generator(5)).tolist()


def test_temperature_and_top_k() -> None:
    scores = np.log([0.5, 0.3, 0.2])
    np.testing.assert_allclose(chances(scores), [0.5, 0.3, 0.2])
    np.testing.assert_allclose(chances(scores, temperature=0.5), np.array([25, 9, 4]) / 38)
    np.testing.assert_allclose(chances(scores, top_k=2), [0.625, 0.375, 0.0])
    np.testing.assert_allclose(chances(scores, top_k=3), [0.5, 0.3, 0.2])
    np.testing.assert_allclose(chances(scores, temperature=1e-3), [1.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_array_equal(chances(scores, temperature=1e-308), [1.0, 0.0, 0.0])
    np.testing.assert_allclose(chances([900.0, 900.0, -900.0]), [0.5, 0.5, 0.0])
    np.testing.assert_allclose(chances(np.stack([scores, scores[::-1]]), top_k=1), [[1, 0, 0], [0, 0, 1]])


def test_nothing_to_write() -> None:
    assert sample(Counting(3, None), [0], 0).shape == (0,)


@pytest.mark.parametrize(
    ("tokens", "says"),
    [([], "no tokens to begin with"), ([0, 3], "the token 3 at index 1"), ([-1], "the token -1"), ([0.5], "float64"),
     ([[0]], r"shape \(1, 1\)")],
)  # fmt: skip
def test_prompts_that_are_none(tokens: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        sample(Counting(3, None), tokens, 5)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"temperature": 0.0}, "temperature=0"), ({"temperature": -1}, "temperature=-1"), ({"top_k": 0}, "top_k=0"),
     ({"temperature": float("nan")}, "temperature=nan"), ({"length": -1}, "length=-1")],
)  # fmt: skip
def test_settings_that_choose_nothing(arguments: dict[str, float], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        sample(Counting(3, None), [0], **{"length": 5} | arguments)


def test_a_network_that_cannot_write() -> None:
    with pytest.raises(UsageError, match="a Linear cannot write"):
        sample(nn.Linear(2, 2), [0], 5)


def test_scores_that_are_no_numbers() -> None:
    with pytest.raises(NotFiniteError, match="a score is nan"):
        sample(Counting(3, None, sure=float("nan")), [0], 5)

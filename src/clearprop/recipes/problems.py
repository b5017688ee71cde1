"""Problems whose question and answer are texts of digits: reversing, and adding.

Which of them are put aside to test with depends on the problem alone, so none of those is ever trained on, whatever the
seed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from clearprop.data import ArrayDataset
from clearprop.errors import DataError
from clearprop.recipes.tasks import Drawn

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Random: TypeAlias = np.random.Generator

ALPHABET = "_<>0123456789+"
"""The characters by their numbers. The first three are no characters of texts: padding, beginning, end."""
PADDING, BEGIN, END = range(3)
_ONE_IN = 10
_IN_VAIN = 2000  # draws in a row that find no other problem: then there is none, or hardly one


class Problem(NamedTuple):
    """A question and its answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Args:
        draw: makes a problem.
        question, answer: the most characters that they have.
    """

    draw: Callable[[Random], Problem]
    question: int
    answer: int

    def training(self, examples: int, seed: int) -> Drawn:
        """Problems to train with: each the question, the answer behind `BEGIN`, and the answer before `END`."""
        return Drawn(self._example, examples, seed)

    def test(self, count: int, seed: int) -> list[Problem]:
        """Different problems of those that are put aside: so many, or all that there are.

        Raises:
            DataError: none is put aside.
        """
        random = np.random.Generator(np.random.Philox(key=[seed, 2**63]))
        found: set[Problem] = set()
        in_vain = 0
        while len(found) < count and in_vain < _IN_VAIN:
            problem = self.draw(random)
            in_vain = 0 if put_aside(problem) and problem not in found else in_vain + 1
            if not in_vain:
                found.add(problem)
        if not found:
            raise DataError("of so small problems none is put aside to test with", hint="more digits")
        return sorted(
            found, key=lambda problem: zlib.crc32(problem.question.encode())
        )  # in no order that says anything

    def dataset(self, problems: list[Problem]) -> ArrayDataset:
        """Problems as arrays, see `training`."""
        return ArrayDataset(*(np.stack(column) for column in zip(*map(self.encoded, problems), strict=True)))

    def encoded(self, problem: Problem) -> tuple[Array, Array, Array]:
        """(question,), (answer + 1,) and (answer + 1,) numbers of characters, with padding behind."""
        answer = encode(problem.answer, self.answer)
        begun = np.concatenate([[BEGIN], answer])
        ended = np.concatenate([answer, [PADDING]])
        ended[len(problem.answer)] = END
        return encode(problem.question, self.question), begun, ended

    def _example(self, random: Random) -> tuple[Array, Array, Array]:
        return self.encoded(self._drawn(random, aside=False))

    def _drawn(self, random: Random, *, aside: bool) -> Problem:
        while True:
            problem = self.draw(random)
            if put_aside(problem) == aside:
                return problem


def _number(problem: Problem) -> int:
    """A number that depends on the problem alone; of a + b and b + a it is the same."""
    return zlib.crc32("+".join(sorted(problem.question.split("+"))).encode())


def put_aside(problem: Problem) -> bool:
    """Whether a problem is one of the tenth that is tested with; a + b and b + a are one problem."""
    return _number(problem) % _ONE_IN == 0


def encode(text: str, length: int) -> Array:
    """The numbers of the characters of a text, with padding behind: int64 (length,).

    >>> encode("12+3", 6)
    array([ 4,  5, 13,  6,  0,  0])

    Raises:
        DataError: a character that is no digit and no plus, no character at all, or too many.
    """
    strange = next((character for character in text if character not in ALPHABET[END + 1 :]), None)
    if strange is not None:
        raise DataError(f"{text!r} holds {strange!r}", hint=f"the characters {ALPHABET[END + 1 :]}")
    if not 1 <= len(text) <= length:
        raise DataError(f"{text!r} has {len(text)} characters", hint=f"1 to {length} of them")
    numbers = [ALPHABET.index(character) for character in text]
    return np.array(numbers + [PADDING] * (length - len(text)))


def decode(numbers: Any) -> str:
    """The text of numbers, up to the first `END` or `PADDING`.

    >>> decode([4, 5, 6, 2, 0])
    '123'
    """
    text = ""
    for number in numbers:
        if number in (PADDING, END):
            break
        text += ALPHABET[number]
    return text


def _reversing(longest: int, random: Random) -> Problem:
    digits = "".join(map(str, random.integers(0, 10, random.integers(1, longest + 1))))
    return Problem(digits, digits[::-1])


def _adding(digits: int, random: Random) -> Problem:
    lengths = random.integers(1, digits + 1, 2)
    a, b = (int(random.integers(10 ** (n - 1) if n > 1 else 0, 10**n)) for n in lengths)
    return Problem(f"{a}+{b}", str(a + b))


def kind(name: str, digits: int) -> Kind:
    """Strings of up to so many digits to reverse, or numbers of up to so many digits to add."""
    if name == "reverse":
        return Kind(partial(_reversing, digits), digits, digits)
    return Kind(partial(_adding, digits), 2 * digits + 1, digits + 1)

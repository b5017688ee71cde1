"""Problems whose question and answer are texts of digits: reversing, and adding.

Which of them are put aside to test with depends on the problem alone, so none of those is ever trained on, whatever the
seed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
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

    def put_aside(self, part: str, count: int) -> list[Problem]:
        """Different problems to validate or to test with: so many, or all that there are.

        Raises:
            DataError: there is none.
        """
        random = np.random.Generator(np.random.Philox(key=[0, 2**63]))
        found: set[Problem] = set()
        in_vain = 0
        while len(found) < count and in_vain < _IN_VAIN:
            problem = self.draw(random)
            in_vain = 0 if part_of(problem) == part and problem not in found else in_vain + 1
            if not in_vain:
                found.add(problem)
        if not found:
            raise DataError(f"of so small problems none is put aside: there is no {part}", hint="more digits")
        return sorted(found, key=lambda problem: zlib.crc32(problem.question[::-1].encode()))  # in no telling order

    def dataset(self, problems: Sequence[Problem]) -> ArrayDataset:
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
        while True:
            problem = self.draw(random)
            if part_of(problem) == "training":
                return self.encoded(problem)


def part_of(problem: Problem) -> str:
    """What a problem is for: "training", "validation" (one in 20), "test" (one in 10); a + b and b + a are one problem.

    >>> [part_of(Problem(*texts)) for texts in (("4+12", "16"), ("5+12", "17"), ("6+12", "18"), ("12+6", "18"))]
    ['training', 'validation', 'test', 'test']
    """
    name = "+".join(sorted(problem.question.split("+")))
    return {0: "validation", 1: "test", 2: "test"}.get(zlib.crc32(name.encode()) % 20, "training")


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

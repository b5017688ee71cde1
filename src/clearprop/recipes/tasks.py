"""Examples without end: each is drawn when it is asked for, from the seed and its own number alone.

So no file is needed, and a training that is resumed sees the examples that it would have seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from clearprop.arguments import is_whole, whole
from clearprop.data.batches import no_such_example

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Example: TypeAlias = tuple[Array, ...]


class Drawn:
    """A dataset whose examples a function draws.

    Args:
        draw: makes an example of a source of random numbers; all of equal shapes.
        examples: how many there are.
        seed: of all of them; other seeds give others.

    >>> dice = Drawn(lambda random: (random.integers(1, 7, 2), random.integers(1, 7)), examples=1000, seed=0)
    >>> len(dice), [column.shape for column in dice.examples_at(np.arange(5))]
    (1000, [(5, 2), (5,)])
    >>> all((dice[3][0] == dice.examples_at(np.array([7, 3]))[0][1]).tolist())
    True
    """

    def __init__(self, draw: Callable[[np.random.Generator], Example], examples: int, seed: int) -> None:
        self._draw, self._examples, self._seed = draw, whole("Drawn", "examples", examples), seed

    def __len__(self) -> int:
        return self._examples

    def __getitem__(self, index: int) -> Example:
        """Example `index`."""
        if not is_whole(index) or not -len(self) <= index < len(self):
            raise no_such_example(self, index)
        # Philox: a key for each example, and numbers that stay the same in all versions of NumPy (NEP 19).
        return self._draw(np.random.Generator(np.random.Philox(key=[self._seed, int(index) % len(self)])))

    def examples_at(self, indices: Array) -> Example:
        """Several of them, as columns."""
        return tuple(np.stack(column) for column in zip(*(self[int(index)] for index in indices), strict=True))

"""Whether a job is done faster by all threads or by one alone.

On a machine that others use, too, threads that meet hundreds of times in a step wait for each other: if one of them has
no processor at the moment, none gets on. What is computed does not depend on how many there are; so both ways can be
tried from time to time, and the faster one taken.
"""

from __future__ import annotations

_AT_FIRST = 8
_AT_MOST = 256
"""After so many runs the slower way is tried again; twice as many each time that it is slower still."""
_NEW = 0.3
"""The weight of the latest time among all."""


class Pace:
    """How long a job takes in both ways.

    >>> pace = Pace()
    >>> for seconds in (9.0, 1.0, 2.0, 1.0):  # the first time is not typical
    ...     together = pace.together()
    ...     pace.took(seconds)
    ...     print(together, seconds)
    True 9.0
    True 1.0
    False 2.0
    True 1.0
    """

    def __init__(self) -> None:
        self._seconds: dict[bool, float] = {}
        self._together = True  # the way of this run
        self._runs = 0
        self._until, self._interval = 2, _AT_FIRST  # when the other way is tried, and how long it takes from there

    def together(self) -> bool:
        """The way to do it this time."""
        self._runs += 1
        faster = self._faster()
        self._together = faster
        if self._runs > self._until:
            self._until = self._runs + self._interval
            self._together = not faster
        return self._together

    def took(self, seconds: float) -> None:
        """Note how long it took."""
        if self._runs == 1:
            return
        before, way = self._faster(), self._together
        known = self._seconds.get(way, seconds)
        self._seconds[way] = min(seconds, known + _NEW * (seconds - known))  # an interruption says little
        if way != before:  # the other way has been tried
            same = self._faster() == before
            self._interval = min(2 * self._interval, _AT_MOST) if same else _AT_FIRST
            self._until = self._runs + self._interval

    def _faster(self) -> bool:
        if len(self._seconds) < 2:
            return True
        return self._seconds[True] <= self._seconds[False]

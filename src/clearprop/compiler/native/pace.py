"""Whether a job is done faster by all threads or by one alone.

On a machine that others use, too, threads that meet hundreds of times in a step wait for each other: if one of them has
no processor at the moment, none gets on. What is computed does not depend on how many there are; so both ways can be
tried, and the faster one taken: when a job takes longer than it has taken before, and now and then.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

_TRIED = 3
"""So many runs in a row say how fast a way is."""
_EARLY, _AT_FIRST, _AT_MOST = 4, 64, 1024
"""After so many runs of all threads one alone is tried: early, since the others may be slowed down from the beginning;
then after many more, and twice as many each time that it is slower still."""
_ALONE = 32
"""After so many runs of one alone all are tried: it is faster only as long as others need the processors."""
_SLOW, _SOON = 1.5, 16
"""So many times as long as at best is suspicious; so many runs at least are between two trials."""


class Pace:
    """How long a job takes in both ways.

    >>> pace = Pace()
    >>> ways = []
    >>> for _ in range(70):
    ...     ways.append(pace.together())
    ...     pace.took(1.0 if ways[-1] else 2.0)
    >>> ways.index(False), ways.count(False)
    (5, 3)
    """

    def __init__(self) -> None:
        self._seconds: dict[bool, deque[float]] = {way: deque(maxlen=5) for way in (True, False)}
        self._faster = self._way = True
        self._left, self._interval = _EARLY, _AT_FIRST // 2
        self._best, self._since = math.inf, 0
        self._is_new = True

    def together(self) -> bool:
        """The way to do it this time."""
        return self._way

    def took(self, seconds: float) -> None:
        """Note how long it took."""
        if self._is_new:  # the first time is not typical
            self._is_new = False
            return
        self._seconds[self._way].append(seconds)
        if self._way:
            self._best = min(self._best, seconds)
        self._left -= 1
        self._since += 1
        if self._way is not self._faster:
            if self._left == 0:
                self._decide()
        elif self._left <= 0 or self._is_suspicious():
            self._way, self._left = not self._way, _TRIED
            self._seconds[self._way].clear()

    def _is_suspicious(self) -> bool:
        """Whether all threads take much longer than they did."""
        return self._way and self._since >= _SOON and median(self._seconds[True]) > _SLOW * self._best

    def _decide(self) -> None:
        """The faster way, now that both have been tried."""
        is_faster = median(self._seconds[True]) <= median(self._seconds[False])
        if is_faster:
            self._interval = min(2 * self._interval, _AT_MOST) if self._faster else _AT_FIRST
        self._faster = self._way = is_faster
        self._left, self._since = self._interval if is_faster else _ALONE, 0

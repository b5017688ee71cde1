"""Work done ahead of the one who waits for it, in threads, with the results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def computed_ahead(
    function: Callable[[T], R], items: Iterable[T], ahead: int, *, workers: int = 1, name: str = "clearprop"
) -> Iterator[R]:
    """``map(function, items)``, with up to `ahead` results computed before they are asked for.

    `items` are taken one after the other in the thread of the caller, and so are errors of `function` raised. When the
    iteration is left, whichever way, what is not yet begun is dropped and the threads end.

    Args:
        ahead: 0 to compute each result when it is wanted, without a thread.
        workers: how many threads.
        name: what their names begin with.

    >>> list(computed_ahead(abs, [-1, 2, -3], ahead=2))
    [1, 2, 3]
    """
    if ahead == 0:
        yield from map(function, items)
        return
    left = iter(items)
    threads = ThreadPoolExecutor(max_workers=workers, thread_name_prefix=name)
    try:
        pending = deque(threads.submit(function, item) for item in islice(left, ahead))
        while pending:
            coming = pending.popleft()
            pending.extend(threads.submit(function, item) for item in islice(left, 1))
            yield coming.result()
    finally:
        threads.shutdown(cancel_futures=True)

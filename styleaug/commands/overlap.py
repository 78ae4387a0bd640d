"""Files are read ahead and written behind by threads while the stylizer works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads; what has not begun when an error comes is left undone."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def read_ahead(
    pool: ThreadPoolExecutor,
    read: Callable[[Item], Result],
    items: Iterable[Item],
    ahead: int,
) -> Iterator[tuple[Item, Future[Result]]]:
    """Return all items in order with what was read of them, at most ``ahead`` in advance."""
    left = iter(items)
    begun = deque((item, pool.submit(read, item)) for item in islice(left, ahead))
    while begun:
        item, future = begun.popleft()
        begun.extend((more, pool.submit(read, more)) for more in islice(left, 1))
        yield item, future


class WriteBehind:
    """Hands writes to threads, and waits where too many are on their way.

    Args:
        pool: The threads.
        most: How many may be waiting or being written.
    """

    def __init__(self, pool: ThreadPoolExecutor, most: int) -> None:
        self.pool, self.most = pool, most
        self.begun: deque[Future[Any]] = deque()

    def submit(self, write: Callable[..., object], *arguments: Any) -> None:
        """Begin to write; raises what a write before this one raised."""
        self.begun.append(self.pool.submit(write, *arguments))
        self.finish(self.most)

    def finish(self, left: int = 0) -> None:
        """Wait until so many are left; raises what one of them raised."""
        while len(self.begun) > left:
            self.begun.popleft().result()

"""Threads that read files ahead and write results while the stylizer works."""

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
    """Yield a pool of threads; after an error, tasks that have not begun are cancelled."""
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
    """Yield all items in order with their loaded contents, loading at most ``ahead`` in advance."""
    left = iter(items)
    begun = deque((item, pool.submit(read, item)) for item in islice(left, ahead))
    while begun:
        item, future = begun.popleft()
        begun.extend((more, pool.submit(read, more)) for more in islice(left, 1))
        yield item, future


class WriteBehind:
    """Passes writes to threads, and waits if too many are pending.

    Args:
        pool: The threads.
        most: Largest number of pending writes.
    """

    def __init__(self, pool: ThreadPoolExecutor, most: int) -> None:
        self.pool, self.most = pool, most
        self.begun: deque[Future[Any]] = deque()

    def submit(self, write: Callable[..., object], *arguments: Any) -> None:
        """Start a write; raises the error of an earlier write, if any."""
        self.begun.append(self.pool.submit(write, *arguments))
        self.finish(self.most)

    def finish(self, left: int = 0) -> None:
        """Wait until at most ``left`` writes are pending; raises the error of a write, if any."""
        while len(self.begun) > left:
            self.begun.popleft().result()

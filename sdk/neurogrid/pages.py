# Made from aio/pages.py by scripts/unasync.py: change that one, and run it.
"""All of a list that is answered in pages, one after the other."""

from collections.abc import Callable, Generator, Iterator
from typing import Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)

# So many that were handed out are remembered, to know those that move to a later page.
_REMEMBERED = 10_000


class Item(Protocol):
    """Something with an id."""

    @property
    def id(self) -> str:
        """Its id."""


T = TypeVar("T", bound=Item)


class Page(Protocol[T_co]):
    """Some of a list, and how many there are in all."""

    @property
    def total(self) -> int:
        """How many there are in all."""

    def __iter__(self) -> Iterator[T_co]:
        """Those of this page."""


def each(ask: Callable[..., Page[T]], page_size: int) -> Generator[T]:
    """Everything that ``ask(limit=..., offset=...)`` has, each once, a page at a time.

    What is added meanwhile moves others on, which are known again by their ``id``; what is deleted moves others back, which
    are asked for again. So all that is there from beginning to end comes, and comes once.

    Raises:
        ValueError: the size of a page is none.
    """
    if page_size < 1:
        raise ValueError(f"a page has at least one, and not {page_size}")
    seen: dict[str, None] = {}
    offset, total = 0, 0
    while True:
        page = ask(limit=page_size, offset=offset)
        found = list(page)
        if page.total < total and offset:
            # Some before this page are gone, and as many from its place have moved to pages that were read.
            offset = max(0, offset - (total - page.total))
            total = page.total
            continue
        total = page.total
        for item in found:
            if item.id in seen:
                continue
            seen[item.id] = None
            if len(seen) > _REMEMBERED:
                del seen[next(iter(seen))]
            yield item
        offset += len(found)
        if not found or offset >= total:
            return

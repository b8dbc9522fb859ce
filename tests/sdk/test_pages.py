"""A list that is answered in pages comes whole and once, whatever happens to it meanwhile."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from neurogrid.pages import each


@dataclass(frozen=True)
class Item:
    id: str


@dataclass
class Page:
    items: list[Item]
    total: int

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)


@dataclass
class Listing:
    """Newest first, as the coordinator has lists; ``meanwhile`` happens to it after each page."""

    names: list[str]
    meanwhile: Callable[[list[str]], object] = lambda names: None
    asked: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, *, limit: int, offset: int) -> Page:
        self.asked.append((limit, offset))
        found = Page([Item(name) for name in self.names[offset : offset + limit]], len(self.names))
        self.meanwhile(self.names)
        return found


def walked(listing: Listing, page_size: int) -> list[str]:
    return [item.id for item in each(listing, page_size)]


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 100])
def test_all_come_in_their_order(page_size: int) -> None:
    listing = Listing(list("abcdefg"))
    assert walked(listing, page_size) == list("abcdefg")
    assert len(listing.asked) == -(-7 // page_size), "and nobody asks for a page that is not there"


def test_an_empty_list_is_asked_for_once() -> None:
    listing = Listing([])
    assert walked(listing, 10) == []
    assert listing.asked == [(10, 0)]


def test_what_is_added_moves_nothing_twice() -> None:
    left = iter(range(4))

    def add(names: list[str]) -> None:
        if (number := next(left, None)) is not None:
            names.insert(0, f"new {number}")

    assert walked(Listing(list("abcdefg"), add), 2) == list("abcdefg")


def test_what_is_deleted_hides_nothing_that_stays() -> None:
    left = iter("acb")

    def delete(names: list[str]) -> None:
        if (name := next(left, None)) is not None:
            names.remove(name)

    assert set(walked(Listing(list("abcdefg"), delete), 2)) >= set("defg")


def test_nothing_is_asked_for_before_it_is_wanted() -> None:
    listing = Listing(list("abcdefg"))
    items = each(listing, 2)
    assert listing.asked == []
    assert next(items).id == "a"
    assert listing.asked == [(2, 0)]
    items.close()


def test_a_page_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        walked(Listing(["a"]), 0)

"""What every page of a list can do: be iterated, and tell how many it has."""

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Listed(Generic[T]):
    """A page, whose first field is the list."""

    __slots__ = ()
    __struct_fields__: tuple[str, ...]

    def __iter__(self) -> Iterator[T]:
        return iter(getattr(self, self.__struct_fields__[0]))

    def __len__(self) -> int:
        return len(getattr(self, self.__struct_fields__[0]))

"""Which words a field of a request may have: what msgspec leaves out where it says that another one may not."""

import re
from collections.abc import Iterator

from msgspec import inspect

_PART = re.compile(r"\[(?P<index>[^\]]*)\]|(?P<name>[^.\[\]]+)")


def choices(kind: type, path: str) -> list[str]:
    """The words that may stand at a place of what is decoded as ``kind``; none where any may.

    Args:
        path: as msgspec says it, without ``$``: ``tasks[3].options.level``; ``[...]`` is a value of an object.
    """
    places = [inspect.type_info(kind)]
    for part in _PART.finditer(path):
        inner = (each for place in places for each in _plain(place))
        places = [below for each in inner for below in _below(each, part["name"])]
    return [word for place in places for each in _plain(place) for word in _words(each)]


def _plain(kind: inspect.Type) -> Iterator[inspect.Type]:
    """Each type of a union, without what is written beside it."""
    match kind:
        case inspect.Metadata():
            yield from _plain(kind.type)
        case inspect.UnionType():
            for each in kind.types:
                yield from _plain(each)
        case _:
            yield kind


def _below(kind: inspect.Type, name: str | None) -> list[inspect.Type]:
    """What stands in a field of this name, or in a place of a list or of an object of any names."""
    match kind:
        case inspect.StructType() if name is not None:
            return [field.type for field in kind.fields if field.encode_name == name]
        case inspect.CollectionType() if name is None:
            return [kind.item_type]
        case inspect.DictType() if name is None:
            return [kind.value_type]
    return []


def _words(kind: inspect.Type) -> list[str]:
    match kind:
        case inspect.EnumType():
            return [str(each.value) for each in kind.cls]
        case inspect.LiteralType():
            return [str(each) for each in kind.values]
    return []

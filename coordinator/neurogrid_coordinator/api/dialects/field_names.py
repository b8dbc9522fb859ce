"""Refusals of services in the words of the document that a request is from."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ...services.errors import Refused

_IN_A_LIST = re.compile(r"^(?P<place>[A-Za-z_]+\[[0-9]+\]\.)?(?P<name>.*)\Z", re.DOTALL)


@contextmanager
def naming(names: Mapping[str, str]) -> Iterator[None]:
    """Have what is refused here name the document's fields.

    Args:
        names: a native field's path -> the document's, both without the place in a list (``tasks[3].``).

    Raises:
        Refused: as it came, but for the name.
    """
    try:
        yield
    except Refused as error:
        field = error.details.get("field")
        renamed = _renamed(field, names) if isinstance(field, str) else None
        if renamed is not None:
            # The words begin with the field, or with what it is a part of.
            head, colon, rest = error.message.partition(": ")
            if colon and str(field).startswith(head):
                error.message = f"{renamed}: {rest}"
            error.details["field"] = renamed
            error.args = (error.message,)
        raise


def _renamed(field: str, names: Mapping[str, str]) -> str | None:
    """The document's name; None where it has none of its own."""
    if field in names:
        return names[field]
    found = _IN_A_LIST.match(field)
    if found is None or found["name"] not in names:
        return None
    return f"{found['place'] or ''}{names[found['name']]}"

"""Whether an answer has every field that a document prints, each of the type that it prints. Pure.

More fields than the document has are no difference: clients pass over what they don't know.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

# Printed where a document leaves an object's content open: {...}.
ANY_OBJECT: dict[str, Any] = {}


def differences(
    printed: object,
    answer: object,
    words: Mapping[str, tuple[object, ...]],
    filled: tuple[str, ...] = (),
    path: str = "",
) -> Iterator[str]:
    """Everything in which an answer differs from what is printed.

    Args:
        words: path -> what the document says may stand there.
        filled: paths of lists that must not be empty, because the document shows what is in them.
    """
    where = path or "the answer"
    match printed:
        case dict():
            if not isinstance(answer, dict):
                yield f"{where}: {_kind(answer)}, where the document has an object"
                return
            for name, value in printed.items():
                below = f"{path}.{name}" if path else name
                if name not in answer:
                    yield f"{below}: is missing"
                else:
                    yield from differences(value, answer[name], words, filled, below)
        case list():
            if not isinstance(answer, list):
                yield f"{where}: {_kind(answer)}, where the document has a list"
                return
            if path in filled and not answer:
                yield f"{where}: is empty, where the document shows what is in it"
            for index, element in enumerate(answer):
                below = f"{path}[]"
                for one in differences(
                    printed[0] if printed else None, element, words, filled, below
                ):
                    yield f"{one} (number {index})"
        case None:
            return
        case _:
            wanted, found = _kind(printed), _kind(answer)
            if found != wanted and (wanted, found) != ("a number", "a whole number"):
                yield f"{where}: {found}, where the document has {wanted}"
            elif path in words and answer not in words[path]:
                yield f"{where}: {answer!r}, where the document knows {', '.join(map(str, words[path]))}"


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "a time" if _is_time(value) else "a text"
        case None:
            return "null"
        case list():
            return "a list"
        case _:
            return "an object"


def _is_time(text: str) -> bool:
    """Whether it is a UTC time as the documents print them, to any fraction of a second."""
    if not text.endswith("Z") or "T" not in text:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True

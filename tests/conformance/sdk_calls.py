"""Makes the SDK calls that a document prints, word by word, and says in what each differs from the document."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx

import neurogrid
from conformance.asking import Outcome

_PATIENCE_S = 120.0
_AGAIN_S = 0.2
_SHOWN_CHARS = 300
_NAME = re.compile(r"\b(?:client|provider)(?:\.\w+)+")


@dataclass(frozen=True)
class Call:
    """A call as a document prints it.

    Attributes:
        code: Python, word by word. What it assigns, later ones have, too.
        apart: texts of it -> what stands in their place: names, and what a small market can do. ``{image}`` is
            the image of jobs.
        first, then: of our own, before and after it.
        shows: expressions over what it has assigned, which hold; ``printed`` is what it has printed.
        needs: a name that has to be there, and not None; else it is not asked, because of ``awaits``.
        may_raise: the name of what it may raise instead, where the document prints an error for it.
    """

    code: str
    apart: Mapping[str, str] = field(default_factory=dict)
    first: str = ""
    then: str = ""
    shows: Sequence[str] = ()
    needs: str = ""
    awaits: str = ""
    may_raise: str = ""


@dataclass(frozen=True)
class SdkDocument:
    """All calls that one document prints.

    Attributes:
        number: as the project counts its documents.
        made: what they are made of: the coordinator's URL and the key -> names.
    """

    number: str
    name: str
    calls: Sequence[Call]
    made: Callable[[str, str], AbstractContextManager[Mapping[str, Any]]]


def ask_calls(document: SdkDocument, url: str, key: str, image: str) -> Iterator[Outcome]:
    """The outcome of each call, as it comes.

    Args:
        url: of the coordinator.
        image: that small jobs run in; it has a shell.
    """
    with document.made(url, key) as made:
        printed: list[str] = []
        names: dict[str, Any] = {
            **made,
            "neurogrid": neurogrid,
            "until": _until,
            "rate_limits": lambda: _rate_limits(url, key),
            "image": image,
            "printed": printed,
            "print": lambda text: printed.append(str(text)),
        }
        for call in document.calls:
            asked = _NAME.search(call.code)
            label = asked.group() if asked else call.code.strip().splitlines()[0]
            if call.needs and names.get(call.needs) is None:
                yield Outcome(label, awaits=call.awaits)
                continue
            printed.clear()
            yield Outcome(label, tuple(_made(call, names, image)))


def _made(call: Call, names: dict[str, Any], image: str) -> Iterator[str]:
    code = call.code
    for text, other in call.apart.items():
        assert text in code, f"{text!r} is not what is printed"
        code = code.replace(text, other.replace("{image}", image))
    try:
        _run(call.first, names)
        _run(code, names)
    except neurogrid.NeuroGridError as error:
        if type(error).__name__ != call.may_raise:
            yield f"{type(error).__name__}: {str(error)[:_SHOWN_CHARS]}"
        return
    except (AttributeError, TypeError, LookupError, TimeoutError) as error:
        yield f"{type(error).__name__}: {str(error)[:_SHOWN_CHARS]}"
        return
    for expression in call.shows:
        try:
            holds = eval(expression, names)
        except (AttributeError, TypeError, LookupError, ArithmeticError, ValueError) as error:
            yield f"{expression}: {type(error).__name__}: {error}"
            continue
        if not holds:
            yield f"{expression}: does not hold"
    _run(call.then, names)


def _run(code: str, names: dict[str, Any]) -> None:
    # A document's own words, and ours.
    exec(code, names)  # noqa: S102 - to make them word by word is what this is for


def _until(condition: Callable[[], Any]) -> Any:
    """The condition's first true value.

    Raises:
        TimeoutError: it has none in time.
    """
    over_s = time.monotonic() + _PATIENCE_S
    while not (value := condition()):
        if time.monotonic() > over_s:
            raise TimeoutError(f"not within {_PATIENCE_S:g} s")
        time.sleep(_AGAIN_S)
    return value


def _rate_limits(url: str, key: str) -> dict[str, str]:
    """An answer's headers about how much may be asked; none where there is no limit."""
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.get(f"{url}/api/v1/tasks", headers=headers, params={"limit": 1})
    return {
        name: value
        for name, value in answer.headers.items()
        if name.lower().startswith("x-ratelimit-")
    }

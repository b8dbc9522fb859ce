"""Makes the SDK calls that a document prints, word by word, and says in what each differs from the document."""

import ast
import inspect
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import anyio
import httpx

import neurogrid
from conformance.asking import Outcome

_PATIENCE_S = 120.0
_AGAIN_S = 0.2
_SHOWN_CHARS = 300
# What a document's calls begin with, where they are made, and where they are iterated.
_CALLED = re.compile(r"(?<![\w.#])(client|stranger)(?=(?:\.\w+)+\()")
_ITERATED = re.compile(r"\bfor (\w+) in (?=client\.)")
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


def ask_calls(
    document: SdkDocument, url: str, key: str, image: str, backend: str | None = None
) -> Iterator[Outcome]:
    """The outcome of each call, as it comes.

    Args:
        url: of the coordinator.
        image: that small jobs run in; it has a shell.
        backend: "asyncio" or "trio": make them with an `AsyncClient`, each with an ``await`` before it.
    """
    run = _run if backend is None else _awaiting(backend, url, key)
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
            yield Outcome(label, tuple(_made(call, names, image, run)))


def _made(
    call: Call, names: dict[str, Any], image: str, run: Callable[[str, dict[str, Any]], None]
) -> Iterator[str]:
    code = call.code
    for text, other in call.apart.items():
        assert text in code, f"{text!r} is not what is printed"
        code = code.replace(text, other.replace("{image}", image))
    try:
        _run(call.first, names)
        run(code, names)
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


def _awaiting(backend: str, url: str, key: str) -> Callable[[str, dict[str, Any]], None]:
    """To run a document's words with asynchronous clients, of which what they assign is kept."""

    def run(code: str, names: dict[str, Any]) -> None:
        # A loop's own call has no await; the mark keeps it from one.
        marked = _ITERATED.sub(r"async for \1 in #", code)
        awaited = _CALLED.sub(r"await \1", marked).replace("#client.", "client.")
        compiled = compile(awaited, "<document>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

        async def make() -> None:
            async with AsyncExitStack() as stack:
                clients = {
                    name: await stack.enter_async_context(neurogrid.AsyncClient(each, url))
                    for name, each in (("client", key), ("stranger", "ng_nobody"))
                }
                here = {**names, **clients}
                made = FunctionType(compiled, here)()
                if inspect.isawaitable(made):
                    await made
                names.update({name: here[name] for name in here if name not in clients})

        anyio.run(make, backend=backend)

    return run


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

"""What a document prints: requests, and the answers to them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Exchange:
    """A request as a document prints it, and the answer that it prints.

    Attributes:
        request: method and path; ``{name}`` stands for what an earlier answer had (``keeps``).
        body: JSON, word by word.
        answer: JSON, word by word; ``{ ... }`` for an object whose content the document leaves open.
        words: path in the answer -> the words that the document allows there.
        filled: paths of lists that must have something in them.
        keeps: name -> path in the answer, for later requests.
        headers: beside the usual ones.
        form: the fields of a form, which is sent in place of a body, with a recording as its ``file``.
        keeps_if_there: as ``keeps``, of what an answer may lack.
        awaits: what the coordinator lacks that would answer it; "" where it has to.
        unless: the name of what an earlier answer had where the coordinator lacks nothing; then it is asked.
        until: path in the answer, and the word that it comes to: the request is made again until then.
    """

    request: str
    body: str = ""
    status: int = 200
    answer: str = "{}"
    words: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    filled: tuple[str, ...] = ()
    keeps: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    keeps_if_there: Mapping[str, str] = field(default_factory=dict)
    awaits: str = ""
    unless: str = ""
    until: tuple[str, str] | None = None

    @property
    def printed(self) -> Any:
        """The answer, read."""
        return json.loads(re.sub(r"\{\s*\.\.\.\s*\}", "{}", self.answer))


@dataclass(frozen=True)
class Socket:
    """A WebSocket that a document has, and the first messages that come of themselves.

    Attributes:
        meanwhile: what is asked once the first message has come; it is what the others tell of.
        skips: types of messages that come between.
    """

    path: str
    messages: tuple[str, ...]
    words: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    awaits: str = ""
    meanwhile: Exchange | None = None
    skips: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """All that one document prints.

    Attributes:
        number: as the project counts its documents.
        prefix: before each path.
        key_header: how a key is sent, with ``{key}`` in it; a document that knows no keys has "" and is asked
            without one.
    """

    number: str
    name: str
    exchanges: Sequence[Exchange]
    sockets: Sequence[Socket] = ()
    prefix: str = ""
    key_header: str = "Authorization: Bearer {key}"


def at(answer: Any, path: str) -> str:
    """What stands at a path such as ``data.tasks[0].id``, as text.

    Raises:
        LookupError, TypeError: nothing does.
    """
    for part in re.findall(r"[^.\[\]]+", path):
        answer = answer[int(part)] if isinstance(answer, list) else answer[part]
    return str(answer)

"""What of an answer can be checked elsewhere, and who reads it for that. Pure."""

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from neurogrid_marketplace.model_check import Answer
from neurogrid_marketplace.model_pictures import PictureReader
from neurogrid_marketplace.model_reply import ReplyReader
from neurogrid_marketplace.model_transcript import TranscriptReader
from neurogrid_marketplace.model_vectors import VectorReader

from ..openai.fields import given
from ..openai.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    TranscriptionRequest,
)
from ..openai.server_answers import texts_to_embed
from ..replicas.asking import Question

# A larger request is not asked twice.
_BODY_BYTES_MAX: Final = 256 * 1024
VECTORS_MAX: Final = 16
TOKENIZE: Final = "/tokenize"
_TOKENS_MAX: Final = 10**9


class Reader(Protocol):
    """Takes an answer, event by event or at once, and holds what of it is compared.

    Attributes:
        is_whole: whether it holds all of that.
    """

    is_whole: bool

    def feed(self, value: Mapping[str, Any]) -> None:
        """The next event, or all of it."""

    def reply(self) -> Answer:
        """What has come."""
        ...


@dataclass(frozen=True, slots=True)
class Counting:
    """How a server with `/tokenize`, in vLLM's form, is asked to count.

    Attributes:
        model_name: at the server.
        asked: the question about what the request has it read; None: it has more than plain text.
    """

    model_name: str
    asked: Question | None

    def written(self, text: str) -> Question:
        """The question about a text that was written: without what goes before a prompt."""
        return _tokenize({"model": self.model_name, "prompt": text, "add_special_tokens": False})


@dataclass(frozen=True, slots=True)
class Reading:
    """How an answer is checked.

    Attributes:
        reader: a new one; those of one reading look at the same places.
        is_repeatable: every server of the model should answer alike.
        counting: how its tokens can be counted elsewhere; None: they cannot.
    """

    reader: Callable[[], Reader]
    is_repeatable: bool
    counting: Counting | None = None


class CountReader:
    """Takes the answer of `/tokenize`.

    Attributes:
        count: of tokens; None: it says none.
    """

    def __init__(self) -> None:
        self.is_whole = False
        self.count: int | None = None

    def feed(self, value: Mapping[str, Any]) -> None:
        """The answer."""
        count = value.get("count")
        if isinstance(count, int) and 0 <= count <= _TOKENS_MAX:
            self.count, self.is_whole = count, True


def reading_of(
    request: Request, question: Question, features: Collection[str], lot: random.Random
) -> Reading | None:
    """How an answer to a request is checked; None: it cannot be.

    Args:
        question: as the server gets it.
        features: of the model's server.
        lot: draws what of a long answer is looked at.
    """
    if isinstance(request, TranscriptionRequest):
        is_greedy = given(request.temperature, 0) == 0
        return Reading(TranscriptReader, is_repeatable=True) if is_greedy else None
    if question.size_bytes > _BODY_BYTES_MAX:
        return None
    match request:
        case EmbeddingRequest():
            texts = texts_to_embed(request)
            places = tuple(lot.sample(range(texts), min(texts, VECTORS_MAX)))
            return Reading(partial(VectorReader, places), is_repeatable=True)
        case ImageRequest():
            is_png = given(request.output_format, "png") in ("png", None)
            if not is_png or not _is_drawn_alike(request, features):
                return None
            place = lot.randrange(given(request.n, 1) or 1)
            return Reading(partial(PictureReader, place), is_repeatable=True)
    if not _is_one_text(request):
        return None
    is_greedy = given(request.temperature, 1) == 0
    is_repeatable = is_greedy or _is_drawn_alike(request, features)
    counting = _counting(request, question) if "tokenize" in features else None
    if not is_repeatable and counting is None:
        return None
    stops = given(request.stop, None) or ()
    longest = max((len(each.encode("utf-8", "replace")) for each in _listed(stops)), default=0)
    return Reading(partial(ReplyReader, longest), is_repeatable, counting)


def _is_drawn_alike(
    request: ChatRequest | CompletionRequest | ImageRequest, features: Collection[str]
) -> bool:
    """Whether all servers draw the same for it."""
    return given(request.seed, None) is not None and "reproducible" in features


def _is_one_text(request: ChatRequest | CompletionRequest) -> bool:
    if (given(request.n, 1) or 1) != 1:
        return False
    if isinstance(request, ChatRequest):
        return True
    prompt = request.prompt
    is_one = isinstance(prompt, str) or all(isinstance(each, int) for each in prompt)
    return is_one and (given(request.best_of, 1) or 1) == 1 and not given(request.echo, False)


def _listed(stops: str | Collection[str]) -> Collection[str]:
    return [stops] if isinstance(stops, str) else stops


def _counting(request: ChatRequest | CompletionRequest, question: Question) -> Counting:
    body = question.body
    assert isinstance(body, bytes), "no text has a recording"
    sent = msgspec.json.decode(body)
    name = sent["model"]
    if isinstance(request, CompletionRequest):
        is_plain = isinstance(request.prompt, str) and "suffix" not in sent
        fields = {"prompt": sent["prompt"]}
    else:
        # What a template makes of tools and of levels of thought, no form says alike everywhere.
        is_plain = not sent.keys() & {"tools", "functions", "reasoning_effort", "response_format"}
        is_plain = is_plain and all(_is_plain(each) for each in sent["messages"])
        fields = {"messages": sent["messages"]}
    asked = _tokenize({"model": name, **fields}) if is_plain else None
    return Counting(name, asked)


def _is_plain(message: Mapping[str, Any]) -> bool:
    return isinstance(message.get("content"), str) and message.keys() <= {"role", "content"}


def _tokenize(fields: Mapping[str, Any]) -> Question:
    headers = (("content-type", "application/json"), ("accept", "*/*"))
    return Question("POST", TOKENIZE, headers, msgspec.json.encode(fields))

"""Words of a model's request that other tasks will leave: where they stand, what they may be, and the request with them. Pure.

A request says ``{{name}}`` where they go, and of each name which output it is. All else in braces is text, and what comes is not
looked at again: nothing that a task leaves can name another one's words.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from .errors import InvalidValue
from .model_catalogue import RESULT_FILE, ModelType
from .model_requests import PROMPT_CHARS_MAX, TEXT_CHARS_MAX, ModelInput
from .needs import PromptPart

# Of one request.
PARTS_MAX: Final = 16
# An output that is read for its words.
SOURCE_BYTES_MAX: Final = 4 * 1024 * 1024
PartName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
# Names and places in lists, with points between.
FieldPath = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}\Z")]
_PLACE = re.compile(r"\{\{ ?([A-Za-z0-9_-]{1,64}) ?\}\}")
# What `result.json` has that may stand in a prompt; docs/models.md.
_WORDS: Final[Mapping[ModelType, tuple[str, ...]]] = {
    ModelType.TEXT: (
        "text",
        "finish_reason",
        "seed",
        "usage.prompt_tokens",
        "usage.completion_tokens",
    ),
    ModelType.AUDIO: ("text", "language", "confidence"),
    ModelType.IMAGE: ("image", "width", "height", "steps", "seed"),
    ModelType.EMBEDDING: ("usage.prompt_tokens",),
}


class PromptUnfit(Exception):
    """What a task has left can't stand in a prompt; says why."""


def places_in(asked: ModelInput) -> frozenset[str]:
    """The names for which words stand in a request."""
    texts = (asked.prompt, asked.negative_prompt, *asked.texts)
    said = (*texts, *(message.content for message in asked.messages))
    return frozenset(name for text in said for name in _PLACE.findall(text))


def check_source(model_type: ModelType, part: PromptPart) -> None:
    """Refuse what a model of this type never leaves.

    Raises:
        InvalidValue: it says what there is.
    """
    if part.output != RESULT_FILE:
        if model_type is ModelType.IMAGE:
            raise InvalidValue("an image is no words")
        raise InvalidValue(f"a model of type {model_type.value} leaves {RESULT_FILE} alone")
    words = _WORDS[model_type]
    if part.field not in words:
        raise InvalidValue(
            f"a model of type {model_type.value} leaves no words at {part.field or 'the whole file'}; there are "
            f"{', '.join(words)}"
        )


def words_of(data: bytes, part: PromptPart) -> str:
    """The words that an output has.

    Raises:
        PromptUnfit: it has none of that name, or what it has is no words.
    """
    where = f"{part.output} of {part.task_id}"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise PromptUnfit(f"{where} is no text in UTF-8") from None
    if part.field:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            raise PromptUnfit(f"{where} is no JSON, so it has no {part.field}") from None
        text = _words(_at(value, part.field, where), part.field, where)
    return text[: part.chars_max]


def with_words(request: bytes, words: Mapping[str, str]) -> bytes:
    """The file that a model's program reads, with words in their places.

    Args:
        request: as `model_requests.request_bytes` made it.

    Raises:
        PromptUnfit: it would be longer than a request may be.
    """
    whole: dict[str, Any] = msgspec.json.decode(request)

    def put(text: str) -> str:
        return _PLACE.sub(lambda found: words.get(found[1], found[0]), text)

    _replace(whole, put)
    texts = [whole.get("prompt", ""), whole.get("negative_prompt", "")]
    texts.append("".join(message["content"] for message in whole.get("messages", ())))
    if max(map(len, texts)) > PROMPT_CHARS_MAX:
        raise PromptUnfit(
            f"the prompt has more than {PROMPT_CHARS_MAX} characters with what was left for it"
        )
    if any(len(text) > TEXT_CHARS_MAX for text in whole.get("texts", ())):
        raise PromptUnfit(
            f"a text has more than {TEXT_CHARS_MAX} characters with what was left for it"
        )
    return msgspec.json.encode(whole, order="sorted")


def _replace(whole: dict[str, Any], put: Callable[[str], str]) -> None:
    for name in ("prompt", "negative_prompt"):
        if name in whole:
            whole[name] = put(whole[name])
    for message in whole.get("messages", ()):
        message["content"] = put(message["content"])
    if "texts" in whole:
        whole["texts"] = [put(text) for text in whole["texts"]]


def _at(value: Any, field: str, where: str) -> Any:
    for step in field.split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise PromptUnfit(f"{where} has no {field}")
    return value


def _words(value: Any, field: str, where: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    kind = "nothing" if value is None else "a list" if isinstance(value, list) else "an object"
    raise PromptUnfit(f"{field} of {where} is {kind}, and no words")

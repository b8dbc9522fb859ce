"""What a model is asked, and what it answers: the two files between a client and a model's program.

`docs/models.md` has both forms for whoever packs a model into an image. What the program answers is read from
a node, so it is only what that says.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from .canonical import Json
from .errors import InvalidValue
from .fields import FilePath
from .model_catalogue import RESULT_BYTES_MAX, ModelType
from .unit_price import ModelUnit

# Together with its JSON escapes a request stays below what the API takes.
PROMPT_CHARS_MAX = 256 * 1024
MESSAGES_MAX = 1000
_TEXTS_MAX = 256
TEXT_CHARS_MAX = 32 * 1024
_SEED_MAX = 2**32 - 1
_STOPS_MAX = 16

_Tokens = Annotated[int, Meta(ge=0, le=10**9)]
_Seconds = Annotated[float, Meta(ge=0, le=10**9)]
_Seed = Annotated[
    Annotated[int, Meta(ge=0, le=_SEED_MAX)] | None,
    Meta(description="The same request with the same seed has the same answer; null: by chance."),
]


class TextParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """How a text is written."""

    max_tokens: Annotated[int, Meta(ge=1, le=8192)] = 128
    temperature: Annotated[
        float, Meta(ge=0, le=2, description="0: always the most likely token.")
    ] = 0.7
    top_p: Annotated[
        float, Meta(gt=0, le=1, description="Of the likeliest tokens that come to this together.")
    ] = 1.0
    stop_sequences: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...],
        Meta(max_length=_STOPS_MAX, description="The text ends before the first of these."),
    ] = ()
    seed: _Seed = None


class ImageParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """How an image is made."""

    width: Annotated[int, Meta(ge=16, le=4096)] = 512
    height: Annotated[int, Meta(ge=16, le=4096)] = 512
    steps: Annotated[int, Meta(ge=1, le=1000)] = 20
    guidance_scale: Annotated[float, Meta(ge=0, le=100)] = 7.5
    seed: _Seed = None


class AudioParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """How speech is written down."""

    language: Annotated[
        str, Meta(pattern=r"^([a-z]{2,3})?\Z", description="As `en`; empty: found out.")
    ] = ""


class EmbeddingParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """How texts become vectors: there is nothing to choose."""


PARAMETERS: Mapping[ModelType, type[Struct]] = {
    ModelType.TEXT: TextParameters,
    ModelType.IMAGE: ImageParameters,
    ModelType.AUDIO: AudioParameters,
    ModelType.EMBEDDING: EmbeddingParameters,
}


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """A turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Meta(max_length=PROMPT_CHARS_MAX)]


class ModelInput(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model works on; which of these follows from its type.

    Attributes:
        prompt: of text and images.
        messages: of text, instead of a prompt; its program knows how its model is spoken to.
        negative_prompt: what shall not be in an image.
        file: a recording, below /inputs.
        texts: to embed.
    """

    prompt: Annotated[str, Meta(max_length=PROMPT_CHARS_MAX)] = ""
    messages: Annotated[tuple[Message, ...], Meta(max_length=MESSAGES_MAX)] = ()
    negative_prompt: Annotated[str, Meta(max_length=PROMPT_CHARS_MAX)] = ""
    file: FilePath | None = None
    texts: Annotated[
        tuple[Annotated[str, Meta(max_length=TEXT_CHARS_MAX)], ...], Meta(max_length=_TEXTS_MAX)
    ] = ()


_FIELDS: Mapping[ModelType, tuple[str, ...]] = {
    ModelType.TEXT: ("prompt", "messages"),
    ModelType.IMAGE: ("prompt", "negative_prompt"),
    ModelType.AUDIO: ("file",),
    ModelType.EMBEDDING: ("texts",),
}


class Usage(Struct, frozen=True):
    """What was read and written, in the model's own tokens."""

    prompt_tokens: _Tokens = 0
    completion_tokens: _Tokens = 0

    @property
    def total_tokens(self) -> int:
        """Both."""
        return self.prompt_tokens + self.completion_tokens


class Segment(Struct, frozen=True):
    """A piece of speech: seconds from the start of the recording."""

    start: _Seconds
    end: _Seconds
    text: Annotated[str, Meta(max_length=TEXT_CHARS_MAX)]


class ModelResult(Struct, frozen=True):
    """What a model's program left.

    Attributes:
        text: written, or what was said.
        finish_reason: "stop": the text came to its end; "length": to ``max_tokens``.
        execution_time_s: of the model alone, as its program measured it; 0 where answers are compared.
        seed: that was used.
        language, confidence: of a recording; 1 is sure.
        image: the output file that has it; ``width`` and ``height`` as it is, ``steps`` as they were taken.
        embeddings: a vector for each text.
    """

    text: Annotated[str, Meta(max_length=RESULT_BYTES_MAX)] = ""
    finish_reason: Literal["stop", "length"] = "stop"
    usage: Usage = Usage()
    execution_time_s: _Seconds = 0
    seed: Annotated[int, Meta(ge=0, le=_SEED_MAX)] | None = None
    language: Annotated[str, Meta(max_length=16)] = ""
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    segments: Annotated[tuple[Segment, ...], Meta(max_length=10_000)] = ()
    image: FilePath | None = None
    width: Annotated[int, Meta(ge=0, le=100_000)] = 0
    height: Annotated[int, Meta(ge=0, le=100_000)] = 0
    steps: Annotated[int, Meta(ge=0, le=100_000)] = 0
    embeddings: Annotated[
        tuple[Annotated[tuple[float, ...], Meta(max_length=16_384)], ...],
        Meta(max_length=_TEXTS_MAX),
    ] = ()


_result = msgspec.json.Decoder(ModelResult).decode


def whole_parameters(model_type: ModelType, given: Mapping[str, Json]) -> dict[str, Json]:
    """All parameters of a request: those that are given, and the defaults of the others.

    Raises:
        InvalidValue: one is not allowed, or models of this type have none of that name; it says which there are.
    """
    kind = PARAMETERS[model_type]
    for name in given:
        if name not in kind.__struct_fields__:
            there = ", ".join(kind.__struct_fields__) or "none"
            raise InvalidValue(
                f"{name[:64]}: models of type {model_type.value} have no such parameter; there are {there}"
            )
    try:
        # As JSON has it: kept requests are compared with repeated ones.
        whole: dict[str, Json] = msgspec.json.decode(
            msgspec.json.encode(msgspec.convert(given, kind))
        )
    except msgspec.ValidationError as error:
        words, _, path = str(error).partition(" - at `$.")
        raise InvalidValue(f"{path.rstrip('`') or 'it'}: {words[:1].lower()}{words[1:]}") from error
    return whole


def check_input(model_type: ModelType, asked: ModelInput) -> None:
    """Refuse what such a model has no use for, and a request without anything to work on.

    Raises:
        InvalidValue: it says which field.
    """
    wanted = _FIELDS[model_type]
    for name in asked.__struct_fields__:
        if getattr(asked, name) and name not in wanted:
            raise InvalidValue(
                f"{name}: models of type {model_type.value} take {' or '.join(wanted)}"
            )
    if model_type is ModelType.TEXT and asked.prompt and asked.messages:
        raise InvalidValue("messages: a prompt or messages, not both")
    if not any(getattr(asked, name) for name in wanted if name != "negative_prompt"):
        raise InvalidValue(f"{wanted[0]}: is missing")
    if sum(len(message.content) for message in asked.messages) > PROMPT_CHARS_MAX:
        raise InvalidValue(f"messages: at most {PROMPT_CHARS_MAX} characters together")


def reproducible(parameters: Mapping[str, Json]) -> dict[str, Json]:
    """Parameters of a request whose answers are compared with others': nothing is left to chance."""
    if "seed" in parameters and parameters["seed"] is None:
        return {**parameters, "seed": 0}
    return dict(parameters)


def request_bytes(
    model_id: str,
    model_type: ModelType,
    asked: ModelInput,
    parameters: Mapping[str, Json],
    *,
    compared: bool = False,
) -> bytes:
    """The file that the program reads; the same request is the same file.

    Args:
        compared: the answer is compared with others', byte by byte, so it says nothing of the run itself.
    """
    whole: dict[str, Any] = {
        "model": model_id,
        "type": model_type.value,
        **msgspec.to_builtins(asked),
        "parameters": dict(parameters),
        **({"reproducible": True} if compared else {}),
    }
    return msgspec.json.encode(whole, order="sorted")


def units_of(result: ModelResult | None) -> dict[ModelUnit, int]:
    """What was read and made, by its program's word; nothing of what could not be read.

    Seconds of a recording are not among it: no program says how long that was.
    """
    if result is None:
        return {}
    return {
        ModelUnit.REQUEST: 1,
        ModelUnit.INPUT_TOKEN: result.usage.prompt_tokens,
        ModelUnit.OUTPUT_TOKEN: result.usage.completion_tokens,
        ModelUnit.IMAGE: int(result.image is not None),
    }


def read_result(data: bytes) -> ModelResult | None:
    """What a program left; None: nothing that can be read."""
    try:
        return _result(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None

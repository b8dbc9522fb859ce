"""What OpenAI's routes answer, for the OpenAPI document; requests are in `neurogrid_coordinator.openai.requests`."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from ..native.model_schemas import ModelReplicasView

_Cost = Annotated[
    float, Meta(description="USDC. Not OpenAI's, as `cost_micro_usdc`, which is exact.")
]


class OpenAiOrigin(Struct, frozen=True):
    """Not OpenAI's: who computed it, and what it cost.

    Attributes:
        request_id: of this one.
        task_id: `GET /api/v1/tasks/{task_id}` has the receipt; of a lease for use, with the other requests that it paid for.
        seed: that was used, where one was.
    """

    request_id: str
    task_id: str
    node_id: str | None
    model: str
    cost_micro_usdc: int
    seed: int | UnsetType | None = UNSET


class OpenAiUsage(Struct, frozen=True):
    """The model's own tokens, by its program's word."""

    prompt_tokens: int
    total_tokens: int
    cost: _Cost
    cost_micro_usdc: int
    completion_tokens: int | UnsetType = UNSET


class OpenAiMessage(Struct, frozen=True):
    """What the model says."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None


class OpenAiChoice(Struct, frozen=True):
    """One answer."""

    index: int
    message: OpenAiMessage
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class OpenAiChatCompletion(Struct, frozen=True):
    """An answer in a conversation."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: Annotated[str, Meta(description="Of the image that computes the model.")]
    choices: list[OpenAiChoice]
    usage: OpenAiUsage
    neurogrid: OpenAiOrigin


class OpenAiTextChoice(Struct, frozen=True):
    """One text."""

    text: str
    index: int
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length", "content_filter"]


class OpenAiCompletion(Struct, frozen=True):
    """A text that goes on after a prompt."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[OpenAiTextChoice]
    usage: OpenAiUsage
    neurogrid: OpenAiOrigin


class OpenAiEmbedding(Struct, frozen=True):
    """Of one text."""

    object: Literal["embedding"]
    index: int
    embedding: Annotated[
        list[float] | str,
        Meta(description="With `encoding_format` base64: 32-bit numbers, lowest byte first."),
    ]


class OpenAiEmbeddings(Struct, frozen=True):
    """One for each text, in order."""

    object: Literal["list"]
    data: list[OpenAiEmbedding]
    model: str
    usage: OpenAiUsage
    neurogrid: OpenAiOrigin


class OpenAiImage(Struct, frozen=True):
    """An image: its bytes, or where they are, which the same key may read."""

    b64_json: str | UnsetType = UNSET
    url: str | UnsetType = UNSET


class OpenAiImageUsage(Struct, frozen=True):
    """Images are counted in no tokens here."""

    cost: _Cost
    cost_micro_usdc: int


class OpenAiImages(Struct, frozen=True):
    """Images that were made."""

    created: int
    data: list[OpenAiImage]
    output_format: str
    size: str
    usage: OpenAiImageUsage
    neurogrid: OpenAiOrigin


class OpenAiAudioUsage(Struct, frozen=True):
    """How long the recording is, to the end of its last words."""

    type: Literal["duration"]
    seconds: float
    cost: _Cost
    cost_micro_usdc: int


class OpenAiSegment(Struct, frozen=True):
    """A piece of it: seconds from the start."""

    id: int
    start: float
    end: float
    text: str


class OpenAiTranscription(Struct, frozen=True):
    """What was said; all but text, usage and origin with `response_format` verbose_json alone."""

    text: str
    usage: OpenAiAudioUsage
    neurogrid: OpenAiOrigin
    task: Literal["transcribe"] | UnsetType = UNSET
    language: str | UnsetType = UNSET
    duration: float | UnsetType = UNSET
    segments: list[OpenAiSegment] | UnsetType = UNSET


class OpenAiModelFacts(Struct, frozen=True):
    """Not OpenAI's: what the catalogue says."""

    name: str
    type: Literal["text", "image", "audio", "embedding"]
    category: str
    description: str
    licence: str
    context_length: int | None
    aliases: list[str]
    pricing: Annotated[dict[str, Any], Meta(description="As `GET /api/v1/models` has it.")]
    replicas: Annotated[
        ModelReplicasView | None,
        Meta(description="As `GET /api/v1/models` has it; null: none are kept, and tasks answer."),
    ]


class OpenAiModel(Struct, frozen=True):
    """A model that may be asked.

    Attributes:
        created: 0: the catalogue does not say.
    """

    id: str
    object: Literal["model"]
    created: int
    owned_by: Annotated[
        str, Meta(description="The part of its id before a slash, else `neurogrid`.")
    ]
    neurogrid: OpenAiModelFacts


class OpenAiModels(Struct, frozen=True):
    """All of the catalogue, in its order."""

    object: Literal["list"]
    data: list[OpenAiModel]

"""Requests in OpenAI's form: each documented field, with its bounds.

Types say what a field may be, `fields` what becomes of it where a model cannot do that. What is not sent is `UNSET`, so that a
request can be passed on as it came. Source: the types of the `openai` package, 3.57.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from neurogrid_marketplace.model_catalogue import ModelName
from neurogrid_marketplace.model_requests import PROMPT_CHARS_MAX
from neurogrid_marketplace.model_routing import ProviderPreferences

_MESSAGES_MAX = 1000
_PARTS_MAX = 256
_TEXTS_MAX = 2048
_TOKENS_MAX = 1_000_000
_NAME_CHARS_MAX = 512
_TOOLS_MAX = 128
# OpenAI allows 4; the servers that are usual here take more.
_STOPS_MAX = 16

_Prompt = Annotated[str, Meta(max_length=PROMPT_CHARS_MAX)]
_Name = Annotated[str, Meta(max_length=_NAME_CHARS_MAX)]
_Model = Annotated[ModelName, Meta(description="Its id or an alias: GET /v1/models.")]
_Tokens = Annotated[int, Meta(ge=1, le=_TOKENS_MAX)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Temperature = Annotated[float, Meta(ge=0, le=2)]
_TopP = Annotated[float, Meta(ge=0, le=1)]
_Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Count = Annotated[int, Meta(ge=1, le=128)]
_Stop = str | Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=_STOPS_MAX)]
_Any = dict[str, Any]
_Bias = dict[str, Annotated[float, Meta(ge=-100, le=100)]]
_Metadata = Annotated[dict[str, str], Meta(max_length=16)]
_Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a message's content: text, or what only some models take (an image, a sound, a file)."""

    type: Annotated[str, Meta(max_length=64)]
    text: _Prompt | UnsetType = UNSET
    image_url: Any = UNSET
    input_audio: Any = UNSET
    file: Any = UNSET
    refusal: _Prompt | UnsetType = UNSET
    prompt_cache_breakpoint: Any = UNSET


class ChatMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """A turn of a conversation."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: _Prompt | Annotated[list[Part], Meta(max_length=_PARTS_MAX)] | None = None
    name: _Name | UnsetType | None = UNSET
    tool_calls: Annotated[list[_Any], Meta(max_length=_TOOLS_MAX)] | UnsetType | None = UNSET
    tool_call_id: _Name | UnsetType | None = UNSET
    function_call: _Any | UnsetType | None = UNSET
    refusal: _Prompt | UnsetType | None = UNSET
    audio: _Any | UnsetType | None = UNSET
    annotations: list[_Any] | UnsetType | None = UNSET


class StreamOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Of an answer that is streamed."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class _Writing(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all that write a text have in common; from ``min_p`` on not OpenAI's, but usual with open models."""

    model: _Model
    frequency_penalty: _Penalty | UnsetType | None = UNSET
    logit_bias: _Bias | UnsetType | None = UNSET
    max_tokens: _Tokens | UnsetType | None = UNSET
    n: _Count | UnsetType | None = UNSET
    presence_penalty: _Penalty | UnsetType | None = UNSET
    provider: ProviderPreferences | UnsetType | None = UNSET
    seed: _Seed | UnsetType | None = UNSET
    stop: _Stop | UnsetType | None = UNSET
    stream: bool | UnsetType | None = UNSET
    stream_options: StreamOptions | UnsetType | None = UNSET
    temperature: _Temperature | UnsetType | None = UNSET
    top_p: _TopP | UnsetType | None = UNSET
    user: _Name | UnsetType | None = UNSET
    min_p: Annotated[float, Meta(ge=0, le=1)] | UnsetType | None = UNSET
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | UnsetType | None = UNSET
    top_k: Annotated[int, Meta(ge=-1, le=_TOKENS_MAX)] | UnsetType | None = UNSET


class ChatRequest(_Writing, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: Annotated[tuple[ChatMessage, ...], Meta(min_length=1, max_length=_MESSAGES_MAX)]
    audio: _Any | UnsetType | None = UNSET
    function_call: str | _Any | UnsetType | None = UNSET
    functions: Annotated[list[_Any], Meta(max_length=_TOOLS_MAX)] | UnsetType | None = UNSET
    logprobs: bool | UnsetType | None = UNSET
    max_completion_tokens: _Tokens | UnsetType | None = UNSET
    metadata: _Metadata | UnsetType | None = UNSET
    modalities: Annotated[list[str], Meta(max_length=8)] | UnsetType | None = UNSET
    moderation: _Any | UnsetType | None = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    prediction: _Any | UnsetType | None = UNSET
    prompt_cache_key: _Name | UnsetType | None = UNSET
    prompt_cache_options: _Any | UnsetType | None = UNSET
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | UnsetType | None = UNSET
    reasoning_effort: _Name | UnsetType | None = UNSET
    response_format: _Any | UnsetType | None = UNSET
    safety_identifier: _Name | UnsetType | None = UNSET
    service_tier: _Name | UnsetType | None = UNSET
    store: bool | UnsetType | None = UNSET
    tool_choice: str | _Any | UnsetType | None = UNSET
    tools: Annotated[list[_Any], Meta(max_length=_TOOLS_MAX)] | UnsetType | None = UNSET
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | UnsetType | None = UNSET
    verbosity: _Name | UnsetType | None = UNSET
    web_search_options: _Any | UnsetType | None = UNSET


class CompletionRequest(_Writing, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/completions`."""

    prompt: _Prompt | Annotated[list[_Prompt | _Token | list[_Token]], Meta(max_length=_TOKENS_MAX)]
    best_of: Annotated[int, Meta(ge=1, le=20)] | UnsetType | None = UNSET
    echo: bool | UnsetType | None = UNSET
    logprobs: Annotated[int, Meta(ge=0, le=20)] | UnsetType | None = UNSET
    suffix: _Prompt | UnsetType | None = UNSET


class EmbeddingRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/embeddings`."""

    model: _Model
    input: _Prompt | Annotated[list[_Prompt | _Token | list[_Token]], Meta(max_length=_TOKENS_MAX)]
    dimensions: Annotated[int, Meta(ge=1, le=16_384)] | UnsetType | None = UNSET
    encoding_format: Literal["float", "base64"] | UnsetType | None = UNSET
    provider: ProviderPreferences | UnsetType | None = UNSET
    user: _Name | UnsetType | None = UNSET


class ImageRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/images/generations`; from ``negative_prompt`` on not OpenAI's, but usual with open models."""

    model: _Model
    prompt: _Prompt
    background: Literal["transparent", "opaque", "auto"] | UnsetType | None = UNSET
    complexity: _Name | UnsetType | None = UNSET
    frame_count: Annotated[int, Meta(ge=1, le=1000)] | UnsetType | None = UNSET
    frame_duration_ms: Annotated[int, Meta(ge=1, le=60_000)] | UnsetType | None = UNSET
    moderation: Literal["low", "auto"] | UnsetType | None = UNSET
    n: Annotated[int, Meta(ge=1, le=10)] | UnsetType | None = UNSET
    output_compression: Annotated[int, Meta(ge=0, le=100)] | UnsetType | None = UNSET
    output_format: Literal["png", "webp", "jpeg", "gif", "svg"] | UnsetType | None = UNSET
    partial_images: Annotated[int, Meta(ge=0, le=3)] | UnsetType | None = UNSET
    provider: ProviderPreferences | UnsetType | None = UNSET
    quality: _Name | UnsetType | None = UNSET
    response_format: Literal["url", "b64_json"] | UnsetType | None = UNSET
    safety_identifier: _Name | UnsetType | None = UNSET
    size: Annotated[str, Meta(pattern=r"^(auto|[0-9]{1,4}x[0-9]{1,4})\Z")] | UnsetType | None = (
        UNSET
    )
    stream: bool | UnsetType | None = UNSET
    style: Literal["vivid", "natural"] | UnsetType | None = UNSET
    svg: _Any | UnsetType | None = UNSET
    user: _Name | UnsetType | None = UNSET
    negative_prompt: _Prompt | UnsetType | None = UNSET
    seed: _Seed | UnsetType | None = UNSET
    steps: Annotated[int, Meta(ge=1, le=1000)] | UnsetType | None = UNSET
    guidance_scale: Annotated[float, Meta(ge=0, le=100)] | UnsetType | None = UNSET


class TranscriptionRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The words of the form at `POST /v1/audio/transcriptions`, beside its file."""

    model: _Model
    chunking_strategy: Annotated[str, Meta(max_length=1000)] | UnsetType = UNSET
    include: list[_Name] | UnsetType = UNSET
    keywords: list[_Name] | UnsetType = UNSET
    known_speaker_names: list[_Name] | UnsetType = UNSET
    known_speaker_references: list[_Prompt] | UnsetType = UNSET
    language: Annotated[str, Meta(pattern=r"^([a-z]{2,3})?\Z")] | UnsetType = UNSET
    languages: list[_Name] | UnsetType = UNSET
    prompt: _Prompt | UnsetType = UNSET
    provider: ProviderPreferences | UnsetType | None = UNSET
    response_format: (
        Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"] | UnsetType
    ) = UNSET
    stream: bool | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    timestamp_granularities: list[Literal["word", "segment"]] | UnsetType = UNSET


Request = ChatRequest | CompletionRequest | EmbeddingRequest | ImageRequest | TranscriptionRequest

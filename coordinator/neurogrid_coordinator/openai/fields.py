"""What becomes of each field of a request: it is passed on, it changes nothing, or it is refused.

A field that could change the answer is never passed over: where the model's server cannot do it, it is refused by name, unless its
value is what happens anyway. What a server can do are words, some of which its entry in the catalogue has (`model_server.Feature`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from ..services.errors import InvalidRequest
from .requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    TranscriptionRequest,
)


class Unsupported(InvalidRequest):
    """The model cannot do what a field asks for.

    Args:
        value: it can with another value.
    """

    def __init__(self, message: str, field: str, *, value: bool = False) -> None:
        super().__init__(message, field)
        self.details["reason"] = "unsupported_value" if value else "unsupported_parameter"


@dataclass(frozen=True, slots=True)
class Needs:
    """A field that a server has to be able to do something for.

    Attributes:
        feature: the word for that.
        neutral: values that ask for nothing beyond what happens anyway.
    """

    feature: str
    neutral: tuple[Any, ...] = ()


def _needs(feature: str, *neutral: Any) -> Needs:
    return Needs(feature, neutral)


# Of what writes texts. What is not named in these tables is passed on by all, or changes nothing (`NO_EFFECT`).
_WRITING: Mapping[str, Needs] = {
    "frequency_penalty": _needs("penalties", 0),
    "presence_penalty": _needs("penalties", 0),
    "logit_bias": _needs("logit_bias", {}),
    "logprobs": _needs("logprobs", False),
    "n": _needs("n", 1),
    "min_p": _needs("min_p", 0),
    "repetition_penalty": _needs("repetition_penalty", 1),
    # Servers say "all of them" by one of these.
    "top_k": _needs("top_k", 0, -1),
}
_CHAT: Mapping[str, Needs] = {
    **_WRITING,
    "audio": _needs("audio_output"),
    "function_call": _needs("tools", "none"),
    "functions": _needs("tools", []),
    "modalities": _needs("audio_output", [], ["text"]),
    "moderation": _needs("moderation"),
    "prediction": _needs("prediction"),
    "reasoning_effort": _needs("reasoning", "none"),
    "response_format": _needs("json", {"type": "text"}),
    "store": _needs("store", False),
    "tool_choice": _needs("tools", "none", "auto"),
    "tools": _needs("tools", []),
    "top_logprobs": _needs("logprobs", 0),
    "verbosity": _needs("reasoning", "medium"),
    "web_search_options": _needs("web_search"),
    # Other lanes of OpenAI's own; here there is one.
    "service_tier": _needs("service_tier", "auto", "default"),
}
_COMPLETION: Mapping[str, Needs] = {
    **_WRITING,
    "best_of": _needs("best_of", 1),
    "echo": _needs("echo", False),
    "logprobs": _needs("logprobs"),
    "suffix": _needs("suffix", ""),
}
_EMBEDDING: Mapping[str, Needs] = {"dimensions": _needs("dimensions")}
_IMAGE: Mapping[str, Needs] = {
    "background": _needs("background", "auto", "opaque"),
    "complexity": _needs("svg"),
    "frame_count": _needs("frames", 1),
    "frame_duration_ms": _needs("frames"),
    "guidance_scale": _needs("guidance_scale"),
    "moderation": _needs("moderation", "low", "auto"),
    "n": _needs("n", 1),
    "negative_prompt": _needs("negative_prompt", ""),
    "output_compression": _needs("output_format", 100),
    "output_format": _needs("output_format", "png"),
    "partial_images": _needs("partial_images", 0),
    "quality": _needs("quality", "auto", "standard"),
    "steps": _needs("steps"),
    "stream": _needs("partial_images", False),
    "style": _needs("style"),
    "svg": _needs("svg"),
}
_TRANSCRIPTION: Mapping[str, Needs] = {
    "chunking_strategy": _needs("chunking", "auto"),
    "include": _needs("logprobs", []),
    "keywords": _needs("audio_prompt", []),
    "known_speaker_names": _needs("diarization", []),
    "known_speaker_references": _needs("diarization", []),
    "languages": _needs("languages", []),
    "prompt": _needs("audio_prompt", ""),
    "response_format": _needs("diarization", "json", "text", "srt", "verbose_json", "vtt"),
    "temperature": _needs("audio_temperature", 0),
    "timestamp_granularities": _needs("words", [], ["segment"]),
}
NEEDS: Mapping[type, Mapping[str, Needs]] = {
    ChatRequest: _CHAT,
    CompletionRequest: _COMPLETION,
    EmbeddingRequest: _EMBEDDING,
    ImageRequest: _IMAGE,
    TranscriptionRequest: _TRANSCRIPTION,
}
# What no server of open models does: these fields mean services of OpenAI's own, or what such servers have given up.
NOBODYS = frozenset(
    {
        *("audio_output", "moderation", "prediction", "service_tier", "store", "web_search"),
        *("best_of", "suffix", "frames", "svg"),
    }
)
_JSON_SCHEMA = "json_schema"
# They say who asks or help a cache: no answer is another for them. `parallel_tool_calls` counts with tools alone.
NO_EFFECT = frozenset(
    {
        *("user", "safety_identifier", "metadata"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
        "parallel_tool_calls",
    }
)


def require_features(request: Request, features: Collection[str]) -> None:
    """See that the model's server can do what a request asks for.

    Raises:
        Unsupported: it cannot; the first such field is named.
    """
    for name, needs in NEEDS[type(request)].items():
        value = getattr(request, name)
        if value is UNSET or value is None or value in needs.neutral:
            continue
        if (_JSON_SCHEMA if _has_schema(value) else needs.feature) in features:
            continue
        shown = "" if isinstance(value, dict | list) else f" with {str(value)[:64]!r}"
        raise Unsupported(
            f"{name}: {request.model} does not support this{shown}; leave it out",
            name,
            value=bool(needs.neutral),
        )


def _has_schema(value: Any) -> bool:
    """Whether it asks for JSON of a form, which fewer servers can do than any JSON."""
    return isinstance(value, dict) and value.get("type") == _JSON_SCHEMA


def given(value: Any, default: Any) -> Any:
    """A field's value, or the default where it is not sent, or null."""
    return default if value is UNSET or value is None else value

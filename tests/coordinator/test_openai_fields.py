"""Every field that OpenAI documents is known here, and what becomes of it is said."""

from typing import Any

import msgspec
import pytest
from openai.types import (
    completion_create_params,
    embedding_create_params,
    image_generate_params,
)
from openai.types.audio import transcription_create_params
from openai.types.chat import completion_create_params as chat_create_params

from coordinator.catalogue import CATALOGUE
from neurogrid_coordinator.openai.by_task import for_program
from neurogrid_coordinator.openai.fields import NEEDS, NO_EFFECT, Unsupported, require_features
from neurogrid_coordinator.openai.recordings import is_recording
from neurogrid_coordinator.openai.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    TranscriptionRequest,
)
from neurogrid_marketplace.model_requests import Message

_OFFICIAL: dict[type, type] = {
    ChatRequest: chat_create_params.CompletionCreateParamsStreaming,
    CompletionRequest: completion_create_params.CompletionCreateParamsStreaming,
    EmbeddingRequest: embedding_create_params.EmbeddingCreateParams,
    ImageRequest: image_generate_params.ImageGenerateParamsStreaming,
    TranscriptionRequest: transcription_create_params.TranscriptionCreateParamsStreaming,
}
# Sent beside the words of a form.
_FILE = {"file"}
# What every model's program does, or the api itself.
_TAKEN = {
    ChatRequest: {
        *("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p"),
        *("seed", "stop", "stream", "stream_options", "provider"),
    },
    CompletionRequest: {
        *("model", "prompt", "max_tokens", "temperature", "top_p"),
        *("seed", "stop", "stream", "stream_options", "provider"),
    },
    EmbeddingRequest: {"model", "input", "encoding_format", "provider"},
    ImageRequest: {"model", "prompt", "size", "response_format", "provider", "seed"},
    TranscriptionRequest: {"model", "language", "stream", "provider"},
}


@pytest.mark.parametrize("kind", _OFFICIAL)
def test_each_field_of_openais_own_types_is_taken_refused_or_said_to_change_nothing(
    kind: type[msgspec.Struct],
) -> None:
    ours = set(kind.__struct_fields__)
    assert set(_OFFICIAL[kind].__annotations__) - _FILE <= ours
    said = (_TAKEN[kind], set(NEEDS[kind]), ours & NO_EFFECT)
    assert set().union(*said) == ours
    assert sum(map(len, said)) == len(ours), "each is said once"


def _chat(**fields: Any) -> ChatRequest:
    whole = {"model": "talker", "messages": [{"role": "user", "content": "one"}], **fields}
    return msgspec.convert(whole, ChatRequest)


def test_what_a_server_can_do_is_passed_on_and_what_asks_for_nothing_is_never_refused() -> None:
    tools = _chat(tools=[{"type": "function"}], tool_choice="required")
    require_features(tools, {"tools"})
    with pytest.raises(Unsupported, match=r"^tool_choice: talker does not support this with"):
        require_features(tools, set())
    require_features(
        _chat(
            n=1,
            logprobs=False,
            tools=[],
            tool_choice="auto",
            response_format={"type": "text"},
            service_tier="default",
            store=False,
            frequency_penalty=0,
            modalities=["text"],
            parallel_tool_calls=True,
            audio=None,
        ),
        set(),
    )


def test_a_conversation_comes_to_a_program_with_what_its_client_left_out() -> None:
    talker = CATALOGUE.find("talker")
    assert talker is not None
    said = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        # As the official client dumps what it was answered.
        {
            "role": "assistant",
            "content": "c",
            "refusal": None,
            "annotations": None,
            "tool_calls": None,
        },
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ]
    program = for_program(_chat(messages=said, stop="\n", seed=2**40 + 7), talker)
    assert program.asked.messages == (
        Message("system", "Be brief."),
        Message("user", "a\nb"),
        Message("assistant", "c"),
        Message("assistant", "no"),
    )
    assert program.parameters == {
        "max_tokens": 1024,
        "temperature": 1,
        "top_p": 1,
        "stop_sequences": ["\n"],
        "seed": 7,
    }


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        (b"RIFF\x24\x00\x00\x00WAVE", True),
        (b"\xff\xfb\x90\x00", True),
        (b"\x00\x00\x00\x20ftypM4A ", True),
        (b"OggS", True),
        (b"", False),
        (b"\xff", False),
        (b"%PDF-1.7", False),
        (b"\x89PNG\r\n\x1a\n", False),
    ],
)
def test_a_recording_is_told_by_its_first_bytes(head: bytes, is_one: bool) -> None:
    assert is_recording(head) is is_one

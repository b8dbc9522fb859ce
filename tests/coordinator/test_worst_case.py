"""What a request's answer can come to at most: never less than an honest server counts."""

from typing import Any

import msgspec
import pytest

from coordinator.replica_world import model
from neurogrid_coordinator.openai.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    TranscriptionRequest,
)
from neurogrid_coordinator.openai.worst_case import most_units
from neurogrid_marketplace.model_catalogue import ModelParameters
from neurogrid_marketplace.units import Units

CONTEXT = 256
SAYING: dict[str, Any] = {"messages": [{"role": "user", "content": "To be"}]}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def most(kind: type[Request], context: int | None = CONTEXT, **fields: Any) -> Units | None:
    request = msgspec.convert({"model": "warm", **fields}, kind)
    parameters = ModelParameters(context_length=context)
    return most_units(request, msgspec.structs.replace(model(), parameters=parameters))


@pytest.mark.parametrize(
    ("kind", "fields", "read", "written"),
    [
        (CompletionRequest, {"prompt": "To be", "max_tokens": 8}, CONTEXT, 8),
        # Who is not told ends at what it sees at once; who is may write more.
        (CompletionRequest, {"prompt": "To be"}, CONTEXT, CONTEXT),
        (CompletionRequest, {"prompt": "To be", "max_tokens": 8000}, CONTEXT, 8000),
        (CompletionRequest, {"prompt": ["a", "b"], "max_tokens": 8}, 2 * CONTEXT, 16),
        (CompletionRequest, {"prompt": [[1], [2], [3]], "max_tokens": 8}, 3 * CONTEXT, 24),
        (CompletionRequest, {"prompt": [1, 2, 3], "max_tokens": 8}, CONTEXT, 8),
        (CompletionRequest, {"prompt": "a", "n": 2, "best_of": 3, "max_tokens": 8}, CONTEXT, 24),
        (ChatRequest, SAYING | {"max_tokens": 9, "max_completion_tokens": 8}, CONTEXT, 8),
        (ChatRequest, SAYING | {"max_tokens": 9, "n": 3}, CONTEXT, 27),
        (
            ChatRequest,
            {"messages": [{"role": "user", "content": [PICTURE]}], "max_tokens": 9},
            CONTEXT,
            9,
        ),
        (EmbeddingRequest, {"input": ["a"] * 4}, 4 * CONTEXT, 0),
    ],
)
def test_every_text_is_read_and_written_as_far_as_it_may_be(
    kind: type[Request], fields: dict[str, Any], read: int, written: int
) -> None:
    assert most(kind, **fields) == Units(input_tokens=read, output_tokens=written, requests=1)


def test_a_token_is_a_byte_at_least_and_a_template_has_some() -> None:
    found = most(EmbeddingRequest, context=10**6, input="x" * 5_000)
    assert found is not None
    assert 6_000 < found.input_tokens < 6_200


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (TranscriptionRequest, {}),
        (ChatRequest, SAYING),
        (ChatRequest, {"messages": [{"role": "user", "content": [PICTURE]}], "max_tokens": 9}),
    ],
)
def test_what_is_not_known_before_is_not_guessed(
    kind: type[Request], fields: dict[str, Any]
) -> None:
    assert most(kind, context=None, **fields) is None


def test_pictures_are_counted() -> None:
    assert most(ImageRequest, prompt="A land", n=3) == Units(images=3, requests=1)

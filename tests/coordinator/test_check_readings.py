"""Which answers can be checked elsewhere, and how."""

import asyncio
import json
import random
from typing import Any

import msgspec
import pytest

from neurogrid_coordinator.model_checks.readings import (
    VECTORS_MAX,
    Counting,
    CountReader,
    Reading,
    reading_of,
)
from neurogrid_coordinator.openai.form_body import FormBody
from neurogrid_coordinator.openai.recordings import HeldFile, Recording
from neurogrid_coordinator.openai.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    TranscriptionRequest,
)
from neurogrid_coordinator.replicas.asking import Question
from neurogrid_marketplace.model_check import Answer
from neurogrid_marketplace.model_pictures import Picture
from neurogrid_marketplace.model_reply import Reply
from neurogrid_marketplace.model_transcript import Transcript
from neurogrid_marketplace.model_vectors import Vectors

BASE: dict[type[Request], dict[str, Any]] = {
    ChatRequest: {"messages": [{"role": "user", "content": "a"}]},
    CompletionRequest: {"prompt": "a"},
    EmbeddingRequest: {"input": "a"},
    ImageRequest: {"prompt": "a"},
    TranscriptionRequest: {},
}


def read(kind: type[Request], *features: str, extra: bytes = b"", **fields: Any) -> Reading | None:
    sent = {"model": "m", **BASE[kind], **fields}
    question = Question("POST", "/v1", (), json.dumps(sent).encode() + extra)
    return reading_of(msgspec.convert(sent, kind), question, features, random.Random(1))


@pytest.mark.parametrize(
    ("fields", "plain", "reproducible", "counted"),
    [
        ({"temperature": 0}, True, True, True),
        ({"temperature": 0, "n": 1, "max_tokens": 5}, True, True, True),
        ({"temperature": 0, "prompt": [1, 2]}, True, True, True),
        # Drawn by chance: only its tokens can be counted.
        ({}, None, None, False),
        ({"temperature": None}, None, None, False),
        # Where the server says so a seed draws the same everywhere.
        ({"temperature": 0.8, "seed": 1}, None, True, False),
        # Several texts.
        ({"temperature": 0, "n": 2}, None, None, None),
        ({"temperature": 0, "best_of": 2}, None, None, None),
        ({"temperature": 0, "prompt": ["a", "b"]}, None, None, None),
        ({"temperature": 0, "echo": True}, None, None, None),
    ],
)
def test_texts_are_given_again_where_all_servers_should_write_the_same(
    fields: dict[str, Any], plain: bool | None, reproducible: bool | None, counted: bool | None
) -> None:
    for features, expected in (
        ((), plain),
        (("reproducible",), reproducible),
        (("tokenize",), counted),
    ):
        reading = read(CompletionRequest, *features, **fields)
        assert (None if reading is None else reading.is_repeatable) == expected, features


def test_what_is_too_large_is_not_asked_twice() -> None:
    for kind in (ChatRequest, EmbeddingRequest):
        assert read(kind, temperature=0) if kind is ChatRequest else read(kind)
    assert read(ChatRequest, temperature=0, extra=b" " * 300_000) is None
    assert read(EmbeddingRequest, extra=b" " * 300_000) is None


def test_a_reader_is_one_of_its_kind_and_each_looks_at_the_same_places() -> None:
    reading = read(EmbeddingRequest, input=[f"text {number}" for number in range(100)])
    assert reading is not None
    answer = {"data": [{"embedding": [float(number)]} for number in range(100)]}
    seen: list[Answer] = []
    for reader in (reading.reader(), reading.reader()):
        assert not reader.is_whole
        reader.feed(answer)
        assert reader.is_whole
        seen.append(reader.reply())
    assert seen[0] == seen[1]
    assert isinstance(seen[0], Vectors)
    assert len(set(seen[0].vectors)) == VECTORS_MAX


@pytest.mark.parametrize(
    ("fields", "is_read"),
    [
        ({"seed": 7}, True),
        ({"seed": 7, "n": 3, "output_format": "png"}, True),
        ({}, False),
        ({"seed": 7, "output_format": "jpeg"}, False),
    ],
)
def test_pictures_are_drawn_again_by_their_seed(fields: dict[str, Any], is_read: bool) -> None:
    reading = read(ImageRequest, "reproducible", **fields)
    assert (reading is not None) == is_read
    assert read(ImageRequest, **fields) is None, "its server does not say that it draws the same"
    if reading is not None:
        assert isinstance(reading.reader().reply(), Picture)


def test_recordings_are_heard_again_where_nothing_is_drawn_by_chance() -> None:
    for fields, is_read in ({}, True), ({"temperature": 0.0}, True), ({"temperature": 0.2}, False):
        reading = read(TranscriptionRequest, extra=b" " * 1_000_000, **fields)
        assert (reading is not None) == is_read
        if reading is not None:
            assert isinstance(reading.reader().reply(), Transcript)


def asked(counting: Counting | None) -> Any:
    assert counting is not None
    if counting.asked is None:
        return None
    assert counting.asked.target == "/tokenize"
    assert isinstance(counting.asked.body, bytes)
    return json.loads(counting.asked.body)


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (CompletionRequest, {}, {"model": "m", "prompt": "a"}),
        (CompletionRequest, {"prompt": [1, 2]}, None),
        (CompletionRequest, {"suffix": "z"}, None),
        (ChatRequest, {}, {"model": "m", **BASE[ChatRequest]}),
        (ChatRequest, {"tools": [{"type": "function"}]}, None),
        (ChatRequest, {"reasoning_effort": "low"}, None),
        (ChatRequest, {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, None),
    ],
)
def test_what_was_read_is_counted_where_it_is_plain_text(
    kind: type[Request], fields: dict[str, Any], expected: Any
) -> None:
    reading = read(kind, "tokenize", **fields)
    assert reading is not None
    assert isinstance(reading.reader().reply(), Reply)
    assert asked(reading.counting) == expected
    assert reading.counting is not None
    written = reading.counting.written("to be")
    assert isinstance(written.body, bytes)
    assert json.loads(written.body) == {
        "model": "m",
        "prompt": "to be",
        "add_special_tokens": False,
    }
    without = read(kind, temperature=0, **fields)
    assert without is not None
    assert without.counting is None


def test_a_text_that_was_cut_off_has_the_tokens_of_what_cut_it() -> None:
    reading = read(CompletionRequest, temperature=0, stop=["\n\n", "THE END"])
    assert reading is not None
    plain = read(CompletionRequest, temperature=0)
    assert plain is not None
    unseen: dict[str, int] = {}
    for name, each in ("cut", reading), ("plain", plain):
        reply = each.reader().reply()
        assert isinstance(reply, Reply)
        unseen[name] = reply.unseen_tokens
    assert unseen["cut"] - unseen["plain"] == len("THE END")


@pytest.mark.parametrize("value", [{}, {"count": "3"}, {"count": -1}, {"count": 10**12}])
def test_what_is_no_count_is_none(value: dict[str, Any]) -> None:
    reader = CountReader()
    reader.feed(value)
    assert (reader.count, reader.is_whole) == (None, False)
    reader.feed({"count": 0})
    assert (reader.count, reader.is_whole) == (0, True)


def test_a_recording_that_is_held_is_the_same_form() -> None:
    async def pieces(body: FormBody) -> bytes:
        return b"".join([piece async for piece in body.pieces()])

    async def go() -> None:
        recording = Recording("a.wav", HeldFile(b"sound" * 50_000), 250_000)
        form = FormBody([("model", "m")], recording)
        held = await form.held()
        assert await pieces(held) == await pieces(form)
        assert (held.size_bytes, held.content_type) == (form.size_bytes, form.content_type)
        assert await held.file_sha256() == await form.file_sha256()

    asyncio.run(go())

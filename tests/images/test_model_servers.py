"""The servers of speech, embeddings and images in hardened containers, asked by OpenAI's own client."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from conformance.recording import SPOKEN, chapter
from images.model_container import Served, refused, served
from neurogrid_coordinator.models_config import read_catalogue
from neurogrid_marketplace.model_catalogue import Model

pytestmark = pytest.mark.engine
_SAID = "John Dashwood had then leisure to consider"


@contextmanager
def _asked(entry: Model, *arguments: str) -> Iterator[tuple[Served, openai.OpenAI]]:
    with (
        served(entry, *arguments) as server,
        openai.OpenAI(api_key="any", base_url=f"{server.url}/v1", max_retries=0) as client,
    ):
        yield server, client


@pytest.fixture
def entry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    model = read_catalogue("", tmp_path_factory.mktemp("catalogue")).find(request.param)
    assert model is not None
    return model


@pytest.mark.parametrize("entry", ["whisper-tiny-en"], indirect=True)
def test_speech_is_written_down_in_each_form(entry: Model) -> None:
    recording = SPOKEN.read_bytes()
    with _asked(entry) as (server, client):
        ask = client.audio.transcriptions
        file = ("speech.wav", recording)
        whole = ask.create(
            model=entry.id,
            file=file,
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
        assert _SAID in whole.text
        assert (whole.language, round(float(whole.duration))) == ("en", 7)
        assert whole.segments is not None
        assert whole.words is not None
        assert " ".join(each.text.strip() for each in whole.segments) == whole.text
        assert [word.start for word in whole.words] == sorted(word.start for word in whole.words)
        plain = ask.create(
            model=entry.id, file=file, language="en", prompt="Dashwood", temperature=0
        )
        assert _SAID in plain.text
        assert plain.usage is not None
        assert json.loads(plain.usage.to_json()) == {"type": "duration", "seconds": 8}
        assert ask.create(model=entry.id, file=file, response_format="text").strip() == whole.text
        subtitles = ask.create(model=entry.id, file=file, response_format="vtt")
        assert subtitles.startswith("WEBVTT\n\n00:00:0")
        wrong = [
            {"files": {"file": ("a.wav", b"no sound")}},
            {"files": {"file": ("a.wav", b"")}},
            {"data": {"file": "text"}, "files": {"other": b"x"}},
            {"files": {"file": recording}, "data": {"language": "fr"}},
            {"files": {"file": recording}, "data": {"response_format": "mp3"}},
            {"files": {"file": recording}, "data": {"temperature": "warm"}},
            {"files": {"file": recording}, "data": {"timestamp_granularities[]": "word"}},
            {"files": {"file": recording}, "data": {"colour": "red"}},
            {"files": {"file": recording}, "data": {"stream": "true", "response_format": "srt"}},
            {"files": {"file": recording}, "data": {"model": "whisper-1"}},
            {"json": {}},
            {"content": b"--x", "headers": {"content-type": "multipart/form-data"}},
            {"files": {"file": bytes(26 * 1024 * 1024)}},
        ]
        path = f"{server.url}/v1/audio/transcriptions"
        assert refused([httpx.post(path, **each) for each in wrong]) == [  # type: ignore[arg-type] # of many kinds
            (400, "file", "invalid_audio"),
            (400, "file", "invalid_audio"),
            (400, "other", None),
            (400, "language", None),
            (400, "response_format", None),
            (400, "temperature", None),
            (400, "timestamp_granularities", None),
            (400, "colour", None),
            (400, "stream", None),
            (404, "model", "model_not_found"),
            (400, "file", None),
            (400, None, None),
            (413, None, "request_too_large"),
        ]


@pytest.mark.parametrize("entry", ["whisper-tiny-en"], indirect=True)
def test_speech_is_streamed_as_it_is_heard_and_who_leaves_stops_it(entry: Model) -> None:
    with _asked(entry) as (server, client):
        # More than the model hears at once, so the first piece comes long before the last.
        ask: dict[str, Any] = {"model": entry.id, "file": ("long.wav", chapter()), "stream": True}
        *deltas, done = client.audio.transcriptions.create(**ask)
        assert [each.type for each in deltas] == ["transcript.text.delta"] * len(deltas)
        assert len(deltas) > 2
        assert done.type == "transcript.text.done"
        assert "".join(each.delta for each in deltas) == done.text
        assert _SAID in done.text
        assert done.to_dict()["usage"] == {"type": "duration", "seconds": 40}
        with client.audio.transcriptions.create(
            **ask, extra_body={"stream_include_usage": True, "stream_continuous_usage_stats": True}
        ) as stream:
            first = next(stream).to_dict()
            assert first["usage"]["seconds"] < 30
            assert server.load()["server_load"] == 1
        server.until_idle()


@pytest.mark.parametrize("entry", ["whisper-base"], indirect=True)
def test_the_larger_one_finds_out_the_language(entry: Model) -> None:
    with _asked(entry) as (_, client):
        heard = client.audio.transcriptions.create(
            model="whisper-base",
            file=("speech.wav", SPOKEN.read_bytes()),
            response_format="verbose_json",
        )
        assert _SAID in heard.text
        assert heard.language == "en"


@pytest.mark.parametrize("entry", ["all-minilm-l6-v2"], indirect=True)
def test_texts_become_vectors(entry: Model) -> None:
    texts = ["This is an example sentence", "A cat sits on the mat.", "A kitten rests on the rug."]
    with _asked(entry, "--waiting-max", "0") as (server, client):
        # The client asks for base64 by itself, and decodes it.
        made = client.embeddings.create(model=entry.id, input=texts)
        vectors = np.array([each.embedding for each in made.data])
        assert vectors.shape == (3, 384)
        assert vectors[0][:3] == pytest.approx((0.0677, 0.0635, 0.0487), abs=1e-4)
        assert vectors[1] @ vectors[2] > 0.5
        assert (made.usage.prompt_tokens, made.usage.total_tokens) == (25, 25)
        floats = client.embeddings.create(model=entry.id, input=texts[0], encoding_format="float")
        assert floats.data[0].embedding == pytest.approx(vectors[0], abs=1e-7)
        counted = httpx.post(f"{server.url}/tokenize", json={"prompt": texts[0]}).json()
        tokens = client.embeddings.create(model=entry.id, input=counted["tokens"])
        assert tokens.data[0].embedding == pytest.approx(vectors[0], abs=1e-7)
        with pytest.raises(openai.BadRequestError) as long:
            client.embeddings.create(model=entry.id, input="word " * 300)
        assert long.value.code == "context_length_exceeded"
        bodies = [
            {},
            {"input": []},
            {"input": [""]},
            {"input": [1, "a"]},
            {"input": [10**6]},
            {"input": "a", "dimensions": 3},
        ]
        path = f"{server.url}/v1/embeddings"
        assert {
            param for _, param, _ in refused([httpx.post(path, json=each) for each in bodies])
        } == {"body", "input", "dimensions"}
        # Who leaves stops it: after that there is a place again.
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=0.2).embeddings.create(
                model=entry.id, input=["word " * 200] * 500
            )
        server.until_idle()
        client.embeddings.create(model=entry.id, input="a")


@pytest.mark.parametrize("entry", ["terrain-11m"], indirect=True)
def test_a_seed_is_a_picture(entry: Model) -> None:
    with _asked(entry) as (server, client):
        ask = client.images
        made = ask.generate(
            model=entry.id, prompt="A landscape", n=2, size="256x256", extra_body={"seed": 7}
        )
        assert made.data is not None
        files = [base64.b64decode(each.b64_json or "") for each in made.data]
        with Image.open(io.BytesIO(files[0])) as picture:
            assert (picture.format, picture.size) == ("PNG", (256, 256))
            assert np.asarray(picture).std() > 10
        assert files[0] != files[1]
        again = ask.generate(
            model=entry.id,
            prompt="Another",
            size="256x256",
            extra_body={"seed": 8},
            response_format="b64_json",
        )
        assert again.data is not None
        assert base64.b64decode(again.data[0].b64_json or "") == files[1]
        path = f"{server.url}/v1/images/generations"
        fields: list[dict[str, Any]] = [
            {"size": "9x9"},
            {"size": "wide"},
            {"n": 11},
            {"response_format": "url"},
            {"style": "vivid"},
            {"prompt": ""},
        ]
        answers = [httpx.post(path, json={"prompt": "?", **each}) for each in fields]
        assert [param for _, param, _ in refused(answers)] == [
            *(key for each in fields for key in each)
        ]

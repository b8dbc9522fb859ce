"""Asking models in the SDK. What the api answers is tests/coordinator/test_api_model_answers.py's."""

import hashlib
import io
import json
from decimal import Decimal
from pathlib import Path

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from coordinator.served import ServedWorld, served_in_thread
from neurogrid import Client
from neurogrid.cli.group import neurogrid
from neurogrid.errors import (
    ConnectionFailed,
    InvalidRequestError,
    NotFoundError,
    ServerError,
    TaskFailedError,
)
from neurogrid.models.catalogue import TextAnswer, Transcription
from neurogrid_coordinator.services.models import ModelSettings
from neurogrid_marketplace.model_catalogue import parse_catalogue

_COMMON = {"id": "task_1", "node_id": "n", "execution_time": 0.5, "cost": 0.01, "cost_usdc": "0.01"}
_TEXT = {
    **_COMMON,
    "model": "small",
    "generated_text": " or not",
    "finish_reason": "stop",
    "usage": {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4},
    "seed": 7,
}
_IMAGE = {
    **_COMMON,
    "model": "large",
    "image_url": "/api/v1/tasks/task_1/outputs/image.png",
    "parameters_used": {"width": 64, "height": 32, "steps": 3, "seed": 42},
}


def test_a_model_is_asked_and_its_answer_is_typed() -> None:
    sent: list[tuple[str, dict[str, object]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers.get("idempotency-key") == (
            "one" if "castle" in str(request.content) else None
        )
        sent.append((request.url.path, json.loads(request.content)))
        if "nobody" in request.content.decode():
            error = {"code": "MODEL_UNAVAILABLE", "message": "there is no model 'nobody'"}
            return httpx.Response(404, json={"success": False, "error": error})
        data = _TEXT if request.url.path.endswith("/text") else _IMAGE
        return httpx.Response(200, json={"success": True, "data": data})

    with Client("ng_key", "http://world", transport=httpx.MockTransport(answer)) as client:
        text = client.models.generate_text("small", "To be", parameters={"seed": 7}, region="eu")
        assert (text.generated_text, text.usage.total_tokens, text.seed) == (" or not", 4, 7)
        assert text.cost_usdc == Decimal("0.01")
        image = client.models.generate_image(
            "large", "A castle", negative_prompt="fog", idempotency_key="one"
        )
        assert image.parameters_used.width == 64
        with pytest.raises(NotFoundError):
            client.models.generate_text("nobody", "To be")
    places = {"region": "eu", "min_performance_score": 0}
    assert sent[0] == (
        "/api/v1/models/generate/text",
        {
            "model": "small",
            "prompt": "To be",
            "messages": [],
            "parameters": {"seed": 7},
            "node_preferences": places,
        },
    )


def _events(*events: tuple[str, object]) -> httpx.Response:
    lines = [f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events]
    return httpx.Response(200, text=": keep-alive\n\n" + "".join(lines))


def test_a_text_is_streamed_and_its_end_is_the_answer_or_says_what_went_wrong() -> None:
    said: list[httpx.Response] = []

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/v1/models/generate/text"
        assert json.loads(request.content)["stream"] is True
        assert "idempotency-key" not in request.headers
        return said.pop(0)

    with Client("ng_key", "http://world", transport=httpx.MockTransport(answer)) as client:
        said.append(
            _events(("text", {"text": " or"}), ("text", {"text": " not"}), ("answer", _TEXT))
        )
        *pieces, whole = client.models.stream_text("small", "To be")
        assert pieces == [" or", " not"]
        assert isinstance(whole, TextAnswer)
        assert whole.generated_text == " or not"
        failed = {"code": "TASK_FAILED", "message": "its server broke off", "details": {}}
        said.append(_events(("text", {"text": " or"}), ("error", failed)))
        coming = client.models.stream_text("small", "To be")
        assert next(coming) == " or"
        with pytest.raises(TaskFailedError, match="broke off"):
            next(coming)
        said.append(_events(("text", {"text": " or"})))
        with pytest.raises(ConnectionFailed, match="broke off"):
            list(client.models.stream_text("small", "To be"))
        unknown = {"code": "MODEL_UNAVAILABLE", "message": "there is no model 'small'"}
        said.append(httpx.Response(404, json={"success": False, "error": unknown}))
        with pytest.raises(NotFoundError):
            next(client.models.stream_text("small", "To be"))


def test_a_transcript_is_streamed_as_it_is_heard() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        assert request.url.path == "/api/v1/models/transcribe"
        heard = {
            **_COMMON,
            "model": "ear",
            "transcription": "To be.",
            "language": "en",
            "segments": [],
        }
        return _events(("text", {"text": "To"}), ("text", {"text": " be."}), ("answer", heard))

    with Client("ng_key", "http://world", transport=httpx.MockTransport(answer)) as client:
        file = io.BytesIO(b"RIFF sound")
        *pieces, whole = client.models.stream_transcript("ear", file, language="en")
        assert pieces == ["To", " be."]
        assert isinstance(whole, Transcription)
        assert whole.transcription == "To be."
        assert sent[0].headers["content-type"].startswith("multipart/form-data; boundary=")
        for name, value in (("model", "ear"), ("language", "en"), ("stream", "true")):
            assert f'name="{name}"\r\n\r\n{value}\r\n'.encode() in sent[0].content
        assert b"RIFF sound" in sent[0].content
        with pytest.raises(InvalidRequestError):
            next(client.models.stream_transcript("ear", io.BytesIO()))
        assert len(sent) == 1


def test_only_what_has_a_key_is_asked_again_where_its_connection_was_lost() -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("idempotency-key", ""))
        if len(sent) == 1:
            raise httpx.ConnectError("nobody listens yet")
        if len(sent) == 2:
            raise httpx.ReadError("cut")
        return httpx.Response(200, json={"success": True, "data": _TEXT})

    with Client("ng_key", "http://world", transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(ConnectionFailed):
            client.models.generate_text("small", "To be")
        # What was never sent is sent again.
        assert sent == ["", ""]
        sent[1:] = []
        assert client.models.generate_text("small", "To be", idempotency_key="one").seed == 7
        assert sent == ["", "one", "one"]


def test_an_image_is_fetched_from_where_its_answer_says(tmp_path: Path) -> None:
    image = b"an image"
    digest = hashlib.sha256(image).hexdigest()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/image"):
            url = f"http://elsewhere/api/v1/artifacts/{digest}"
            return httpx.Response(200, json={"success": True, "data": {**_IMAGE, "image_url": url}})
        assert (request.url.host, request.url.path) == ("world", f"/api/v1/artifacts/{digest}")
        return httpx.Response(200, content=image)

    with Client("ng_key", "http://world", transport=httpx.MockTransport(answer)) as client:
        made = client.models.generate_image("large", "A castle")
        file = client.models.save_image(made, tmp_path / "castle.png")
        assert file.read_bytes() == image
        odd = msgspec.structs.replace(made, image_url="http://world/elsewhere")
        with pytest.raises(ConnectionFailed, match="no file"):
            client.models.save_image(odd, tmp_path / "castle.png")


def test_a_model_with_a_server_is_shown_with_the_prices_of_its_units(tmp_path: Path) -> None:
    catalogue = Path(__file__).parents[2] / "configs/models-production.toml"
    settings = ModelSettings(parse_catalogue(catalogue.read_text(), "production"))
    with served_in_thread(tmp_path / "api", models=settings) as api:
        alice = api.run(lambda world: world.customer("alice"))
        with Client(alice.key, api.address) as client:
            model = client.models.get("whisper-large-v3")
        assert model.pricing.units == {"per_audio_second": Decimal("0.00005")}
        assert model.server is not None
        assert model.server.features == ["words"]
        environment = {"NEUROGRID_API_URL": api.address, "NEUROGRID_API_KEY": alice.key}
        told = [
            CliRunner().invoke(neurogrid, ["models", *arguments], env=environment).stdout
            for arguments in (["show", "whisper-large-v3"], ["list", "--type", "text"])
        ]
    assert "0.00005 USDC per second of audio at most" in told[0]
    assert "/v1/audio/transcriptions" in told[0]
    assert "per hour" not in told[0], "no task runs it"
    assert "0.10 USDC per million tokens read; 0.30 USDC per million tokens written" in told[1]


def test_a_recording_is_sent_as_a_form(api: ServedWorld, tmp_path: Path) -> None:
    recording = tmp_path / "speech.wav"
    recording.write_bytes(b"sound")
    alice = api.run(lambda world: world.customer("alice"))
    with Client(alice.key, api.address, retries_max=0) as client:
        # Nobody answers in that world; its task shows what arrived.
        with pytest.raises(ServerError, match="did not end in time"):
            client.models.transcribe("ear", recording, language="en")
        (listed,) = client.tasks.list()
        task = client.tasks.get(listed.id)
    assert {each.path: each.size for each in task.inputs}["recording.wav"] == 5


def test_a_catalogue_is_checked_without_a_coordinator(tmp_path: Path) -> None:
    file = Path(__file__).parents[2] / "configs/models.toml"
    told = CliRunner().invoke(neurogrid, ["models", "validate", str(file)])
    assert (told.exit_code, "no mistake" in told.output) == (0, True)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(file.read_text().replace('type = "text"', 'type = "smell"'))
    told = CliRunner().invoke(neurogrid, ["models", "validate", str(wrong)])
    assert told.exit_code == 1
    assert (
        "model[0] (bard-1m): type: 'smell' is none of text, image, audio, embedding" in told.output
    )

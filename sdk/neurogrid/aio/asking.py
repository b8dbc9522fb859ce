"""Models: which there are, and asking one for a text, an image or a transcription."""

import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit

import httpx
import msgspec

from ..answers import refused
from ..errors import ConnectionFailed, InvalidRequestError
from ..models import Task
from ..models.catalogue import (
    Embeddings,
    ImageAnswer,
    ModelAnswer,
    ModelInfo,
    ModelPage,
    ModelType,
    TextAnswer,
    Transcription,
)
from ..task_body import Priority
from .artifacts import Artifacts
from .runtime import blocking
from .sse import read_events
from .tasks import Tasks
from .transport import STREAM_SILENCE_S, Transport

_PATH = "/models"
# Longer than coordinators wait for a model by themselves.
_ANSWER_S = 400.0
# As docs/models.md has it.
_RECORDING_BYTES_MAX = 25 * 1024 * 1024

A = TypeVar("A", bound=ModelAnswer)


class _Piece(msgspec.Struct):
    text: str


class Models:
    """The models of a coordinator's catalogue."""

    def __init__(self, transport: Transport, artifacts: Artifacts, tasks: Tasks) -> None:
        self._transport = transport
        self._artifacts = artifacts
        self._tasks = tasks

    async def list(
        self, *, type: ModelType | None = None, category: str | None = None
    ) -> list[ModelInfo]:
        """Those of a type and a category; left out: all."""
        wanted = {"type": type, "category": category}
        params = {name: value for name, value in wanted.items() if value is not None}
        return (await self._transport.call(ModelPage, "GET", _PATH, params=params)).models

    async def get(self, model: str) -> ModelInfo:
        """The model with this id or alias.

        Raises:
            NotFoundError: there is none; the message lists those that there are.
        """
        return await self._transport.call(ModelInfo, "GET", f"{_PATH}/{model}")

    async def submit(
        self,
        model: str,
        prompt: str = "",
        *,
        messages: Sequence[Mapping[str, str]] = (),
        texts: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
        name: str = "",
        priority: Priority = "normal",
        depends_on: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> Task:
        """Ask a model by a task of its own, which is followed by its id, may wait, depend on others and be cancelled.

        What it answers is in its output ``result.json``: of a text, ``text``.

        Args:
            prompt: of text and images; of text ``messages`` may be given in its place, of embeddings ``texts``.
            parameters: as in `generate_text` and `generate_image`.
            depends_on: tasks that must have completed before.
            idempotency_key: the same key with the same request is the same task.

        Raises:
            NotFoundError: there is no such model.
            InvalidRequestError, InsufficientFundsError, ProviderUnavailableError: nothing was submitted.
        """
        asked: dict[str, Any] = {
            "kind": "model",
            "model": model,
            "prompt": prompt,
            "messages": list(messages),
            "texts": list(texts),
            "parameters": dict(parameters or {}),
            "name": name,
            "priority": priority,
            "depends_on": list(depends_on),
        }
        # What a model does not take is not named.
        body = {field: value for field, value in asked.items() if value not in ("", [], {})}
        key = idempotency_key or uuid.uuid4().hex
        headers = {"Idempotency-Key": key}
        return await self._transport.call(Task, "POST", "/tasks", json=body, headers=headers)

    async def generate_text(
        self,
        model: str,
        prompt: str = "",
        *,
        messages: Sequence[Mapping[str, str]] = (),
        parameters: Mapping[str, Any] | None = None,
        region: str | None = None,
        min_performance_score: float = 0,
        idempotency_key: str | None = None,
    ) -> TextAnswer:
        """Have a model write a text, and wait for it.

        Args:
            messages: instead of a prompt: each a ``role`` (system, user, assistant) and its ``content``.
            parameters: max_tokens, temperature, top_p, stop_sequences, seed.
            min_performance_score: of the node, 0 to 100.
            idempotency_key: the same key with the same request is not paid for twice. Without one a request whose connection is
                lost is not sent again: nothing more is computed for it, and it may be asked anew.

        Raises:
            ApiError: no node took it, it failed, or it did not end in time.
        """
        body = {"model": model, "prompt": prompt, "messages": list(messages)}
        return await self._ask(
            TextAnswer, "text", body, parameters, region, min_performance_score, idempotency_key
        )

    async def stream_text(
        self,
        model: str,
        prompt: str = "",
        *,
        messages: Sequence[Mapping[str, str]] = (),
        parameters: Mapping[str, Any] | None = None,
        region: str | None = None,
        min_performance_score: float = 0,
    ) -> AsyncGenerator[str | TextAnswer]:
        """Have a model write a text: its pieces as they come, and the whole answer in the end.

        Whoever stops before the end (``close()``, an exception, Ctrl-C) has nothing more computed, and pays for what came.

        Args:
            as of `generate_text`.

        Raises:
            ApiError: as of `generate_text`; also in the middle.
            ConnectionFailed: it broke off.
        """
        body = {
            "model": model,
            "prompt": prompt,
            "messages": list(messages),
            "parameters": dict(parameters or {}),
            "node_preferences": _where(region, min_performance_score),
            "stream": True,
        }
        listening = self._listen(TextAnswer, model, f"{_PATH}/generate/text", json=body)
        async with aclosing(listening) as pieces:
            async for piece in pieces:
                yield piece

    async def embed(self, model: str, texts: Sequence[str]) -> Embeddings:
        """Have a model turn texts into vectors, in their order, by the coordinator's OpenAI dialect.

        Raises:
            ApiError: no node took it, it failed, or the model makes none.
        """
        response = await self._transport.send(
            "POST",
            "/v1/embeddings",
            json={"model": model, "input": list(texts)},
            silence_s=_ANSWER_S,
            repeats_sent=False,
        )
        try:
            return msgspec.json.decode(response.content, type=Embeddings)
        except msgspec.DecodeError as error:
            raise ConnectionFailed(
                f"the answer of {model} is no list of vectors: {error}"
            ) from error

    async def generate_image(
        self,
        model: str,
        prompt: str,
        *,
        negative_prompt: str = "",
        parameters: Mapping[str, Any] | None = None,
        region: str | None = None,
        min_performance_score: float = 0,
        idempotency_key: str | None = None,
    ) -> ImageAnswer:
        """Have a model make an image, and wait for it. `save_image` fetches it.

        Args:
            parameters: width, height, steps, guidance_scale, seed.
            others: as of `generate_text`.

        Raises:
            ApiError: as of `generate_text`.
        """
        body = {"model": model, "prompt": prompt, "negative_prompt": negative_prompt}
        return await self._ask(
            ImageAnswer, "image", body, parameters, region, min_performance_score, idempotency_key
        )

    async def save_image(self, answer: ImageAnswer, file: str | PathLike[str]) -> Path:
        """Fetch the image of an answer into this file, checked against its hash.

        Raises:
            ConnectionFailed: the answer names no file of this account's.
            others: see `Tasks.save_output`, `Artifacts.save`.
        """
        path = urlsplit(answer.image_url).path
        _, of_task, output = path.partition(f"/tasks/{answer.id}/outputs/")
        if of_task and output:
            return await self._tasks.save_output(answer.id, unquote(output), file)
        _, is_artifact, sha256 = path.partition("/artifacts/")
        if not is_artifact or not sha256:
            raise ConnectionFailed(f"{answer.image_url!r} is no file of this account's")
        return await self._artifacts.save(sha256, file)

    async def transcribe(
        self,
        model: str,
        file: str | PathLike[str] | BinaryIO,
        *,
        language: str | None = None,
        idempotency_key: str | None = None,
    ) -> Transcription:
        """Have a model write down what a recording says, and wait for it.

        Args:
            file: a path, or what is open for reading; at most 25 MiB.
            language: as "en"; left out, it is found out.
            idempotency_key: as of `generate_text`.

        Raises:
            OSError: the file can't be read.
            InvalidRequestError: it is empty or too large.
            ApiError: as of `generate_text`.
        """
        body, kind = await blocking(_form, model, file, language, {})
        return await self._transport.call(
            Transcription,
            "POST",
            f"{_PATH}/transcribe",
            body=body,
            headers={"Content-Type": kind, **_keyed(idempotency_key)},
            silence_s=_ANSWER_S,
            repeats_sent=idempotency_key is not None,
        )

    async def stream_transcript(
        self,
        model: str,
        file: str | PathLike[str] | BinaryIO,
        *,
        language: str | None = None,
    ) -> AsyncGenerator[str | Transcription]:
        """Have a model write down what a recording says: its pieces as they are heard, and the whole answer in the end.

        Whoever stops before the end (``close()``, an exception, Ctrl-C) has nothing more computed, and pays for the seconds that
        were heard by then.

        Args:
            as of `transcribe`.

        Raises:
            as `transcribe`; also in the middle.
            ConnectionFailed: it broke off.
        """
        body, kind = await blocking(_form, model, file, language, {"stream": "true"})
        listening = self._listen(
            Transcription,
            model,
            f"{_PATH}/transcribe",
            body=body,
            headers={"Content-Type": kind},
        )
        async with aclosing(listening) as pieces:
            async for piece in pieces:
                yield piece

    async def _listen(
        self, kind: type[A], model: str, path: str, **request: Any
    ) -> AsyncGenerator[str | A]:
        """The pieces of an answer, and the answer."""
        async with AsyncExitStack() as stack:
            response = await self._transport.repeat(
                repeats_sent=False,
                attempt=lambda: stack.enter_async_context(
                    self._transport.stream(
                        path, method="POST", silence_s=STREAM_SILENCE_S, **request
                    )
                ),
            )
            try:
                # Held until the connection is closed, which closes what httpx has below them.
                arriving = response.aiter_lines()
                async with aclosing(read_events(arriving)) as events:
                    async for event in events:
                        match event.event:
                            case "text":
                                yield msgspec.json.decode(event.data, type=_Piece).text
                            case "answer":
                                yield msgspec.json.decode(event.data, type=kind)
                                return
                            case "error":
                                said = f'{{"error":{event.data}}}'.encode()
                                raise refused(httpx.codes.INTERNAL_SERVER_ERROR, said, None)
            except httpx.TransportError as error:
                raise ConnectionFailed(f"the answer of {model} broke off: {error}") from error
        raise ConnectionFailed(f"the answer of {model} broke off")

    async def _ask(
        self,
        kind: type[A],
        path: str,
        body: Mapping[str, Any],
        parameters: Mapping[str, Any] | None,
        region: str | None,
        score: float,
        idempotency_key: str | None,
    ) -> A:
        where = _where(region, score)
        return await self._transport.call(
            kind,
            "POST",
            f"{_PATH}/generate/{path}",
            json={**body, "parameters": dict(parameters or {}), "node_preferences": where},
            headers=_keyed(idempotency_key),
            silence_s=_ANSWER_S,
            repeats_sent=idempotency_key is not None,
        )


def _keyed(idempotency_key: str | None) -> dict[str, str]:
    return {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}


def _where(region: str | None, score: float) -> dict[str, Any]:
    return {"region": region, "min_performance_score": score}


def _form(
    model: str,
    file: str | PathLike[str] | BinaryIO,
    language: str | None,
    more: Mapping[str, str],
) -> tuple[bytes, str]:
    """A form with a recording, and its type of content."""
    name, data = _recording(file)
    fields = {"model": model, **({} if language is None else {"language": language}), **more}
    form = httpx.Request("POST", "", data=fields, files={"file": (name, data)})
    return form.read(), form.headers["Content-Type"]


def _recording(file: str | PathLike[str] | BinaryIO) -> tuple[str, bytes]:
    """Its name, and what is in it."""
    if isinstance(file, str | PathLike):
        with Path(file).open("rb") as opened:
            return _recording(opened)
    name = Path(str(getattr(file, "name", ""))).name or "recording"
    data = file.read(_RECORDING_BYTES_MAX + 1)
    if 0 < len(data) <= _RECORDING_BYTES_MAX:
        return name, data
    words = "is empty" if not data else "has more than 25 MiB: compress it, or send it in pieces"
    raise InvalidRequestError(
        f"{name} {words}", code="INVALID_REQUEST", status=422, details={"field": "file"}
    )

"""Asking a model in OpenAI's form: the one door between `/v1` and whatever computes the answer.

Who asks here gets an answer as it is to be sent, or its pieces as they come, or a refusal; nothing here knows HTTP. A replica of
the model answers where it has a server (`replica_answers`); else a task computes it (`services.models`), so all of a text
comes in one piece.
"""

import base64
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_catalogue import Model
from neurogrid_marketplace.model_requests import ModelResult
from neurogrid_marketplace.model_routing import (
    ANYWHERE,
    ProviderPreferences,
    attempts,
    cap_micro_usdc,
)

from ..artifacts import BlobStore
from ..openai import answers, by_task
from ..openai.answers import Bill
from ..openai.by_task import ForProgram
from ..openai.fields import Unsupported, given
from ..openai.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    TranscriptionRequest,
)
from ..store.accounts import Account
from ..store.tasks import TaskRow
from .errors import InvalidRequest, NobodyAnswered, NodeUnavailable, NotAnswered, Refused
from .models import FileGiven, ModelRun, Models, ModelWanted, find_model
from .replica_answers import ReplicaAnswers, Wanted
from .result_wait import output_bytes
from .unanswered import unanswered

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
# As large as an answer with an image in it may be.
_IMAGE_BYTES_MAX = 24 * 1024 * 1024
_MS_PER_S = 1000
_encode = msgspec.json.Encoder().encode
FileUrl = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a model.

    Attributes:
        recording: the file of a transcription, an artifact of the account.
        file_url: where the file of an answer can be read, by its task and its path there.
        idempotency_key: of its sender; the same request again has the same answer.
    """

    request: Request
    recording: FileGiven | None = None
    file_url: FileUrl | None = None
    idempotency_key: str | None = None

    @property
    def routing(self) -> ProviderPreferences:
        """Who may compute it."""
        wanted: ProviderPreferences = given(getattr(self.request, "provider", None), ANYWHERE)
        return wanted


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, as it is to be sent; the headers say what it cost where its text cannot."""

    content: bytes
    media_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Inference:
    """Asks models."""

    def __init__(
        self, models: Models, blobs: BlobStore, replicas: ReplicaAnswers | None = None
    ) -> None:
        self._models = models
        self._blobs = blobs
        self._replicas = replicas

    def check(self, request: Request) -> None:
        """See that a request can be asked, as far as that is known before anybody is.

        Raises:
            ModelUnavailable: there is no such model, or it is of another kind.
            NobodyAnswered: only servers answer for it.
            InvalidRequest: the model cannot do what is asked, or a value breaks a rule.
        """
        self._prepared(request, "recording")

    async def answer(self, account: Account, asked: Asked) -> Answer:
        """The whole answer; who is cancelled while it waits has nothing computed and pays for nothing more.

        Raises:
            as `check`.
            NodeUnavailable, NobodyAnswered: nobody could serve it, or did in time.
            NotAnswered: who computed it failed, or answered nothing that can be read.
            others: see `Tasks.submit` and `ReplicaAnswers`.
        """
        replicas = self._by_replica(asked)
        if replicas is not None:
            said, bill = await replicas.whole(account, self._wanted(asked))
            return Answer(said, headers=_headers(bill))
        result, row, bill = await self._run(account, asked)
        headers = _headers(bill)
        if isinstance(asked.request, TranscriptionRequest):
            words = _subtitles(asked.request, result, row)
            if words is not None:
                return Answer(words.encode("utf-8", "replace"), _TEXT, headers)
        content = await self._content(asked.request, result, row, bill, asked.file_url)
        return Answer(_encode(content), headers=headers)

    async def answered(
        self, request: Request, row: TaskRow, file_url: FileUrl | None = None
    ) -> dict[str, Any]:
        """The answer to a request whose task has ended.

        Raises:
            Refused: there is none, and why.
        """
        model = find_model(self._models.settings, request.model, by_task.TYPES[type(request)])
        result, bill = _read(request, model, await self._models.result(row))
        return await self._content(request, result, row, bill, file_url)

    def prepared(self, request: Request) -> tuple[Model, ForProgram, int | None]:
        """A request as a program takes it: of which model, and what it may cost at most, micro-USDC.

        Raises:
            as `check`.
        """
        return self._prepared(request, "recording")

    async def _content(
        self,
        request: Request,
        result: ModelResult,
        row: TaskRow,
        bill: Bill,
        file_url: FileUrl | None,
    ) -> dict[str, Any]:
        match request:
            case ChatRequest():
                return answers.chat(result, bill)
            case CompletionRequest():
                return answers.completion(result, bill)
            case EmbeddingRequest():
                return _embeddings(request, result, row, bill)
            case ImageRequest():
                shown = await self._shown(request, result, row, file_url)
                return answers.image(result, shown, bill)
            case TranscriptionRequest():
                return answers.transcription(request, result, bill)

    async def pieces(self, account: Account, asked: Asked) -> AsyncGenerator[bytes]:
        """The same in pieces: the JSON of each event of a stream; closing it early is as being cancelled.

        Raises:
            as `answer`, before the first piece or after any.
        """
        replicas = self._by_replica(asked)
        if replicas is not None:
            async with aclosing(replicas.pieces(account, self._wanted(asked))) as pieces:
                async for piece in pieces:
                    yield piece
            return
        result, _, bill = await self._run(account, asked)
        events: Iterator[dict[str, Any]]
        match asked.request:
            case ChatRequest() | CompletionRequest() as request:
                events = answers.chunks(request, result, bill)
            case TranscriptionRequest() as request:
                events = answers.heard(request, result, bill)
            case _:
                raise InvalidRequest("stream: this is not streamed", "stream")
        for event in events:
            yield _encode(event)

    def _by_replica(self, asked: Asked) -> ReplicaAnswers | None:
        """Who asks replicas, where one is to answer this; None: a task computes it.

        The same answer again is kept of tasks alone, so who sends a key for that has one where there can be one.
        """
        if self._replicas is None:
            return None
        model = self._found(asked.request)
        if not self._replicas.answers(asked.request, model):
            return None
        if asked.idempotency_key is None:
            return self._replicas
        if not model.tasks:
            raise InvalidRequest(
                f"Idempotency-Key: answers of {model.id} are not kept; send none", "Idempotency-Key"
            )
        return None

    def _wanted(self, asked: Asked) -> Wanted:
        return Wanted(
            asked.request, self._found(asked.request), asked.routing, self._models.settings.wait_s
        )

    def _found(self, request: Request) -> Model:
        return find_model(self._models.settings, request.model, by_task.TYPES[type(request)])

    async def _run(self, account: Account, asked: Asked) -> tuple[ModelResult, TaskRow, Bill]:
        recording = asked.recording
        model, program, cap = self._prepared(
            asked.request, "" if recording is None else recording.path, asked.routing
        )
        run = await self._somewhere(account, asked, model, program, cap)
        result, bill = _read(asked.request, model, run)
        return result, run.row, bill

    async def _somewhere(
        self, account: Account, asked: Asked, model: Model, program: ForProgram, cap: int | None
    ) -> ModelRun:
        """Ask whom the client wants first, then the others."""
        recording, routing = asked.recording, asked.routing
        tries = attempts(routing)
        for number, where in enumerate(tries, 1):
            wanted = ModelWanted(
                model=model.id,
                asked=program.asked,
                parameters=program.parameters,
                files=() if recording is None else (recording,),
                max_total_cost_micro_usdc=cap,
                regions=() if routing.region is None else (routing.region,),
                where=where,
                idempotency_key=asked.idempotency_key,
            )
            try:
                return await self._models.run(account, self._models.submission(wanted))
            except NodeUnavailable:
                if number == len(tries):
                    raise
        raise AssertionError("there is always a try")

    def _prepared(
        self, request: Request, recording: str, routing: ProviderPreferences | None = None
    ) -> tuple[Model, ForProgram, int | None]:
        model = find_model(self._models.settings, request.model, by_task.TYPES[type(request)])
        if not model.tasks:
            raise NobodyAnswered(
                f"{model.id} is answered by servers that stay, and this coordinator keeps none ([models] replicas)",
                {},
            )
        program = by_task.for_program(request, model, recording)
        return model, program, _cap(routing or Asked(request).routing, request)

    async def _shown(
        self, request: ImageRequest, result: ModelResult, row: TaskRow, file_url: FileUrl | None
    ) -> dict[str, str]:
        """The image as the request wants it."""
        left = row.state.result.outputs if row.state.result is not None else ()
        if result.image is None or result.image not in {output.path for output in left}:
            raise _unreadable(row)
        if file_url is not None and given(request.response_format, "b64_json") == "url":
            return {"url": file_url(row.id, result.image)}
        data = await output_bytes(row, self._blobs, result.image, _IMAGE_BYTES_MAX)
        if data is None:
            raise _unreadable(row)
        return {"b64_json": base64.b64encode(data).decode()}


def _headers(bill: Bill) -> dict[str, str]:
    return {
        "X-NeuroGrid-Request-Id": bill.id,
        "X-NeuroGrid-Cost-Micro-USDC": str(bill.cost_micro_usdc),
    }


def _read(request: Request, model: Model, run: ModelRun) -> tuple[ModelResult, Bill]:
    """What an ended task has left for a request.

    Raises:
        Refused: nothing that answers it, and why.
    """
    row = run.row
    if run.result is None:
        raise unanswered(row)
    by_task.require_whole_prompt(request, model, run.result.usage.prompt_tokens)
    created_s = row.created_at_ms // _MS_PER_S
    return run.result, Bill(row.id, created_s, model, row.node_id, row.cost_micro_usdc)


def _cap(routing: ProviderPreferences, request: Request) -> int | None:
    """What a request may cost at most, micro-USDC.

    Raises:
        Unsupported: it wants what holds of nodes that are paid by units alone.
    """
    if routing.sort in ("throughput", "latency"):
        raise Unsupported(
            f"provider.sort: {routing.sort!r} is not known of nodes that compute a request as a task; price and "
            "the time until it begins decide",
            "provider.sort",
            value=True,
        )
    price = routing.max_price
    if price is None:
        return None
    for name in ("prompt", "completion"):
        if getattr(price, name) is not None:
            raise Unsupported(
                f"provider.max_price.{name}: this model is paid by the time that its node works; cap the whole with "
                "provider.max_price.request",
                f"provider.max_price.{name}",
            )
    try:
        return cap_micro_usdc(price)
    except InvalidValue as error:
        name = f"provider.max_price.{str(error).partition(':')[0]}"
        raise InvalidRequest(f"provider.max_price.{error}", name) from error


def _embeddings(
    request: EmbeddingRequest, result: ModelResult, row: TaskRow, bill: Bill
) -> dict[str, Any]:
    texts = 1 if isinstance(request.input, str) else len(request.input)
    try:
        made = answers.embeddings(request, result, bill)
    except OverflowError:
        # A number that none of 32 bits is.
        raise _unreadable(row) from None
    if len(result.embeddings) != texts:
        raise _unreadable(row)
    return made


def _subtitles(request: TranscriptionRequest, result: ModelResult, row: TaskRow) -> str | None:
    """The text of a transcript in a form that is no JSON; None: it is wanted as JSON."""
    match given(request.response_format, "json"):
        case "text":
            return f"{result.text.strip()}\n"
        case "srt" | "vtt" as form:
            if result.text.strip() and not result.segments:
                raise _unreadable(row)
            return (answers.srt if form == "srt" else answers.vtt)(result.segments)
    return None


def _unreadable(row: TaskRow) -> Refused:
    details: dict[str, Any] = {"task_id": row.id, "phase": row.phase.value}
    return NotAnswered(f"{row.id} completed, and left no result that can be read", details)

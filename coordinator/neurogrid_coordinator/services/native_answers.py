"""What models answer in the market's own terms: to the native API, and to document 004.

A replica answers where one can (`inference`), in OpenAI's form, which is read back; else a task computes it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.model_catalogue import ModelType
from neurogrid_marketplace.model_requests import (
    ModelInput,
    ModelResult,
    check_input,
    whole_parameters,
)

from ..openai import native_form
from ..openai.fields import given
from ..openai.recordings import Recording
from ..openai.requests import Request, TranscriptionRequest
from ..openai.server_answers import NoAnswer
from ..store.accounts import Account
from ..store.tasks import TaskRow
from .artifacts import Artifacts, Upload
from .errors import NotAnswered, Unavailable
from .inference import Inference
from .model_questions import Asked, Link
from .models import FileGiven, Models, ModelWanted, find_model
from .unanswered import unanswered

# Of a task that has left an image: where its output of this name is read, with the account's key.
OutputUrl = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Places:
    """Where an image that is asked for is read: ``link`` of a replica's, which is a file of the account; ``output`` of a task's."""

    link: Link
    output: OutputUrl


@dataclass(frozen=True, slots=True)
class Answered:
    """What a model has answered.

    Attributes:
        id: of the task that computed it; of a replica's answer the lease for use that pays for it.
        request_id: of this very answer.
        image_url: where its image is; None: there is none.
    """

    id: str
    request_id: str
    model_id: str
    node_id: str | None
    cost_micro_usdc: int
    result: ModelResult
    image_url: str | None = None


class NativeAnswers:
    """See the module."""

    def __init__(self, models: Models, artifacts: Artifacts, inference: Inference) -> None:
        self._models = models
        self._artifacts = artifacts
        self._inference = inference

    async def answer(
        self,
        account: Account,
        wanted: ModelWanted,
        model_type: ModelType,
        *,
        recording: Recording | None = None,
        places: Places | None = None,
        wait_s: float | None = None,
    ) -> Answered:
        """The whole answer.

        Args:
            recording: in place of ``wanted.files``.
            wait_s: how long it is waited for, at most; None: as the operator says.

        Raises:
            as `Models.submission`, `Models.run` and `Inference.answer`.
            Refused: there is no answer, and why.
        """
        asked = await self._asked(account, wanted, model_type, recording, places, streams=False)
        if asked is None:
            return await self._of_task(account, wanted, model_type, recording, places, wait_s)
        said: Answered | None = None
        try:
            async with (
                asyncio.timeout(wait_s),
                aclosing(self._of_replica(account, asked)) as pieces,
            ):
                async for piece in pieces:
                    if isinstance(piece, Answered):
                        said = piece
        except TimeoutError:
            raise Unavailable(f"it was not answered within {wait_s:g} s") from None
        assert said is not None, "it is the last"
        return said

    async def pieces(
        self,
        account: Account,
        wanted: ModelWanted,
        model_type: ModelType,
        recording: Recording | None = None,
    ) -> AsyncGenerator[str | Answered]:
        """Pieces of a text, or of what is said in a recording, as they come, and the answer in the end; see `answer`."""
        asked = await self._asked(account, wanted, model_type, recording, None, streams=True)
        if asked is not None:
            async with aclosing(self._of_replica(account, asked)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        answered = await self._of_task(account, wanted, model_type, recording, None, None)
        if answered.result.text:
            yield answered.result.text
        yield answered

    async def _asked(
        self,
        account: Account,
        wanted: ModelWanted,
        model_type: ModelType,
        recording: Recording | None,
        places: Places | None,
        *,
        streams: bool,
    ) -> Asked | None:
        """The request as a replica is asked it; None: a task computes it."""
        request = self._for_replica(wanted, model_type, streams=streams)
        if request is None:
            if wanted.idempotency_key is not None:
                await self._inference.require_unanswered(account, wanted.idempotency_key)
            return None
        link = None if places is None else places.link
        asked = Asked(request, recording, link, wanted.idempotency_key, _sent(wanted, model_type))
        return asked if await self._inference.is_by_replica(account, asked) else None

    async def _of_task(
        self,
        account: Account,
        wanted: ModelWanted,
        model_type: ModelType,
        recording: Recording | None,
        places: Places | None,
        wait_s: float | None,
    ) -> Answered:
        if recording is not None:
            # A model that is no model of speech is refused before anything is kept.
            find_model(self._models.settings, wanted.model, model_type)
            upload = Upload(None, recording.pieces(), recording.size_bytes)
            stored = await self._artifacts.put(account, upload)
            wanted = replace(
                wanted,
                asked=ModelInput(file=recording.name),
                files=(FileGiven(recording.name, stored.sha256),),
            )
        submission = self._models.submission(wanted, model_type)
        run = await self._models.run(account, submission, wait_s)
        if run.result is None:
            raise unanswered(run.row)
        return _answered(run.row, run.result, places, wanted.model)

    def _for_replica(
        self, wanted: ModelWanted, model_type: ModelType, *, streams: bool
    ) -> Request | None:
        """The request as replicas take it; None: it wants what is known of tasks alone."""
        model = find_model(self._models.settings, wanted.model, model_type)
        if wanted.where:
            return None
        try:
            if model.type is not ModelType.AUDIO:
                check_input(model.type, wanted.asked)
            parameters = whole_parameters(model.type, wanted.parameters)
        except InvalidValue:
            # Whoever submits says what is wrong.
            return None
        region = wanted.regions[0] if wanted.regions else None
        return native_form.openai_request(
            *(model, wanted.asked, parameters, wanted.parameters, region),
            streams=streams,
            key=wanted.idempotency_key,
        )

    async def _of_replica(self, account: Account, asked: Asked) -> AsyncGenerator[str | Answered]:
        request = asked.request
        loop = asyncio.get_running_loop()
        since_s = loop.time()
        texts: list[str] = []
        last: dict[str, Any] = {}
        took_ms: int | None = None
        if given(getattr(request, "stream", None), False) and asked.idempotency_key is None:
            async with aclosing(self._inference.pieces(account, asked)) as pieces:
                async for data in pieces:
                    value = msgspec.json.decode(data)
                    if text := native_form.text_of(value):
                        texts.append(text)
                        yield text
                    if isinstance(request, TranscriptionRequest):
                        last = value
                        continue
                    # The piece with the usage has no choices, and the one before it how the text ended.
                    kept = {name: each for name, each in value.items() if each}
                    last = {**last, **kept}
        else:
            answer = await self._inference.answer(account, asked)
            last, took_ms = msgspec.json.decode(answer.content), answer.took_ms
            is_heard = isinstance(request, TranscriptionRequest)
            if text := last["text"] if is_heard else native_form.text_of(last):
                texts.append(text)
                yield text
        origin = last["neurogrid"]
        took_s = round(loop.time() - since_s, 3) if took_ms is None else took_ms / 1000
        try:
            result = native_form.result_of(request, "".join(texts), last, took_s)
        except NoAnswer as error:
            raise NotAnswered(str(error), {"request_id": origin["request_id"]}) from error
        yield Answered(
            id=origin["task_id"],
            request_id=origin["request_id"],
            model_id=origin["model"],
            node_id=origin["node_id"],
            cost_micro_usdc=origin["cost_micro_usdc"],
            result=result,
            image_url=native_form.image_url(last),
        )


def _sent(wanted: ModelWanted, model_type: ModelType) -> bytes:
    """What a client has said, without what is drawn or filled in for it: by that its request is known again."""
    said = [model_type, wanted.model, wanted.asked, wanted.parameters, wanted.regions]
    return msgspec.json.encode(said, order="deterministic")


def _answered(row: TaskRow, result: ModelResult, places: Places | None, model: str) -> Answered:
    left = row.state.result.outputs if row.state.result is not None else ()
    url = None
    if places is not None:
        if result.image is None or result.image not in {output.path for output in left}:
            raise unanswered(row)
        url = places.output(row.id, result.image)
    return Answered(
        id=row.id,
        request_id=row.id,
        model_id=row.model or model,
        node_id=row.node_id,
        cost_micro_usdc=row.cost_micro_usdc,
        result=result,
        image_url=url,
    )

"""Models: tasks of kind "model", from what is asked of one to what it answered.

A request to a model is a container job like any other: image, command and resources are the catalogue's entry
(marketplace `model_catalogue`), what is asked is a file among its inputs, and the answer is read from the file that
its program leaves. So it is auctioned, paid, retried and receipted like any task.
"""

import asyncio
import difflib
import hashlib
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.conditions import Where
from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.fields import FilePath
from neurogrid_marketplace.model_catalogue import (
    EMPTY,
    REQUEST_FILE,
    RESULT_BYTES_MAX,
    RESULT_FILE,
    Catalogue,
    Model,
    ModelType,
)
from neurogrid_marketplace.model_requests import (
    ModelInput,
    ModelResult,
    check_input,
    read_result,
    reproducible,
    request_bytes,
    whole_parameters,
)
from neurogrid_marketplace.needs import OutputWanted, PromptPart
from neurogrid_marketplace.prompts import places_in
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.task import TERMINAL, Phase
from neurogrid_marketplace.verification import UNVERIFIED, Verification

from ..files.artifacts import BlobStore
from ..store import audit, repeats, task_lists, tasks
from ..store.accounts import Account
from ..store.database import Database
from ..store.feed import Feed
from ..store.task_lists import TaskFilter
from ..store.tasks import TaskRow
from .artifacts import Artifacts, Upload
from .errors import IdempotencyMismatch, InvalidRequest, ModelUnavailable, RateLimited
from .result_wait import ResultWait, output_bytes
from .submission import MODEL_KIND, InputWanted, ModelAsked, Submission
from .task_details import TaskDetail
from .tasks import Tasks

_UNFINISHED = frozenset(Phase) - TERMINAL
# When a place may be free again: models answer in seconds.
_RETRY_AFTER_S = 5
# As many as a message lists.
_IDS_SHOWN_MAX = 50
# Of a name that nothing has: so many that are like it, by so much of it.
_NEAREST = 3
# Who answers by servers alone is asked there.
_DIRECTLY = {
    ModelType.TEXT: "/api/v1/models/generate/text or /v1",
    ModelType.IMAGE: "/api/v1/models/generate/image or /v1",
    ModelType.AUDIO: "/api/v1/models/transcribe or /v1",
    ModelType.EMBEDDING: "/v1/embeddings",
}
_NAME_CHARS_MAX = 128


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What the operator says of models.

    Attributes:
        wait_s: how long who waits for an answer waits, at most; time in the queue included.
        batch_discount_percent: so much less than the catalogue's price is paid for requests of a batch of `/v1`.
    """

    catalogue: Catalogue = EMPTY
    wait_s: int = 300
    batch_discount_percent: int = 50


@dataclass(frozen=True, slots=True)
class FileGiven:
    """A file of the account that a model works on; ``path``: where its program finds it below /inputs."""

    path: FilePath
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelWanted:
    """A request to a model, as asked for; None: the catalogue's default.

    Attributes:
        model: an id of the catalogue, or an alias.
        parameters: some or all.
        files: what ``asked.file`` names, where it is here.
        outputs_wanted: the same, where another task will leave it.
        prompt_parts: words of ``asked`` that other tasks will leave.
        where: conditions on nodes.
    """

    model: str
    asked: ModelInput
    parameters: Mapping[str, Json] = field(default_factory=dict)
    files: Sequence[FileGiven] = ()
    outputs_wanted: tuple[OutputWanted, ...] = ()
    prompt_parts: tuple[PromptPart, ...] = ()
    name: str = ""
    priority: int = 5
    priority_reason: str = ""
    finish_by_ms: int = 0
    runs_late: bool = False
    depends_on: tuple[str, ...] = ()
    max_price_micro_usdc_per_hour: int | None = None
    max_total_cost_micro_usdc: int | None = None
    timeout_s: int | None = None
    queue_timeout_s: int | None = None
    regions: tuple[str, ...] = ()
    where: Where = ()
    wait_for_node: bool = False
    verification: Verification = UNVERIFIED
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class ModelRun:
    """A task of a model; ``result`` is None before it has completed, or where it can't be read."""

    row: TaskRow
    result: ModelResult | None


def find_model(settings: ModelSettings, name: str, model_type: ModelType | None = None) -> Model:
    """The model that clients call so.

    Args:
        model_type: what it has to be.

    Raises:
        ModelUnavailable: there is none; it lists those that there are.
    """
    model = settings.catalogue.find(name)
    if model is None or model_type not in (None, model.type):
        wanted = None if model_type is None else model_type.value
        there = settings.catalogue.listed(wanted)
        names = {each.lower(): each for model in there for each in (model.id, *model.aliases)}
        near = difflib.get_close_matches(name[:_NAME_CHARS_MAX].lower(), names, _NEAREST)
        raise ModelUnavailable(
            name,
            [each.id for each in there][:_IDS_SHOWN_MAX],
            wanted,
            [names[each] for each in near],
        )
    return model


def submission_of(
    wanted: ModelWanted, settings: ModelSettings, model_type: ModelType | None = None
) -> Submission:
    """The container job that a request to a model is. Its request file is in ``model.request`` (`Models.keep`).

    Args:
        model_type: what the model has to be.

    Raises:
        ModelUnavailable: there is no such model.
        InvalidRequest: it takes no such parameter, or has nothing to work on.
    """
    model = find_model(settings, wanted.model, model_type)
    if not model.tasks:
        raise InvalidRequest(
            f"{model.id} is answered by a server that stays, and not by tasks: ask it at {_DIRECTLY[model.type]}",
            "model",
        )
    try:
        check_input(model.type, wanted.asked)
    except InvalidValue as error:
        name = str(error).partition(":")[0]
        raise InvalidRequest(str(error), name) from error
    there = places_in(wanted.asked)
    for part in wanted.prompt_parts:
        if part.name not in there:
            field = f"prompt_from.{part.name}"
            raise InvalidRequest(
                f"{field}: {{{{{part.name}}}}} stands in none of the prompt, the messages and the texts",
                field,
            )
    try:
        parameters = whole_parameters(model.type, wanted.parameters)
    except InvalidValue as error:
        raise InvalidRequest(f"parameters.{error}", "parameters") from error
    compared = wanted.verification.mode is not VerifyMode.NONE
    if compared:
        parameters = reproducible(parameters)
    request = request_bytes(model.id, model.type, wanted.asked, parameters, compared=compared)
    needs = model.needs
    # Libraries start a thread for each core that they see, and they see all of the machine's.
    threads = str(max(1, math.floor(needs.cpu_cores)))
    price = wanted.max_price_micro_usdc_per_hour
    return Submission(
        image=model.image,
        max_price_micro_usdc_per_hour=(
            model.price.max_micro_usdc_per_hour if price is None else price
        ),
        timeout_s=wanted.timeout_s or model.timeout_s,
        requirements=Requirements(
            cpu_millis=needs.cpu_millis,
            memory_bytes=needs.memory_bytes,
            disk_bytes=needs.disk_bytes,
            gpu_count=1 if needs.vram_bytes else 0,
            gpu_memory_bytes=needs.vram_bytes,
            compute_capability=needs.compute_capability,
            regions=wanted.regions,
        ),
        queue_timeout_s=wanted.queue_timeout_s,
        name=wanted.name or model.id,
        kind="gpu" if needs.vram_bytes else "cpu",
        priority=wanted.priority,
        priority_reason=wanted.priority_reason,
        finish_by_ms=wanted.finish_by_ms,
        runs_late=wanted.runs_late,
        depends_on=wanted.depends_on,
        outputs_wanted=wanted.outputs_wanted,
        prompt_parts=wanted.prompt_parts,
        command=model.command,
        environment={"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
        inputs=(
            InputWanted(REQUEST_FILE, hashlib.sha256(request).hexdigest()),
            *(
                InputWanted(given.path, given.sha256, index)
                for index, given in enumerate(wanted.files, 1)
            ),
        ),
        where=wanted.where,
        max_total_cost_micro_usdc=wanted.max_total_cost_micro_usdc,
        wait_for_node=wanted.wait_for_node,
        verification=wanted.verification,
        model=ModelAsked(
            model.id, wanted.model, model.type.value, model.category, parameters, request
        ),
        idempotency_key=wanted.idempotency_key,
    )


class Models:
    """What clients do with models.

    Args:
        stopping: set when the coordinator stops; nobody waits for an answer then.
    """

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        blobs: BlobStore,
        artifacts: Artifacts,
        tasks: Tasks,
        settings: ModelSettings,
        stopping: asyncio.Event,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._artifacts = artifacts
        self._tasks = tasks
        self.settings = settings
        self._wait = ResultWait(tasks, feed, settings.wait_s, stopping)

    def find(self, name: str) -> Model:
        """As `find_model`, with the operator's settings."""
        return find_model(self.settings, name)

    def submission(self, wanted: ModelWanted, model_type: ModelType | None = None) -> Submission:
        """As `submission_of`, with the operator's settings."""
        return submission_of(wanted, self.settings, model_type)

    async def keep(self, account: Account, wanted: Submission) -> None:
        """Let a model be asked, and keep what as a file of the account, so that the task's node finds it.

        Raises:
            IdempotencyMismatch: its idempotency key was used for another request.
            RateLimited: the account has as many requests at this model as its entry lets it have.
            PayloadTooLarge, Unavailable: see `Artifacts.put`.
        """
        await self.admit(account, wanted)
        await self.put(account, wanted)

    async def put(self, account: Account, wanted: Submission) -> None:
        """Keep what a model is asked, of a request that is admitted.

        Raises:
            PayloadTooLarge, Unavailable: see `Artifacts.put`.
        """
        if wanted.model is None:
            return
        request = wanted.model.request
        digest = hashlib.sha256(request).hexdigest()

        async def chunks() -> AsyncIterator[bytes]:
            yield request

        # The request that this is for may still be refused: this is neither its effect nor what its sender did.
        with audit.Scene(), repeats.Scene():
            await self._artifacts.put(account, Upload(digest, chunks(), len(request)))

    async def admit(self, account: Account, wanted: Submission) -> None:
        """Let a model be asked, whose request may be kept already.

        Raises:
            IdempotencyMismatch, RateLimited: as `keep`.
        """
        if wanted.model is None:
            return
        digest = next(item.sha256 for item in wanted.inputs if item.path == REQUEST_FILE)
        if not await self._is_repeated(account, wanted.idempotency_key, digest):
            await self._require_place(account, wanted.model.model_id)

    async def keep_all(self, account: Account, wanted: Sequence[Submission]) -> None:
        """As `keep`, of tasks that are stored together.

        Those that wait for others come to their model one after the other, so only the rest need a place there now.

        Raises:
            RateLimited: the models have too few places for them.
            PayloadTooLarge, Unavailable: see `Artifacts.put`.
        """
        at_once = Counter(
            each.model.model_id for each in wanted if each.model is not None and not each.needed()
        )
        for model_id, places in at_once.items():
            await self._require_place(account, model_id, places)
        for each in wanted:
            await self.put(account, each)

    async def submit(self, account: Account, wanted: Submission) -> tuple[TaskDetail, bool]:
        """As `Tasks.submit`, of a task that asks a model.

        Raises:
            as `keep` and `Tasks.submit` do.
        """
        await self.keep(account, wanted)
        return await self._tasks.submit(account, wanted)

    async def run(
        self, account: Account, wanted: Submission, wait_s: float | None = None
    ) -> ModelRun:
        """Ask a model and wait until its task has ended, however it ends; see `ResultWait.run`.

        Raises:
            as `submit` does.
        """
        await self.keep(account, wanted)
        return await self.result(await self._wait.run(account, wanted, wait_s))

    async def result(self, row: TaskRow) -> ModelRun:
        """What came of a task that asks a model."""

        data = await output_bytes(row, self._blobs, RESULT_FILE, RESULT_BYTES_MAX)
        return ModelRun(row, None if data is None else await asyncio.to_thread(read_result, data))

    async def _is_repeated(self, account: Account, key: str | None, digest: str) -> bool:
        """Whether this was asked before with the idempotency key; nothing is kept for another request.

        Raises:
            IdempotencyMismatch: something else was.
        """
        if key is None:
            return False
        row = await self._database.read(tasks.by_idempotency_key, account.id, key)
        if row is None:
            return False
        asked = {item.sha256 for item in row.job.inputs if item.path == REQUEST_FILE}
        # What it was asked with, before others' words came into it.
        asked.add(str(row.spec.get("template_sha256", "")))
        if digest not in asked:
            raise IdempotencyMismatch(
                f"the idempotency key {key!r} was used for task {row.id}, which was another request"
            )
        return True

    async def _require_place(self, account: Account, model_id: str, places: int = 1) -> None:
        model = self.settings.catalogue.find(model_id)
        if model is None or not model.concurrency:
            return
        which = TaskFilter(
            account.id, phases=_UNFINISHED, kinds=frozenset({MODEL_KIND}), model=model.id
        )
        there = await self._database.read(task_lists.count, which)
        if there + places > model.concurrency:
            raise RateLimited(
                _RETRY_AFTER_S, what=f"requests to {model.id} at once (at most {model.concurrency})"
            )

"""What several groups of routes share: who may ask, how answers are described, and the services behind them."""

import time
from dataclasses import dataclass
from importlib.metadata import version as installed_version

from ..services.analytics import Analytics
from ..services.api_keys import ApiKeys
from ..services.artifacts import Artifacts
from ..services.audit import AuditLog
from ..services.balances import Balances
from ..services.batch_intake import BatchIntake
from ..services.batch_tasks import BatchTasks, ReadTask
from ..services.batches import Batches
from ..services.events import Events
from ..services.failures import FailureLog
from ..services.file_links import FileLinks
from ..services.gpus import Gpus
from ..services.health import Services
from ..services.inference import Inference
from ..services.kept_answers import KeptAnswers
from ..services.models import Models
from ..services.native_answers import NativeAnswers
from ..services.overview import Overview
from ..services.parts import parts_of
from ..services.replica_answers import ReplicaAnswers
from ..services.schedules import Schedules
from ..services.signatures import Signatures
from ..services.task_answers import TaskAnswers
from ..services.task_changes import TaskChanges
from ..services.tasks import Tasks
from ..services.webhook_deliveries import WebhookDeliveries
from ..services.webhooks import Webhooks
from . import errors
from .auth import Gate
from .collaborators import Collaborators, Settings
from .envelope import iso
from .native.batch_sources import BatchSources
from .native.schedule_requests import Templates
from .native.task_kinds import ByName, task_reader
from .openapi import Schemas
from .request_limits import RequestLimits


@dataclass(frozen=True, slots=True)
class Shared:
    """Made once for each application, by `share`.

    Attributes:
        version: of this program.
        limits: counts requests.
        gate: who asks, and whether they may.
        schemas: collects what OpenAPI says.
        forms: errors, as each dialect words them.
        by_name: operations and models, which tasks may name.
        read_task: reads requests for tasks that are stored.
        task_answers, inference, native_answers: who answers what models are asked: tasks alone; in OpenAI's form; in ours.
        sources: where batches come from.
        parts: what the coordinator is made of, and how each is.
    """

    settings: Settings
    world: Collaborators
    version: str
    limits: RequestLimits
    gate: Gate
    schemas: Schemas
    forms: errors.Forms
    by_name: ByName
    read_task: ReadTask
    balances: Balances
    tasks: Tasks
    task_changes: TaskChanges
    artifacts: Artifacts
    links: FileLinks
    models: Models
    task_answers: TaskAnswers
    inference: Inference
    native_answers: NativeAnswers
    batch_intake: BatchIntake
    batches: Batches
    sources: BatchSources
    schedules: Schedules
    events: Events
    webhooks: Webhooks
    webhook_deliveries: WebhookDeliveries
    api_keys: ApiKeys
    overview: Overview
    analytics: Analytics
    gpus: Gpus
    audit_log: AuditLog
    failures: FailureLog
    parts: Services


def share(settings: Settings, world: Collaborators) -> Shared:
    """Make what the routes share."""
    limits = RequestLimits(settings.requests, world.counts)
    gate = Gate(
        world.database,
        limits,
        Signatures(world.database, settings.network),
        repeats_kept_s=settings.repeats_kept_s,
    )
    balances = Balances(world.database, world.funds)
    tasks = Tasks(
        database=world.database,
        feed=world.feed,
        terms=settings.terms,
        explain=world.explain,
        may_return=world.nodes.may_return,
        balances=balances,
        wake=world.wake,
        request_cancel=world.request_cancel,
    )
    artifacts = Artifacts(
        database=world.database,
        blobs=world.blobs,
        tokens=world.tokens,
        limits=settings.limits,
        weights=settings.models.catalogue.weights(),
    )
    models = Models(
        database=world.database,
        feed=world.feed,
        blobs=world.blobs,
        artifacts=artifacts,
        tasks=tasks,
        settings=settings.models,
        stopping=world.stopping,
    )
    task_answers = TaskAnswers(models, artifacts, world.blobs)
    serving = world.serving
    failures = FailureLog(world.database)
    inference = Inference(
        settings.models,
        task_answers,
        KeptAnswers(world.database, artifacts, world.blobs, 1000 * settings.repeats_kept_s),
        ReplicaAnswers(serving, artifacts, failures, world.answer_checks)
        if serving is not None
        else None,
    )
    by_name = ByName(settings.operations, settings.models)
    read_task = task_reader(by_name)
    batch_intake = BatchIntake(
        database=world.database,
        feed=world.feed,
        tasks=BatchTasks(world.database, tasks, read_task, models.keep),
    )
    sources = BatchSources(artifacts, world.blobs, world.uploads)
    schedules = Schedules(
        database=world.database,
        feed=world.feed,
        intake=batch_intake,
        read_template=Templates(sources).read,
        uploads=world.uploads,
    )
    return Shared(
        settings=settings,
        world=world,
        version=installed_version("neurogrid"),
        limits=limits,
        gate=gate,
        schemas=Schemas(),
        forms=errors.Forms(),
        by_name=by_name,
        read_task=read_task,
        balances=balances,
        tasks=tasks,
        task_changes=TaskChanges(
            database=world.database,
            feed=world.feed,
            tasks=tasks,
            models=models,
            balances=balances,
        ),
        artifacts=artifacts,
        links=FileLinks(world.tokens.secret_for(b"file links"), lambda: int(time.time())),
        models=models,
        task_answers=task_answers,
        inference=inference,
        native_answers=NativeAnswers(models, artifacts, inference),
        batch_intake=batch_intake,
        batches=Batches(world.database, world.feed),
        sources=sources,
        schedules=schedules,
        events=Events(world.database, world.feed),
        webhooks=Webhooks(world.database, world.feed, world.webhook_outbound),
        webhook_deliveries=WebhookDeliveries(
            world.database, world.feed, world.webhook_outbound, iso
        ),
        api_keys=ApiKeys(world.database, forget=gate.forget),
        overview=Overview(world.database),
        analytics=Analytics(world.database),
        gpus=Gpus(world.database, world.nodes),
        audit_log=AuditLog(world.database),
        failures=failures,
        parts=parts_of(
            world.database,
            world.nodes,
            world.market_is_up,
            world.traffic,
            world.chain_slot,
            world.orchestrator,
            world.scheduler,
        ),
    )

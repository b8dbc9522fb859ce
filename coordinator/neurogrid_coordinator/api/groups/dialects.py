"""Other documents' APIs, over the services of the native one."""

from fastapi import FastAPI

from ...services.named_tasks import NamedTasks
from ...services.operations import Operations
from ..dialects.bolt import add_bolt_routes
from ..dialects.clients import Clients
from ..dialects.openruntime import add_openruntime_routes
from ..dialects.runner import add_runner_routes
from ..shared import Shared


def add_dialects(app: FastAPI, shared: Shared) -> None:
    """Add the routes."""
    settings, world, gate, schemas = shared.settings, shared.world, shared.gate, shared.schemas
    add_bolt_routes(
        app,
        shared.forms,
        gate=gate,
        tasks=shared.tasks,
        models=shared.models,
        intake=shared.batch_intake,
        batches=shared.batches,
        sources=shared.sources,
        nodes=world.nodes,
        gpus=shared.gpus,
        analytics=shared.analytics,
        audit=shared.audit_log,
        failures=shared.failures,
        keys=shared.api_keys,
        webhooks=shared.webhooks,
        schemas=schemas,
    )
    add_openruntime_routes(
        app,
        shared.forms,
        clients=Clients(gate, world.database, settings.anonymous_account),
        operations=Operations(
            database=world.database,
            feed=world.feed,
            blobs=world.blobs,
            tasks=shared.tasks,
            settings=settings.operations,
            stopping=world.stopping,
        ),
        models=settings.models,
        answers=shared.native_answers,
        analytics=shared.analytics,
        nodes=world.nodes,
        overview=shared.overview,
        market_is_up=world.market_is_up,
        schemas=schemas,
    )
    add_runner_routes(
        app,
        shared.forms,
        named=NamedTasks(
            database=world.database,
            tasks=shared.tasks,
            changes=shared.task_changes,
            models=shared.models,
            read_task=shared.read_task,
        ),
        intake=shared.batch_intake,
        batches=shared.batches,
        sources=shared.sources,
        schedules=shared.schedules,
        models=shared.models,
        analytics=shared.analytics,
        connections=world.api_connections,
        parts=shared.parts,
        version=shared.version,
        gate=gate,
        schemas=schemas,
    )

"""Tasks, whatever they come in, what goes into them, and what comes of them."""

from fastapi import FastAPI

from ...gateway.door import Gateway, gateway_routes
from ...gateway.model_servers import ModelServers, model_servers_routes
from ...services.auctions import Auctions
from ...services.checkpoints import Checkpoints
from ...services.fetching import Fetching
from ...services.job_access import JobAccess
from ...services.logs import Logs
from ...services.results import Results
from ...services.sealing import Sealing
from ...services.task_metrics import Metrics
from ...services.workflows import Workflows
from ..direct import Direct
from ..exec import add_exec_route
from ..native.artifacts import add_artifact_routes
from ..native.auctions import add_auction_route
from ..native.batches import add_batch_routes
from ..native.checkpoints import add_checkpoint_routes
from ..native.links import add_link_route
from ..native.results import add_result_routes
from ..native.schedules import add_schedule_routes
from ..native.sealing import add_sealing_routes
from ..native.task_changes import add_task_change_routes
from ..native.task_kinds import task_reader
from ..native.task_metrics import add_task_metrics_route
from ..native.tasks import add_task_routes
from ..native.workflows import add_workflow_routes
from ..port import add_port_route
from ..shared import Shared


def add_work(app: FastAPI, direct: Direct, shared: Shared) -> None:
    """Add the routes."""
    settings, world, gate, schemas = shared.settings, shared.world, shared.gate, shared.schemas
    fetching = Fetching(
        database=world.database,
        artifacts=shared.artifacts,
        fetcher=world.fetcher,
        timeout_s=settings.fetch_s,
    )
    add_task_routes(
        app,
        direct,
        shared.tasks,
        shared.models,
        fetching,
        gate,
        schemas,
        world.traces,
        world.nodes.is_ready,
        shared.by_name,
    )
    add_task_change_routes(app, shared.task_changes, gate, schemas)
    add_task_metrics_route(app, Metrics(world.database), gate, schemas)
    add_result_routes(
        app,
        logs=Logs(world.database),
        results=Results(world.database),
        events=shared.events,
        artifacts=shared.artifacts,
        gate=gate,
        schemas=schemas,
        stopping=world.stopping,
        public_url=settings.public_url,
    )
    add_checkpoint_routes(
        app,
        checkpoints=Checkpoints(world.database),
        artifacts=shared.artifacts,
        gate=gate,
        schemas=schemas,
        public_url=settings.public_url,
    )
    add_sealing_routes(app, Sealing(world.database, world.send_key), gate, schemas)
    access = JobAccess(world.database, world.open_job_stream)
    add_exec_route(app, access, gate, world.stopping)
    add_port_route(app, access, gate, world.stopping)
    app.router.routes.extend(gateway_routes(Gateway(gate, access, world.stopping)))
    app.router.routes.extend(
        model_servers_routes(ModelServers(gate, world.serving, settings.models, world.stopping))
    )
    workflows = Workflows(
        database=world.database,
        tasks=shared.tasks,
        balances=shared.balances,
        keep=shared.models.keep_all,
        request_cancel_all=world.request_cancel_all,
    )
    add_workflow_routes(
        app, workflows, task_reader(shared.by_name), fetching, gate, schemas, world.traces
    )
    add_batch_routes(
        app,
        intake=shared.batch_intake,
        batches=shared.batches,
        sources=shared.sources,
        gate=gate,
        schemas=schemas,
        public_url=settings.public_url,
    )
    add_schedule_routes(app, shared.schedules, gate, schemas)
    add_auction_route(app, Auctions(world.database), gate, schemas)
    add_artifact_routes(app, shared.artifacts, gate, schemas)
    add_link_route(app, shared.links, shared.artifacts)

"""Document 001, a task runner: tasks, batches and schedules that ask models, at ``/runner/api/v1``.

docs/dialects/runner.md says which native call each is. Answers are `{success, data, message, timestamp}`.
"""

from collections.abc import Callable

from fastapi import FastAPI

from ...services.analytics import Analytics
from ...services.batch_intake import BatchIntake
from ...services.batches import Batches
from ...services.health import Services
from ...services.models import Models
from ...services.named_tasks import NamedTasks
from ...services.schedules import Schedules
from ..auth import Gate
from ..errors import Forms
from ..native.batch_sources import BatchSources
from ..openapi import Schemas
from .runner_batches import add_runner_batch_routes
from .runner_form import NAME, PREFIX, error_form
from .runner_schedules import add_runner_schedule_routes
from .runner_status import add_runner_status_routes
from .runner_tasks import add_runner_task_routes

TAG = {"name": NAME, "description": "Document 001: what asks models, below `/runner/api/v1`."}


def add_runner_routes(
    app: FastAPI,
    forms: Forms,
    *,
    named: NamedTasks,
    intake: BatchIntake,
    batches: Batches,
    sources: BatchSources,
    schedules: Schedules,
    models: Models,
    analytics: Analytics,
    connections: Callable[[], int],
    parts: Services,
    version: str,
    gate: Gate,
    schemas: Schemas,
) -> None:
    """Add the routes."""
    forms.claim(error_form, PREFIX, f"{PREFIX}/")
    add_runner_task_routes(app, named, models, gate, schemas)
    add_runner_batch_routes(app, intake, batches, sources, models, gate, schemas)
    add_runner_schedule_routes(app, schedules, gate, schemas)
    add_runner_status_routes(
        app,
        analytics=analytics,
        connections=connections,
        parts=parts,
        models=models.settings,
        version=version,
        gate=gate,
        schemas=schemas,
    )

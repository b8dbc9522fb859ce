"""Document 000, Bolt: tasks of models, resources, logs, keys and webhooks below ``/api`` without a version.

docs/dialects/bolt.md says which native call each is. Answers are bare and in camel case; errors are
``{error, message, details}``. ``/oauth/token`` and ``/ws`` are native.
"""

from fastapi import FastAPI

from ...services.analytics import Analytics
from ...services.api_keys import ApiKeys
from ...services.audit import AuditLog
from ...services.batch_intake import BatchIntake
from ...services.batches import Batches
from ...services.failures import FailureLog
from ...services.gpus import Gpus
from ...services.models import Models
from ...services.nodes import Nodes
from ...services.tasks import Tasks
from ...services.webhooks import Webhooks
from ..auth import Gate
from ..errors import Forms
from ..native.batch_sources import BatchSources
from ..openapi import Schemas
from .bolt_access import add_bolt_access_routes
from .bolt_batches import add_bolt_batch_route
from .bolt_errors import error_form
from .bolt_records import add_bolt_record_routes
from .bolt_resources import add_bolt_resource_route
from .bolt_tasks import add_bolt_task_routes
from .bolt_words import NAME

TAG = {
    "name": NAME,
    "description": "Document 000: models' tasks and what goes with them, below `/api`.",
}
PATHS = (
    "/api/task",
    "/api/task/",
    "/api/tasks/",
    "/api/resources/",
    "/api/audit/",
    "/api/errors/",
    "/api/keys/",
    "/api/webhooks/",
)


def add_bolt_routes(
    app: FastAPI,
    forms: Forms,
    *,
    gate: Gate,
    tasks: Tasks,
    models: Models,
    intake: BatchIntake,
    batches: Batches,
    sources: BatchSources,
    nodes: Nodes,
    gpus: Gpus,
    analytics: Analytics,
    audit: AuditLog,
    failures: FailureLog,
    keys: ApiKeys,
    webhooks: Webhooks,
    schemas: Schemas,
) -> None:
    """Add the routes."""
    forms.claim(error_form, *PATHS)
    add_bolt_task_routes(app, tasks, batches, models, nodes, gate, schemas)
    add_bolt_batch_route(app, intake, batches, sources, models, gate, schemas)
    add_bolt_resource_route(app, gpus, analytics, gate, schemas)
    add_bolt_record_routes(app, audit, failures, gate, schemas)
    add_bolt_access_routes(app, keys, webhooks, gate, schemas)

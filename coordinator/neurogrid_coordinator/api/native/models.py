"""``/models``: which there are; and a request to one, as the services take it."""

from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query
from starlette.responses import Response

from neurogrid_marketplace.model_catalogue import RESULT_FILE, Model
from neurogrid_marketplace.model_requests import ModelInput
from neurogrid_marketplace.model_server import ModelServer
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.needs import OutputWanted, PromptPart

from ...replicas.serving import ModelServing
from ...replicas.status import ModelStatus
from ...services.errors import InvalidRequest
from ...services.models import FileGiven, ModelSettings, ModelWanted, find_model
from ..auth import Caller, Gate
from ..envelope import success
from ..openapi import Schemas, errors
from ..paths import API
from .amounts import micro_usdc
from .constraints import read_constraints
from .model_schemas import (
    ModelListView,
    ModelNeedsView,
    ModelParametersView,
    ModelPricing,
    ModelReplicasView,
    ModelRequest,
    ModelServerView,
    ModelView,
    PromptFrom,
)
from .task_submissions import finish_by_ms, verification_of
from .words import priority_number

_TOKEN = "token"
# Of what a model that writes or hears leaves.
_RESULT_WORDS = "text"


def add_model_routes(
    app: FastAPI,
    settings: ModelSettings,
    gate: Gate,
    schemas: Schemas,
    serving: ModelServing | None = None,
) -> None:
    """Add the routes."""

    def shown(model: Model) -> ModelView:
        return model_view(model, None if serving is None else serving.status_of(model.id))

    @app.get(
        f"{API}/models",
        tags=["Models"],
        summary="List models",
        response_class=Response,
        responses={
            200: schemas.answer(ModelListView, "In the catalogue's order."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "RATE_LIMITED"),
        },
    )
    async def list_models(
        _: Annotated[Caller, Depends(gate.for_everybody)],
        type: Annotated[
            Literal["text", "image", "audio", "embedding"] | None, Query(description="Only these.")
        ] = None,
        category: Annotated[
            str | None, Query(description="Only these, as `generation`.", max_length=64)
        ] = None,
    ) -> Response:
        """What `POST /tasks` takes with `"kind": "model"`, and what waits for an answer below `/models`."""
        views = [shown(model) for model in settings.catalogue.listed(type, category)]
        return success(ModelListView(views, len(views)))

    @app.get(
        f"{API}/models/{{model_id:path}}",
        tags=["Models"],
        summary="Show a model",
        response_class=Response,
        responses={
            200: schemas.answer(ModelView, "Of this id, or the one that is meant by an alias."),
            **errors("UNAUTHORIZED", "MODEL_UNAVAILABLE", "RATE_LIMITED"),
        },
    )
    async def get_model(
        model_id: str, _: Annotated[Caller, Depends(gate.for_everybody)]
    ) -> Response:
        """A model's id may have slashes."""
        return success(shown(find_model(settings, model_id)))


def model_wanted(request: ModelRequest, idempotency_key: str | None) -> ModelWanted:
    """The request in the product's terms.

    Raises:
        InvalidRequest: values that do not go together.
    """
    price, limit, file = request.max_price_per_hour, request.max_total_cost, request.file
    if file is not None and (file.sha256 is None) == (file.from_task is None):
        raise InvalidRequest("file: needs one of sha256 and from_task", "file")
    if file is not None and file.output is not None and file.from_task is None:
        raise InvalidRequest("file.output: goes with from_task only", "file.output")
    return ModelWanted(
        model=request.model,
        asked=ModelInput(
            prompt=request.prompt,
            messages=request.messages,
            negative_prompt=request.negative_prompt,
            file=None if file is None else file.path,
            texts=request.texts,
        ),
        parameters=request.parameters,
        files=(() if file is None or file.sha256 is None else (FileGiven(file.path, file.sha256),)),
        outputs_wanted=(
            ()
            if file is None or file.from_task is None
            else (OutputWanted(file.path, file.from_task, file.output or file.path),)
        ),
        prompt_parts=tuple(_part(name, part) for name, part in request.prompt_from.items()),
        name=request.name,
        priority=priority_number(request.priority),
        priority_reason=request.priority_reason,
        finish_by_ms=finish_by_ms(request.deadline, ""),
        runs_late=request.deadline is not None and request.deadline_policy == "run",
        depends_on=request.depends_on,
        max_price_micro_usdc_per_hour=(
            None if price is None else micro_usdc(price, "max_price_per_hour")
        ),
        max_total_cost_micro_usdc=None if limit is None else micro_usdc(limit, "max_total_cost"),
        timeout_s=request.timeout_seconds,
        queue_timeout_s=request.queue_timeout_seconds,
        regions=request.regions,
        where=read_constraints(request.constraints, "constraints"),
        wait_for_node=request.wait_for_node,
        verification=verification_of(request.verification, ""),
        idempotency_key=idempotency_key,
    )


def _part(name: str, part: PromptFrom) -> PromptPart:
    field = part.field or ""
    if part.output is None and part.field is None:
        field = _RESULT_WORDS
    return PromptPart(name, part.from_task, part.output or RESULT_FILE, field, part.max_chars)


def model_view(model: Model, status: ModelStatus | None = None) -> ModelView:
    """A model as clients see it.

    Args:
        status: of its replicas; None where none are kept.
    """
    needs, price, parameters = model.needs, model.price, model.parameters
    per_unit = float(f"{price.usdc_per_unit:.3g}")
    return ModelView(
        id=model.id,
        name=model.name,
        type=model.type.value,
        category=model.category,
        description=model.description,
        parameters=ModelParametersView(
            parameters.size, parameters.context_length, list(parameters.languages)
        ),
        pricing=ModelPricing(
            per_token=per_unit if price.unit == _TOKEN else None,
            unit=price.unit,
            per_unit=per_unit,
            max_per_hour=format_usdc(price.max_micro_usdc_per_hour),
            currency="USDC",
            units=model.unit_price.said(),
        ),
        aliases=list(model.aliases),
        licence=model.licence,
        docker_image=model.image,
        resource_requirements=ModelNeedsView(
            needs.cpu_cores, needs.memory_gb, needs.disk_gb, needs.vram_gb
        ),
        timeout_seconds=model.timeout_s,
        concurrency=model.concurrency,
        tasks=model.tasks,
        server=None if model.server is None else _server_view(model.server),
        replicas=None if status is None else _replicas(status),
    )


def _server_view(server: ModelServer) -> ModelServerView:
    return ModelServerView(
        [route.value for route in server.routes],
        list(server.features),
        server.concurrency,
        server.replicas_max,
    )


def _replicas(status: ModelStatus) -> ModelReplicasView:
    return ModelReplicasView(
        ready=status.ready,
        starting=status.starting,
        most=status.most,
        waiting=status.waiting,
        at_work=status.at_work,
        expected_start_ms=status.expected_ms,
        problem=status.problem,
    )

"""``/v1/models``: which may be asked."""

from typing import Annotated

import msgspec
from fastapi import Depends, FastAPI
from starlette.responses import Response

from neurogrid_marketplace.model_catalogue import Model

from ...replicas.serving import ModelServing
from ...replicas.status import ModelStatus
from ...services.models import ModelSettings, find_model
from ..auth import Caller, Gate
from ..envelope import json_response
from ..native.models import model_view
from ..openapi import Schemas
from .errors import refusals
from .schemas import OpenAiModel, OpenAiModelFacts, OpenAiModels

NAME = "OpenAI"


def add_openai_model_routes(
    app: FastAPI,
    settings: ModelSettings,
    gate: Gate,
    schemas: Schemas,
    serving: ModelServing | None,
) -> None:
    """Add the routes."""

    def view(model: Model) -> OpenAiModel:
        return _view(model, None if serving is None else serving.status_of(model.id))

    @app.get(
        "/v1/models",
        tags=[NAME],
        summary="List models",
        response_class=Response,
        responses={
            200: schemas.bare(OpenAiModels, "All."),
            **refusals(schemas, 401, 403, 429, 503),
        },
    )
    async def list_models(_: Annotated[Caller, Depends(gate.for_everybody)]) -> Response:
        """Of every type; `neurogrid` says which each is."""
        return json_response(
            OpenAiModels("list", [view(each) for each in settings.catalogue.models])
        )

    @app.get(
        "/v1/models/{model_id:path}",
        tags=[NAME],
        summary="Show a model",
        response_class=Response,
        responses={
            200: schemas.bare(OpenAiModel, "Of this id, or the one that is meant by an alias."),
            **refusals(schemas, 401, 403, 404, 429, 503),
        },
    )
    async def get_model(
        model_id: str, _: Annotated[Caller, Depends(gate.for_everybody)]
    ) -> Response:
        """An id may have slashes."""
        return json_response(view(find_model(settings, model_id)))


def _view(model: Model, status: ModelStatus | None) -> OpenAiModel:
    shown = model_view(model, status)
    owner, slash, _ = model.id.partition("/")
    return OpenAiModel(
        id=model.id,
        object="model",
        created=0,
        owned_by=owner if slash else "neurogrid",
        neurogrid=OpenAiModelFacts(
            name=shown.name,
            type=shown.type,
            category=shown.category,
            description=shown.description,
            licence=shown.licence,
            context_length=shown.parameters.context_length,
            aliases=shown.aliases,
            pricing=msgspec.to_builtins(shown.pricing),
            replicas=shown.replicas,
        ),
    )

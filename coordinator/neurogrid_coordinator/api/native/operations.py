"""``/operations``: which there are; and a request for one, as the services take it."""

from typing import Annotated

from fastapi import Depends, FastAPI
from starlette.responses import Response

from neurogrid_marketplace.operations import (
    OPERATIONS,
    OperationTerms,
    Parameter,
    memory_bytes,
    whole_parameters,
)

from ...services.operations import CPU_DEVICE, OperationWanted
from ..auth import Caller, Gate
from ..envelope import success
from ..openapi import Schemas, errors
from ..paths import API
from .amounts import BYTES_PER_GB, micro_usdc
from .constraints import read_constraints
from .operation_schemas import (
    OperationListView,
    OperationRequest,
    OperationTermsView,
    ParameterView,
)
from .task_submissions import verification_of
from .words import priority_number


def add_operation_route(app: FastAPI, gate: Gate, schemas: Schemas) -> None:
    """Add the route."""

    @app.get(
        f"{API}/operations",
        tags=["Tasks"],
        summary="List operations",
        response_class=Response,
        responses={
            200: schemas.answer(OperationListView, "In a fixed order."),
            **errors("UNAUTHORIZED", "RATE_LIMITED"),
        },
    )
    async def list_operations(_: Annotated[Caller, Depends(gate)]) -> Response:
        """What `POST /tasks` takes with `"kind": "operation"`, with the bounds of each parameter."""
        views = [_terms_view(terms) for terms in OPERATIONS.values()]
        return success(OperationListView(views, len(views)))


def operation_wanted(request: OperationRequest, idempotency_key: str | None) -> OperationWanted:
    """The request in the product's terms.

    Raises:
        InvalidRequest: values that do not go together.
    """
    price = request.max_price_per_hour
    return OperationWanted(
        operation=request.operation.value,
        parameters=request.parameters,
        device=request.device_preference,
        name=request.name,
        priority=priority_number(request.priority),
        cpu_millis=round(request.cpu_cores * 1000),
        max_price_micro_usdc_per_hour=(
            None if price is None else micro_usdc(price, "max_price_per_hour")
        ),
        timeout_s=request.timeout_seconds,
        queue_timeout_s=request.queue_timeout_seconds,
        regions=request.regions,
        where=read_constraints(request.constraints, "constraints"),
        wait_for_node=request.wait_for_node,
        verification=verification_of(request.verification, ""),
        idempotency_key=idempotency_key,
    )


def _terms_view(terms: OperationTerms) -> OperationTermsView:
    defaults = whole_parameters(terms.operation, {})
    return OperationTermsView(
        name=terms.operation.value,
        description=terms.meaning,
        parameters=[_parameter_view(parameter) for parameter in terms.parameters],
        throughput_unit=terms.unit,
        devices=[terms.runtime or CPU_DEVICE],
        requires=f"runtime has {terms.runtime}" if terms.runtime else "",
        default_memory_gb=memory_bytes(terms.operation, defaults) / BYTES_PER_GB,
    )


def _parameter_view(parameter: Parameter) -> ParameterView:
    is_word = bool(parameter.choices)
    return ParameterView(
        name=parameter.name,
        description=parameter.meaning,
        type="string" if is_word else "integer",
        default=parameter.default,
        minimum=None if is_word else parameter.least,
        maximum=None if is_word else parameter.most,
        choices=list(parameter.choices),
    )

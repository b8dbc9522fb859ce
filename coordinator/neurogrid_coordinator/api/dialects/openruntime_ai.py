"""Document 004's agents: models of text, asked and waited for."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from neurogrid_marketplace.model_catalogue import ModelType

from ...metrics.public import MarketFigures
from ...services.agents import AGENTS, Workflow, agent_wanted
from ...services.analytics import Analytics
from ...services.insights import Measured, facts
from ...services.market_state import Usage
from ...services.models import ModelSettings, ModelWanted
from ...services.native_answers import Answered, NativeAnswers
from ...store.accounts import Account
from ..body import read_json
from ..envelope import json_response
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..leaving import while_there
from ..openapi import Schemas
from .clients import Clients
from .openruntime_ai_schemas import (
    AgentList,
    AgentView,
    AiAnswer,
    AiTask,
    Insights,
    InsightsAsked,
    Timeframe,
)
from .openruntime_form import NAME, now_text, refusals
from .openruntime_schemas import HealthFigures

_MINUTE_MS = 60_000
_SPANS: dict[Timeframe, tuple[str, int]] = {
    "5m": ("5 minutes", 5 * _MINUTE_MS),
    "15m": ("15 minutes", 15 * _MINUTE_MS),
    "1h": ("hour", 60 * _MINUTE_MS),
    "6h": ("6 hours", 360 * _MINUTE_MS),
    "24h": ("24 hours", 1440 * _MINUTE_MS),
    "7d": ("7 days", 7 * 1440 * _MINUTE_MS),
}
# An answer to read, not a book.
_INSIGHT_TOKENS = 128
_TASK = {
    "workflow_type": "code_generation",
    "prompt": "Create a Python function to calculate fibonacci numbers",
    "parameters": {"language": "python", "style": "functional"},
    "timeout": 30,
}
_REFUSED = (400, 401, 403, 409, 413, 422, 429, 500, 503)


def add_openruntime_ai_routes(
    app: FastAPI,
    clients: Clients,
    settings: ModelSettings,
    answers: NativeAnswers,
    analytics: Analytics,
    figures: Callable[[], Awaitable[MarketFigures]],
    schemas: Schemas,
) -> None:
    """Add the routes. ``figures``: of the market now."""

    async def answer_of(
        request: Request, account: Account, wanted: ModelWanted, wait_s: float | None = None
    ) -> Answered:
        answering = answers.answer(account, wanted, ModelType.TEXT, wait_s=wait_s)
        return await while_there(request, answering)

    @app.get(
        "/ai/agents",
        tags=[NAME],
        summary="List agents",
        response_class=Response,
        responses={
            200: schemas.bare(AgentList, "Always the same."),
            **refusals(schemas, 401, 403, 429, 503),
        },
    )
    async def list_agents(_: Annotated[Account, Depends(clients)]) -> Response:
        """Which model answers for them is the operator's."""
        views = [
            AgentView(each.role, each.name, each.description, list(each.capabilities))
            for each in AGENTS
        ]
        return json_response(AgentList(views))

    @app.post(
        "/ai/tasks",
        tags=[NAME],
        summary="Ask an agent and wait for its answer",
        response_class=Response,
        responses={
            200: schemas.bare(AiAnswer, "It has answered."),
            **refusals(schemas, *_REFUSED),
        },
        openapi_extra={"parameters": [IDEMPOTENCY_KEY], **schemas.body(AiTask, _TASK)},
    )
    async def create_ai_task(
        request: Request, account: Annotated[Account, Depends(clients)]
    ) -> Response:
        """Answers when the model has. Who gets no answer has no task: it is cancelled, so that asking again is
        safe."""
        key = idempotency_key(request)
        asked = await read_json(request, AiTask)
        wanted = agent_wanted(
            asked.workflow_type,
            asked.prompt,
            asked.parameters,
            settings,
            timeout_s=asked.timeout,
            idempotency_key=key,
        )
        said = await answer_of(request, account, wanted, asked.timeout)
        return json_response(
            AiAnswer(
                task_id=said.id,
                status="completed",
                result=said.result.text,
                model_used=said.model_id,
                tokens_used=said.result.usage.total_tokens,
                execution_time=said.result.execution_time_s,
            )
        )

    @app.post(
        "/ai/insights",
        tags=[NAME],
        summary="Have the market's figures looked at",
        response_class=Response,
        responses={
            200: schemas.bare(Insights, "Measurements, and a model's words on them."),
            **refusals(schemas, *_REFUSED),
        },
        openapi_extra=schemas.body(
            InsightsAsked, {"metric_type": "performance", "timeframe": "1h"}
        ),
    )
    async def create_insights(
        request: Request, account: Annotated[Account, Depends(clients)]
    ) -> Response:
        """The sentences with numbers are the coordinator's own; what follows them is what the model made of
        them."""
        asked = await read_json(request, InsightsAsked)
        span, span_ms = _SPANS[asked.timeframe]
        now = await figures()
        measured = Measured(
            await analytics.ended(span_ms),
            Usage(now.gpu_utilization, now.memory_usage),
            now.active_tasks,
        )
        said = "\n".join(
            f"{number}. {fact}"
            for number, fact in enumerate(facts(asked.metric_type, span, measured), 1)
        )
        wanted = agent_wanted(
            Workflow.SYSTEM_ANALYSIS,
            said,
            {"max_tokens": _INSIGHT_TOKENS},
            settings,
        )
        words = await answer_of(request, account, wanted)
        return json_response(
            Insights(
                insights=f"{said}\n\n{words.model_id}: {words.result.text.strip()}",
                metrics=HealthFigures(
                    now.gpu_utilization,
                    now.memory_usage,
                    now.active_tasks,
                    now.ai_tasks_processed,
                ),
                task_id=words.id,
                model_used=words.model_id,
                timestamp=now_text(),
            )
        )

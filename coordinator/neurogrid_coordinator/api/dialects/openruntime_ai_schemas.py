"""What document 004 takes and answers of agents: shapes and documentation."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from ...services.agents import Workflow
from ...services.insights import Metric
from ..native.model_schemas import Prompt
from ..native.operation_schemas import ParameterName
from ..native.schemas import Time
from .openruntime_schemas import HealthFigures

Timeframe = Literal["5m", "15m", "1h", "6h", "24h", "7d"]


class AgentView(Struct, frozen=True):
    """An agent: a model of text that is told what it is good for."""

    role: str
    name: str
    description: str
    capabilities: list[str]


class AgentList(Struct, frozen=True):
    """All agents."""

    agents: list[AgentView]


class AiTask(Struct, frozen=True, forbid_unknown_fields=True):
    """Something to ask an agent."""

    workflow_type: Annotated[
        Workflow,
        Meta(description="`model_inference`: a model, without an agent's words before yours."),
    ]
    prompt: Annotated[Prompt, Meta(min_length=1)]
    parameters: Annotated[
        dict[ParameterName, Any],
        Meta(
            max_length=16,
            description="`model`, `max_tokens`, `temperature`, `top_p`, `stop_sequences`, `seed`; any others are "
            "told to the agent.",
        ),
    ] = {}
    timeout: Annotated[int, Meta(ge=1, le=3600, description="Seconds.")] = 300


class AiAnswer(Struct, frozen=True):
    """What the model answered."""

    task_id: str
    status: Literal["completed"]
    result: str
    model_used: str
    tokens_used: int
    execution_time: Annotated[float, Meta(description="Seconds, as its program measured it.")]


class InsightsAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be looked at."""

    metric_type: Metric
    timeframe: Timeframe


class Insights(Struct, frozen=True):
    """What was measured, in numbers and sentences, and a model's words on it."""

    insights: str
    metrics: HealthFigures
    task_id: str
    model_used: str
    timestamp: Time

"""Agents: models of text that are told what they are good for, and what they are asked. Pure.

An agent is no program: it is what stands before a client's words. Which model answers, and how well, is the
catalogue's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.model_catalogue import ModelType
from neurogrid_marketplace.model_requests import Message, ModelInput, TextParameters

from .errors import InvalidRequest, ModelUnavailable
from .models import ModelSettings, ModelWanted

_MODEL = "model"
_SCALARS = (str, int, float, bool)
_VALUE_CHARS_MAX = 1000


class Workflow(StrEnum):
    """What an agent is asked to do."""

    CODE_GENERATION = "code_generation"
    SYSTEM_ANALYSIS = "system_analysis"
    OPTIMIZATION = "optimization"
    MODEL_INFERENCE = "model_inference"


@dataclass(frozen=True, slots=True)
class Agent:
    """Who does some of the workflows; ``told``: what stands before what it is asked."""

    role: str
    name: str
    description: str
    capabilities: tuple[str, ...]
    told: str


DEVELOPER = Agent(
    "DEVELOPER",
    "Code Assistant",
    "Assists with code generation and refactoring",
    ("code_generation", "refactoring", "debugging"),
    "You are a programmer. Answer with code, and explain it briefly.",
)
ANALYST = Agent(
    "ANALYST",
    "System Analyst",
    "Analyzes system performance and provides insights",
    ("performance_analysis", "optimization", "reporting"),
    "You are a system analyst. Say what stands out in the measurements, and what to do about it.",
)
AGENTS = (DEVELOPER, ANALYST)
# A model by itself is asked by nobody else's words.
_AGENT_OF: dict[Workflow, Agent | None] = {
    Workflow.CODE_GENERATION: DEVELOPER,
    Workflow.SYSTEM_ANALYSIS: ANALYST,
    Workflow.OPTIMIZATION: ANALYST,
    Workflow.MODEL_INFERENCE: None,
}


def agent_wanted(
    workflow: Workflow,
    prompt: str,
    parameters: Mapping[str, Json],
    settings: ModelSettings,
    *,
    timeout_s: int | None = None,
    idempotency_key: str | None = None,
) -> ModelWanted:
    """What a model is asked for a workflow.

    Args:
        parameters: ``model``, those of a text (`TextParameters`), and others, which the agent is told.

    Raises:
        InvalidRequest: one is neither a text, a number nor a truth.
        ModelUnavailable: the catalogue has no model of text.
    """
    told: list[str] = []
    of_model: dict[str, Json] = {}
    for name, value in parameters.items():
        if name in TextParameters.__struct_fields__:
            of_model[name] = value
        elif name != _MODEL:
            if not isinstance(value, _SCALARS) or len(str(value)) > _VALUE_CHARS_MAX:
                field = f"parameters.{name[:64]}"
                raise InvalidRequest(
                    f"{field}: is a number, true, false or a text of {_VALUE_CHARS_MAX} characters at most",
                    field,
                )
            told.append(f"{name}: {value}")
    words = "\n".join([prompt, *told])
    agent = _AGENT_OF[workflow]
    return ModelWanted(
        model=str(parameters.get(_MODEL) or first_text_model(settings)),
        asked=(
            ModelInput(prompt=words)
            if agent is None
            else ModelInput(messages=(Message("system", agent.told), Message("user", words)))
        ),
        parameters=of_model,
        name=workflow.value,
        timeout_s=timeout_s,
        idempotency_key=idempotency_key,
    )


def first_text_model(settings: ModelSettings) -> str:
    """Who answers where nobody says which model shall: the first of text in the operator's catalogue.

    Raises:
        ModelUnavailable: there is none.
    """
    there = settings.catalogue.listed(ModelType.TEXT.value)
    if not there:
        raise ModelUnavailable("", [], ModelType.TEXT.value)
    return there[0].id

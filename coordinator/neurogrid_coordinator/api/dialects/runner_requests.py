"""Document 001's tasks, batches and schedules as native requests, and native requests as it shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from neurogrid_marketplace.canonical import Json

from ...services.errors import InvalidRequest
from ...services.named_tasks import NamedWanted
from ..native.batch_requests import BatchRequest
from .runner_schemas import (
    RunnerAsked,
    RunnerBatch,
    RunnerConfig,
    RunnerConfigPatch,
    RunnerMessage,
    RunnerTask,
    RunnerTaskPatch,
)

_KIND = "model"
_USER: Literal["user"] = "user"


@dataclass(frozen=True, slots=True)
class Shown:
    """A native request in the document's words; None and empty for what it has not."""

    prompt: str | None
    messages: tuple[RunnerMessage, ...]
    model: str | None
    temperature: float | None
    max_tokens: int | None


def named_wanted(body: RunnerTask, key: str | None) -> NamedWanted:
    """A task, as the services take it.

    Args:
        key: the header's idempotency key; the body's goes before it.

    Raises:
        InvalidRequest: it asks nothing, or no model.
    """
    if body.model is None:
        raise InvalidRequest("model: is missing; GET /api/v1/models lists them", "model")
    return NamedWanted(
        request=_request(body, "", is_whole=True),
        client_id=body.id or "",
        label=body.batch_id or "",
        metadata=body.metadata,
        idempotency_key=body.idempotency_key or key,
    )


def changes_of(body: RunnerTaskPatch, before: Mapping[str, Json]) -> dict[str, Any]:
    """The fields of a native request that a patch changes, with their new values.

    A new prompt takes the place of the user's last message where there are messages.

    Raises:
        InvalidRequest: its prompt is none of its messages.
    """
    changes: dict[str, Any] = {}
    messages = () if body.messages is UNSET else body.messages
    prompt = None if body.prompt is UNSET else body.prompt
    if prompt is not None and body.messages is UNSET:
        messages = _with_prompt(shown(before).messages, prompt)
    if prompt is not None or body.messages is not UNSET:
        # One takes the other's place.
        changes |= {"prompt": None, "messages": None} | _words(prompt, messages, "")
    if body.model is not UNSET:
        changes["model"] = body.model
    parameters = dict(_object(before.get("parameters")))
    if body.temperature is not UNSET:
        parameters["temperature"] = body.temperature
    if body.max_tokens is not UNSET:
        parameters["max_tokens"] = body.max_tokens
    if parameters != _object(before.get("parameters")):
        changes["parameters"] = parameters
    return changes


def metadata_of(body: RunnerTaskPatch) -> Mapping[str, Any]:
    """The names and values that a patch changes."""
    return {} if body.metadata is UNSET else body.metadata


def batch_request(body: RunnerBatch) -> BatchRequest:
    """A batch that waits for `execute`.

    Raises:
        InvalidRequest: a task of it asks nothing; or it has neither tasks nor a file, or both.
    """
    if (body.tasks is None) == (body.input_file is None):
        raise InvalidRequest("tasks: needs one of tasks and inputFile", "tasks")
    return BatchRequest(
        id=body.id,
        name=body.name,
        description=body.description,
        tasks=None if body.tasks is None else tuple(_batch_tasks(body.tasks)),
        execute=False,
        **_run_as(body.input_file, body.config),
    )


def schedule_batch(input_file: str, config: RunnerConfig) -> BatchRequest:
    """The batch that each run of a schedule is."""
    return BatchRequest(**_run_as(input_file, config))


def changed_template(
    before: Mapping[str, Json], input_file: str | UnsetType, config: RunnerConfigPatch | UnsetType
) -> dict[str, Json]:
    """The batch that each run of a schedule is, as it is stored, with a patch's file and configuration."""
    template = dict(before)
    defaults: dict[str, Json] = dict(_object(before.get("defaults")))
    if input_file is not UNSET:
        # A file takes the place of what a schedule that was made natively may have instead.
        template = {name: value for name, value in before.items() if name not in ("tasks", "csv")}
        template["input_file"] = input_file.lstrip("/") or input_file
        defaults.setdefault("kind", _KIND)
    if config is not UNSET:
        parameters: dict[str, Json] = dict(_object(defaults.get("parameters")))
        _change(defaults, "model", config.model)
        _change(parameters, "temperature", config.temperature)
        _change(parameters, "max_tokens", config.max_tokens)
        _change(defaults, "parameters", parameters or None)
        _change(template, "max_concurrency", config.max_concurrency)
        _change(template, "retries", config.max_retries)
    return {**template, "defaults": defaults}


def shown(request: Mapping[str, Json]) -> Shown:
    """A native request as the document shows a task; of one that asks no model, nothing."""
    if request.get("kind") != _KIND:
        return Shown(None, (), None, None, None)
    parameters = _object(request.get("parameters"))
    messages = msgspec.convert(request.get("messages", ()), tuple[RunnerMessage, ...])
    prompt = request.get("prompt") or _last_of_user(messages)
    model = request.get("model")
    return Shown(
        prompt=str(prompt) if prompt is not None else None,
        messages=messages,
        model=str(model) if model is not None else None,
        temperature=msgspec.convert(parameters.get("temperature"), float | None),
        max_tokens=msgspec.convert(parameters.get("max_tokens"), int | None),
    )


def _batch_tasks(tasks: Sequence[RunnerAsked]) -> list[dict[str, Any]]:
    made = []
    for index, task in enumerate(tasks):
        request: dict[str, Any] = dict(_request(task, f"tasks[{index}].", is_whole=False))
        own = getattr(task, "id", None)
        made.append(request if own is None else {"id": own, **request})
    return made


def _run_as(input_file: str | None, config: RunnerConfig) -> dict[str, Any]:
    """The fields that `RunnerConfig` and a file say of a batch."""
    defaults: dict[str, Any] = {"kind": _KIND}
    if config.model is not None:
        defaults["model"] = config.model
    parameters = _parameters(config.temperature, config.max_tokens)
    if parameters:
        defaults["parameters"] = parameters
    return {
        # The document names files from the root on: that is the account's folder.
        "input_file": None if input_file is None else input_file.lstrip("/") or input_file,
        "defaults": defaults,
        "max_concurrency": config.max_concurrency,
        "retries": config.max_retries,
    }


def _request(asked: RunnerAsked, place: str, *, is_whole: bool) -> dict[str, Any]:
    """What a task says; ``is_whole``: nothing else says the rest."""
    made = _words(asked.prompt, asked.messages, place)
    if is_whole:
        made["kind"] = _KIND
    if asked.model is not None:
        made["model"] = asked.model
    parameters = _parameters(asked.temperature, asked.max_tokens)
    if parameters:
        made["parameters"] = parameters
    return made


def _words(prompt: str | None, messages: Sequence[RunnerMessage], place: str) -> dict[str, Any]:
    if not messages:
        if prompt is None:
            raise InvalidRequest(f"{place}prompt: needs a prompt or messages", f"{place}prompt")
        return {"prompt": prompt}
    if prompt is not None and all(message.content != prompt for message in messages):
        raise InvalidRequest(
            f"{place}prompt: is none of the messages; a model is asked one or the other",
            f"{place}prompt",
        )
    return {"messages": [{"role": each.role, "content": each.content} for each in messages]}


def _with_prompt(messages: tuple[RunnerMessage, ...], prompt: str) -> tuple[RunnerMessage, ...]:
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == _USER:
            return (
                *messages[:index],
                RunnerMessage(role=_USER, content=prompt),
                *messages[index + 1 :],
            )
    return (*messages, RunnerMessage(role=_USER, content=prompt)) if messages else ()


def _last_of_user(messages: Sequence[RunnerMessage]) -> str | None:
    return next((each.content for each in reversed(messages) if each.role == _USER), None)


def _parameters(temperature: float | None, max_tokens: int | None) -> dict[str, Any]:
    given: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    return {name: value for name, value in given.items() if value is not None}


def _change(place: dict[str, Json], name: str, value: Any) -> None:
    if value is None:
        place.pop(name, None)
    elif value is not UNSET:
        place[name] = value


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

"""What a stored task was asked for: the submission that it was made of, read back from its row. Pure."""

from typing import cast

import msgspec

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.checkpoint import CheckpointPlan
from neurogrid_marketplace.conditions import Where
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.gang import Apart, Gang
from neurogrid_marketplace.money import parse_usdc
from neurogrid_marketplace.needs import OutputWanted, PromptPart
from neurogrid_marketplace.operations import Operation
from neurogrid_marketplace.spread import NOWHERE, Avoid, Spread, SpreadBy
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.verification import UNVERIFIED, Verification

from ..store.tasks import TaskRow
from .submission import (
    InputWanted,
    ModelAsked,
    OperationAsked,
    ResumeFrom,
    Submission,
    fetched_files,
)


class _Operation(msgspec.Struct):
    name: str
    parameters: dict[str, int | str]
    device_preference: str


class _Model(msgspec.Struct):
    id: str
    name: str
    type: str
    category: str
    parameters: dict[str, object]


class _Record(msgspec.Struct):
    """`Submission.record`, as far as neither job nor demand says it."""

    name: str
    type: str
    priority: int
    max_price_per_hour: str
    max_total_cost: str | None
    timeout_seconds: int
    queue_timeout_seconds: int | None
    wait_for_node: bool
    priority_reason: str = ""
    finish_by_ms: int = 0
    runs_late: bool = False
    spread: tuple[str, SpreadBy] | None = None
    avoid: Avoid = NOWHERE
    depends_on: tuple[str, ...] = ()
    from_outputs: tuple[tuple[str, str, str], ...] = ()
    prompt_from: tuple[PromptPart, ...] = ()
    where: Where = ()
    client: str | None = None
    sealed_bids: bool = False
    preemptible: bool = False
    reclaim_window_s: int = 0
    gang: tuple[int, Apart, int] | None = None
    checkpoint: CheckpointPlan | None = None
    resume_from: tuple[str, int | None] | None = None
    operation: _Operation | None = None
    model: _Model | None = None
    execution_of: str | None = None
    verification: Verification = UNVERIFIED


def submission_of(row: TaskRow) -> Submission:
    """What the task was asked for; of a model, without the bytes of the request, which are an input."""
    record = msgspec.convert(row.spec, _Record)
    demand: Demand = row.state.demand
    job = row.job
    urls = {path: url for path, url, _ in fetched_files(row.spec)}
    later = {path for path, _, _ in record.from_outputs}
    given = [item for item in job.inputs if item.path not in later]
    gang = None if record.gang is None else Gang(record.gang[0], record.gang[1])
    return Submission(
        image=job.image,
        max_price_micro_usdc_per_hour=parse_usdc(record.max_price_per_hour),
        timeout_s=record.timeout_seconds,
        requirements=demand.requirements,
        queue_timeout_s=record.queue_timeout_seconds,
        name=record.name,
        kind=record.type,
        priority=record.priority,
        priority_reason=record.priority_reason,
        finish_by_ms=record.finish_by_ms,
        runs_late=record.runs_late,
        command=job.command,
        environment=dict(job.environment),
        inputs=tuple(
            InputWanted(item.path, item.sha256, index, item.sealed, urls.get(item.path))
            for index, item in enumerate(given)
        ),
        spread=None if record.spread is None else Spread(*record.spread),
        avoid=record.avoid,
        depends_on=record.depends_on,
        outputs_wanted=tuple(OutputWanted(*item) for item in record.from_outputs),
        # Afterwards they stand in its request.
        prompt_parts=record.prompt_from if row.phase is Phase.WAITING else (),
        where=record.where,
        client=record.client,
        sealed_bids=record.sealed_bids,
        preemptible=record.preemptible,
        reclaim_window_s=record.reclaim_window_s,
        max_total_cost_micro_usdc=(
            None if record.max_total_cost is None else parse_usdc(record.max_total_cost)
        ),
        wait_for_node=record.wait_for_node,
        verification=record.verification,
        gang=gang,
        tries=1 if record.gang is None else record.gang[2],
        checkpoint=record.checkpoint,
        resume_from=None if record.resume_from is None else ResumeFrom(*record.resume_from),
        interactive=job.interactive,
        service=job.service,
        network=job.network,
        serves=demand.serves,
        use=demand.use,
        operation=_operation(record.operation),
        model=_model(record.model),
        execution_of=record.execution_of,
    )


def _operation(kept: _Operation | None) -> OperationAsked | None:
    if kept is None:
        return None
    return OperationAsked(Operation(kept.name), kept.parameters, kept.device_preference)


def _model(kept: _Model | None) -> ModelAsked | None:
    if kept is None:
        return None
    parameters = cast(dict[str, Json], kept.parameters)
    return ModelAsked(kept.id, kept.name, kept.type, kept.category, parameters, b"")

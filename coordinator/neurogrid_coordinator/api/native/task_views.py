"""How a task is shown."""

from typing import Any, Final
from urllib.parse import quote

import msgspec

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.checkpoint import KeptCheckpoint
from neurogrid_marketplace.comparator import Comparator, ComparatorKind
from neurogrid_marketplace.exposure import signable_micro_usdc
from neurogrid_marketplace.faults import CONSEQUENCES
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.key_wait import needs_key
from neurogrid_marketplace.model_catalogue import RESULT_FILE
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.preemption import is_reclaimed
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.task import TERMINAL, Phase, Task

from ...event_kinds import public_name
from ...services.logs import LogPiece
from ...services.submission import fetched_files
from ...services.task_details import TaskDetail
from ...services.tasks import settled
from ...store.leases import LeaseRow
from ...store.tasks import TaskRow
from ..envelope import iso, iso_or_none, seconds_or_none
from ..paths import API
from .amounts import BYTES_PER_GB, usdc_number
from .constraints import text_of
from .model_schemas import ModelTaskView
from .network_views import network_view
from .operation_schemas import OperationView
from .requests import (
    AvoidRequest,
    CheckpointRequest,
    ComparatorRequest,
    FileRuleRequest,
    ResourceRequirements,
    SpreadRequest,
)
from .schemas import TaskKind
from .task_schemas import (
    CheckpointView,
    FurtherRunView,
    GangMemberView,
    GangView,
    InputView,
    LeaseView,
    LogView,
    OutputView,
    ServiceView,
    TaskFailure,
    TaskSummary,
    TaskView,
    TimelineView,
    VerificationView,
)
from .words import STATUS_OF_PHASE, priority_word

_BY_NAME: Final[tuple[TaskKind, ...]] = ("operation", "model", "replica", "use")
_NOWHERE = AvoidRequest()
_EXACT = ComparatorRequest()
_AMOUNT_NAMES = {
    "price_micro_usdc_per_hour": "price_per_hour",
    "cost_micro_usdc": "cost_usdc",
    "paid_micro_usdc": "paid_usdc",
}
_ADVICE = {outcome.value.upper(): it.advice for outcome, it in CONSEQUENCES.items()} | {
    "NODE_UNAVAILABLE": "Raise max_price_per_hour, ask for less, or raise queue_timeout_seconds.",
    "INSUFFICIENT_CREDITS": "Deposit more USDC, or lower the price or the time limit.",
    "DEADLINE_MISSED": "Give it more time, a higher price or priority, or a lower timeout_seconds.",
    "DEPENDENCY_FAILED": "See why that task failed; submit both again when that is mended.",
    "DEPENDENCY_CANCELLED": "Submit it again, without that task or together with it.",
    "RESULT_REFUTED": "Nothing: the task that it belongs to has the result that others agree on.",
    "VERIFICATION_UNDECIDED": "See docs/verification.md for what makes a job's results comparable.",
    "KEY_MISSING": "Submit it again and wait for it, or run `neurogrid keys serve` beside it.",
    "PROMPT_UNFIT": "Name another output or field in prompt_from, or have that task leave a text.",
    "OUTPUT_MISSING": "Have that task write the file below /outputs, or name another one.",
}


def kind_of(row: TaskRow) -> TaskKind:
    """What kind of task it is, as clients are told."""
    return next((kind for kind in _BY_NAME if kind == row.kind), "container")


def summary_view(row: TaskRow) -> TaskSummary:
    """A task in a list."""
    return TaskSummary(**common_fields(row, row.cost_micro_usdc))


def task_view(detail: TaskDetail, *, ready: bool = False) -> TaskView:
    """A task with everything its owner may know."""
    row = detail.row
    state, demand, job = row.state, row.state.demand, row.job
    lease = detail.leases[-1] if detail.leases else None
    needs = demand.requirements
    deadline_ms = _deadline_ms(row)
    waiting = row.phase in (Phase.QUEUED, Phase.MATCHING)
    return TaskView(
        **common_fields(row, _cost_micro_usdc(row, lease)),
        operation=_operation_view(row),
        model_request=_model_view(row),
        command=list(job.command),
        env=dict(job.environment),
        inputs=_input_views(row),
        depends_on=list(state.needs.task_ids),
        workflow_id=row.workflow_id,
        resource_requirements=resource_view(needs),
        regions=list(needs.regions),
        constraints=text_of(demand.where),
        constraint_clauses=list(demand.where),
        reveal_wallet=demand.client is not None,
        sealed_bids=demand.sealed_bids,
        preemptible=demand.preemptible,
        reclaim_window_seconds=demand.reclaim_window_s,
        preemptions=state.preemptions,
        stops_at=_stops_at(state),
        checkpoint=(
            None
            if state.checkpoint is None
            else CheckpointRequest(
                state.checkpoint.path, state.checkpoint.interval_s, state.checkpoint.keep
            )
        ),
        checkpoints=[checkpoint_view(kept) for kept in state.checkpoints],
        interactive=job.interactive,
        service=(
            None
            if job.service is None
            else ServiceView(job.service.port, job.service.health, job.service.start_s, ready)
        ),
        spread=(
            None
            if state.spread is None
            else SpreadRequest(group=state.spread.group, by=state.spread.by.value)
        ),
        avoid=msgspec.convert(row.spec["avoid"], AvoidRequest) if "avoid" in row.spec else _NOWHERE,
        timeout_seconds=demand.timeout_s,
        queue_timeout_seconds=state.queue_timeout_ms // 1000,
        priority=priority_word(row.priority),
        priority_reason=str(row.spec.get("priority_reason", "")),
        execution_of=execution_of(row),
        deadline=iso_or_none(deadline_ms),
        deadline_policy=("run" if state.runs_late else "end") if deadline_ms else None,
        deadline_met=_deadline_met(row, deadline_ms),
        max_price_per_hour=format_usdc(demand.max_price_micro_usdc_per_hour),
        max_cost=format_usdc(state.preempted_micro_usdc + _held_micro_usdc(row)),
        price_per_hour=format_usdc(lease.lease.price_micro_usdc_per_hour) if lease else None,
        currency="USDC",
        exit_code=_exit_code(row),
        explanation=detail.waits or ((state.last_explanation or None) if waiting else None),
        sealed=state.sealed,
        needs_key=needs_key(state),
        settled=settled(row, detail.leases),
        verification=_verification_view(detail),
        gang=_gang_view(detail),
        network=network_view(row),
        leases=[_lease_view(item) for item in detail.leases],
        timeline=[
            TimelineView(iso(event.at_ms), public_name(event.kind), _public(event.data))
            for event in detail.timeline
        ],
    )


def resource_view(needs: Requirements) -> ResourceRequirements:
    """What a job needs of one machine."""
    return ResourceRequirements(
        cpu_cores=needs.cpu_millis / 1000,
        ram_gb=needs.memory_bytes / BYTES_PER_GB,
        storage_gb=needs.disk_bytes / BYTES_PER_GB,
        gpu_count=needs.gpu_count,
        gpu_memory_gb=needs.gpu_memory_bytes / BYTES_PER_GB,
        gpu_model=needs.gpu_model,
        gpu_compute_capability=(
            "" if needs.compute_capability == "0.0" else needs.compute_capability
        ),
    )


def _operation_view(row: TaskRow) -> OperationView | None:
    asked = row.spec.get("operation")
    return None if asked is None else msgspec.convert(asked, OperationView)


def _model_view(row: TaskRow) -> ModelTaskView | None:
    asked = row.spec.get("model")
    if not isinstance(asked, dict):
        return None
    there = row.phase is Phase.COMPLETED
    path = output_url(row.id, RESULT_FILE, "") if there else None
    return msgspec.convert({**asked, "result_path": path}, ModelTaskView)


def _type(row: TaskRow) -> str:
    asked = row.spec.get("model")
    if isinstance(asked, dict):
        return f"{asked['type']}-{asked['category']}"
    return str(row.spec.get("type", row.kind))


def _verification_view(detail: TaskDetail) -> VerificationView:
    state = detail.row.state
    wanted = state.verification
    return VerificationView(
        mode=wanted.mode.value,
        runs=wanted.runs,
        comparator=_comparator_view(wanted.comparator),
        verdict=state.verdict.value or None,
        result_of=state.result_of or None,
        belongs_to=state.belongs_to or None,
        further_runs=[
            FurtherRunView(
                id=run.id,
                phase=run.phase.value,
                compares=list(run.state.compares),
                node_id=run.node_id,
                verdict=run.state.verdict.value or None,
                cost_usdc=format_usdc(run.cost_micro_usdc),
                error=failure_view(run),
            )
            for run in detail.further_runs
        ],
        total_cost_usdc=format_usdc(
            detail.row.cost_micro_usdc + sum(run.cost_micro_usdc for run in detail.further_runs)
        ),
    )


def _comparator_view(comparator: Comparator) -> ComparatorRequest:
    if comparator.kind is ComparatorKind.EXACT:
        return _EXACT
    return ComparatorRequest(
        kind=comparator.kind,
        relative=comparator.relative,
        absolute=comparator.absolute,
        files=tuple(FileRuleRequest(rule.pattern, rule.format) for rule in comparator.files)
        or None,
        image=comparator.image,
        command=comparator.command,
        timeout_seconds=comparator.timeout_s or None,
    )


def _held_micro_usdc(row: TaskRow) -> int:
    """What was held for the task when it was accepted."""
    state, wanted = row.state, row.spec.get("gang")
    if isinstance(wanted, list) and row.belongs_to is None:
        size, _, tries = wanted
        return state.demand.max_cost_micro_usdc() * int(str(size)) * int(str(tries))
    return state.verification.held_micro_usdc(state.demand)


def _gang_view(detail: TaskDetail) -> GangView | None:
    membership = detail.row.state.membership
    if membership is None:
        return None
    return GangView(
        size=membership.gang.size,
        apart=membership.gang.apart.value,
        tries=membership.tries,
        attempt=membership.attempt,
        rank=membership.rank,
        belongs_to=detail.row.belongs_to,
        members=[
            GangMemberView(
                rank=rank,
                id=member.id,
                phase=member.phase.value,
                node_id=member.node_id,
                progress=progress_percent(member),
                cost_usdc=format_usdc(member.cost_micro_usdc),
                error=failure_view(member),
            )
            for rank, member in enumerate(detail.members)
        ],
        total_cost_usdc=format_usdc(sum(member.cost_micro_usdc for member in detail.members)),
    )


def progress_percent(row: TaskRow) -> float:
    """Percent."""
    return 100.0 if row.phase is Phase.COMPLETED else row.progress_permille / 10


def execution_of(row: TaskRow) -> str | None:
    """The task that it is a further execution of."""
    first = row.spec.get("execution_of")
    return first if isinstance(first, str) else None


def failure_view(row: TaskRow) -> TaskFailure | None:
    """Why the task failed, with what to do about it."""
    ending = row.state.ending
    if ending is None or STATUS_OF_PHASE[row.phase] != "failed":
        return None
    advice = _ADVICE.get(ending.code, "")
    # The stored message ends with the advice, for readers that show nothing else.
    message = ending.message.removesuffix(advice).strip()
    return TaskFailure(ending.code, message or advice, advice)


def checkpoint_view(kept: KeptCheckpoint) -> CheckpointView:
    """What is kept of a task's work."""
    return CheckpointView(
        sequence=kept.checkpoint.sequence,
        lease_id=kept.lease_id or None,
        kept_at=iso(kept.at_ms),
        files=kept.checkpoint.files,
        size=kept.checkpoint.size_bytes,
        manifest_sha256=kept.checkpoint.manifest_sha256,
    )


def output_view(task_id: str, output: OutputFile, public_url: str) -> OutputView:
    """An output file and where to get it."""
    url = output_url(task_id, output.path, public_url)
    return OutputView(output.path, output.sha256, output.size_bytes, url)


def output_url(task_id: str, path: str, public_url: str) -> str:
    """Where an output file is."""
    return f"{public_url}{API}/tasks/{task_id}/outputs/{quote(path)}"


def log_view(task_id: str, piece: LogPiece) -> LogView:
    """A piece of a log."""
    return LogView(
        task_id=task_id,
        lease_id=piece.lease_id,
        text=piece.text,
        offset=piece.offset,
        next_offset=piece.next_offset,
        total_bytes=piece.total_bytes,
        complete=piece.complete,
    )


def common_fields(row: TaskRow, cost_micro_usdc: int) -> dict[str, Any]:
    """The fields of a `TaskSummary`."""
    return {
        "id": row.id,
        "name": row.name,
        "kind": kind_of(row),
        "type": _type(row),
        "model": row.model,
        "status": STATUS_OF_PHASE[row.phase],
        "phase": row.phase.value,
        "docker_image": row.job.image,
        "created_at": iso(row.created_at_ms),
        "started_at": iso_or_none(row.started_at_ms),
        "completed_at": iso_or_none(row.ended_at_ms),
        "node_id": row.node_id,
        "progress": progress_percent(row),
        "progress_note": row.progress_note,
        "cost": usdc_number(cost_micro_usdc),
        "cost_usdc": format_usdc(cost_micro_usdc),
        "error": failure_view(row),
    }


def _cost_micro_usdc(row: TaskRow, lease: LeaseRow | None) -> int:
    """The charge so far; of the lease that it has now, what its metered time comes to."""
    if row.phase in TERMINAL or lease is None or lease.id != row.lease_id:
        return row.cost_micro_usdc
    agreed = lease.lease
    return row.cost_micro_usdc + signable_micro_usdc(
        agreed.price_micro_usdc_per_hour,
        agreed.max_cost_micro_usdc,
        lease.metered_ms,
        lease.metered_ms,
    )


def _stops_at(state: Task) -> str | None:
    if not is_reclaimed(state) or state.lease is None:
        return None
    return iso(state.lease.reclaimed_at_ms + state.lease.reclaim_window_s * 1000)


def _exit_code(row: TaskRow) -> int | None:
    result = row.state.result
    return None if result is None or result.exit_code < 0 else result.exit_code


def _lease_view(row: LeaseRow) -> LeaseView:
    settlement = row.settlement
    closed = settlement.phase is SettlementPhase.CLOSED
    return LeaseView(
        id=row.id,
        node_id=row.node_id,
        wallet=row.wallet,
        created_at=iso(row.created_at_ms),
        price_per_hour=format_usdc(row.lease.price_micro_usdc_per_hour),
        max_cost=format_usdc(row.lease.max_cost_micro_usdc),
        expected_start_seconds=row.lease.bid_start_ms / 1000,
        started_after_seconds=seconds_or_none(row.start_took_ms),
        resumed_from=row.lease.resumed.sequence if row.lease.resumed is not None else None,
        settlement=settlement.phase.value,
        paid=format_usdc(settlement.paid_micro_usdc) if closed else None,
        escrow=row.escrow or None,
        transaction=settlement.closed_by or None,
    )


def _deadline_ms(row: TaskRow) -> int | None:
    # As submitted: a task that goes on without its deadline has none in its demand.
    wanted = row.spec.get("finish_by_ms")
    return wanted if isinstance(wanted, int) else None


def _deadline_met(row: TaskRow, deadline_ms: int | None) -> bool | None:
    if deadline_ms is None:
        return None
    if row.phase is Phase.COMPLETED:
        assert row.ended_at_ms is not None, "it has ended"
        return row.ended_at_ms <= deadline_ms
    if row.phase in TERMINAL or row.state.demand.finish_by_ms == 0:
        return False
    return None


def _input_views(row: TaskRow) -> list[InputView]:
    """Its inputs sorted by path; those that are still awaited have no hash."""
    if not row.job.inputs and not row.state.needs.outputs:
        return []
    awaited = {item.path: item for item in row.state.needs.outputs}
    urls = {path: url for path, url, _ in fetched_files(row.spec)}
    views = {
        item.path: InputView(
            item.path, item.sha256, item.size_bytes, item.sealed, url=urls.get(item.path)
        )
        for item in row.job.inputs
    }
    for path, wanted in awaited.items():
        known = views.get(path, InputView(path, None, None))
        views[path] = InputView(
            path, known.sha256, known.size, from_task=wanted.task_id, output=wanted.output
        )
    return [views[path] for path in sorted(views)]


def _public(data: dict[str, Json]) -> dict[str, Any]:
    """An event's data with its amounts as people read them."""
    shown: dict[str, Any] = {}
    for name, value in data.items():
        if "micro_usdc" in name and isinstance(value, int):
            shown[_AMOUNT_NAMES.get(name, name)] = format_usdc(value)
        else:
            shown[name] = value
    return shown

"""What a request for a task asks for, as the services take it; refused where it cannot be."""

from datetime import datetime

from neurogrid_marketplace.checkpoint import CheckpointPlan
from neurogrid_marketplace.comparator import DEFAULT_FILES, Comparator, ComparatorKind, FileRule
from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.gang import Apart, Gang
from neurogrid_marketplace.needs import OutputWanted
from neurogrid_marketplace.network import Network
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.service import Service
from neurogrid_marketplace.spread import Avoid, Spread, SpreadBy
from neurogrid_marketplace.verification import QUORUM_MIN, UNVERIFIED, Verification

from ...services.errors import InvalidRequest
from ...services.submission import NOT_KNOWN, InputWanted, ResumeFrom, Submission
from .amounts import BYTES_PER_GB, micro_usdc
from .constraints import read_constraints, require_possible
from .requests import (
    ComparatorRequest,
    NetworkRequest,
    ResourceRequirements,
    ServiceRequest,
    TaskRequest,
    VerificationRequest,
)
from .words import priority_number

# How long a client's own image may take to compare results, where the client does not say.
_COMPARISON_S = 600
# What most requests say of it: nothing.
_UNVERIFIED_WANTED = VerificationRequest()


def submission(
    request: TaskRequest, wallet: str, idempotency_key: str | None = None, place: str = ""
) -> Submission:
    """The request in the product's terms.

    Args:
        wallet: of the account that asks.
        place: what its fields' paths in the whole request begin with.

    Raises:
        InvalidRequest: values that do not go together.
    """
    if request.reclaim_window_seconds and not request.preemptible:
        raise InvalidRequest(
            f"{place}reclaim_window_seconds: goes with preemptible only",
            f"{place}reclaim_window_seconds",
        )
    needs = _requirements(request)
    files, outputs = _inputs(request, place)
    wanted = Submission(
        image=request.docker_image,
        max_price_micro_usdc_per_hour=micro_usdc(request.max_price_per_hour, "max_price_per_hour"),
        timeout_s=request.timeout_seconds,
        requirements=needs,
        queue_timeout_s=request.queue_timeout_seconds,
        name=request.name,
        kind="gpu" if needs.gpu_count else "cpu",
        priority=priority_number(request.priority),
        priority_reason=request.priority_reason,
        finish_by_ms=finish_by_ms(request.deadline, place),
        runs_late=request.deadline is not None and request.deadline_policy == "run",
        command=request.command,
        environment=request.env,
        inputs=files,
        spread=(
            None
            if request.spread is None
            else Spread(request.spread.group, SpreadBy(request.spread.by))
        ),
        avoid=Avoid(request.avoid.nodes, request.avoid.wallets),
        depends_on=request.depends_on,
        outputs_wanted=outputs,
        where=read_constraints(request.constraints, f"{place}constraints"),
        client=wallet if request.reveal_wallet else None,
        sealed_bids=request.sealed_bids,
        preemptible=request.preemptible,
        reclaim_window_s=request.reclaim_window_seconds,
        max_total_cost_micro_usdc=(
            None
            if request.max_total_cost is None
            else micro_usdc(request.max_total_cost, "max_total_cost")
        ),
        wait_for_node=request.wait_for_node,
        verification=verification_of(request.verification, place),
        gang=None if request.gang is None else Gang(request.gang.size, Apart(request.gang.apart)),
        tries=1 if request.gang is None else request.gang.tries,
        checkpoint=_checkpoint(request, place),
        resume_from=(
            None
            if request.resume_from is None
            else ResumeFrom(request.resume_from.task, request.resume_from.sequence)
        ),
        interactive=request.interactive,
        service=_service(request.service, place),
        network=_network(request.network, place),
        idempotency_key=idempotency_key,
    )
    if wanted.where:
        require_possible(wanted, f"{place}constraints")
    _require_readable(wanted, place)
    _require_gang_alone(wanted, place)
    _require_resumable(wanted, place)
    _require_untouched(wanted, place)
    return wanted


def _require_readable(wanted: Submission, place: str) -> None:
    """Refuse sealed inputs where somebody would run the job who has no key to them."""
    sealed = next((item.index for item in wanted.inputs if item.sealed), None)
    if sealed is None:
        return
    where = f"{place}inputs[{sealed}].sealed"
    if wanted.outputs_wanted:
        # Its client wraps the key to the hash of a job that it knows before anybody else tells it.
        raise InvalidRequest(f"{where}: a task that takes others' outputs can't be sealed", where)
    if wanted.verification.mode is not VerifyMode.NONE:
        raise InvalidRequest(
            f"{where}: a task with sealed inputs can't be verified by further runs, which would have "
            "no key",
            where,
        )


def _require_gang_alone(wanted: Submission, place: str) -> None:
    """Refuse a gang with what is about one node and its result."""
    if wanted.gang is None:
        return
    other = None
    if wanted.verification.mode is not VerifyMode.NONE:
        other = "verification: what its members say to each other can't be run once more"
    elif any(item.sealed for item in wanted.inputs):
        other = "sealed inputs: their key goes to one node"
    elif wanted.spread is not None:
        other = "spread: gang.apart says what its members do not share"
    elif wanted.service is not None:
        other = "service: which of its members would serve"
    elif wanted.preemptible:
        other = "preemptible: one node that takes its machine back would stop all"
    if other is not None:
        raise InvalidRequest(f"{place}gang: does not go with {other}", f"{place}gang")


def _checkpoint(request: TaskRequest, place: str) -> CheckpointPlan | None:
    wanted = request.checkpoint
    if wanted is None:
        # Who goes on from somewhere goes on keeping it.
        return CheckpointPlan() if request.resume_from is not None else None
    try:
        return CheckpointPlan(wanted.path, wanted.interval_seconds, wanted.keep)
    except InvalidValue as error:
        field = f"{place}checkpoint.path"
        raise InvalidRequest(f"{field}: {error}", field) from error


def _require_resumable(wanted: Submission, place: str) -> None:
    """Refuse checkpoints of what can't go on elsewhere, or must not."""
    if wanted.checkpoint is None:
        return
    other = None
    if wanted.gang is not None:
        other = "gang: what its members have done fits together at no single moment"
    elif any(item.sealed for item in wanted.inputs):
        other = "sealed inputs: the coordinator would get to read what the job makes of them"
    if other is not None:
        raise InvalidRequest(f"{place}checkpoint: does not go with {other}", f"{place}checkpoint")
    if wanted.resume_from is not None and wanted.verification.mode is not VerifyMode.NONE:
        raise InvalidRequest(
            f"{place}resume_from: does not go with verification: each of its runs begins from nothing",
            f"{place}resume_from",
        )


def _require_untouched(wanted: Submission, place: str) -> None:
    """Refuse a way into a job whose run is compared with others', or whose inputs are sealed."""
    ways = {"interactive": wanted.interactive, "service": wanted.service is not None}
    for name in (name for name, is_wanted in ways.items() if is_wanted):
        other = None
        if wanted.verification.mode is not VerifyMode.NONE:
            other = "verification: a run that is compared with others' must not be touched"
        elif any(item.sealed for item in wanted.inputs):
            other = "sealed inputs: whoever passes on what is said could read them"
        if other is not None:
            raise InvalidRequest(f"{place}{name}: does not go with {other}", f"{place}{name}")


def finish_by_ms(deadline: datetime | None, place: str) -> int:
    """A deadline as Unix milliseconds; 0 for none.

    Raises:
        InvalidRequest: it lies before 1970.
    """
    if deadline is None:
        return 0
    at_ms = int(deadline.timestamp() * 1000)
    if at_ms <= 0:
        raise InvalidRequest(f"{place}deadline: lies before 1970", f"{place}deadline")
    return at_ms


def verification_of(wanted: VerificationRequest, place: str) -> Verification:
    """How the result is to be verified.

    Args:
        place: what its fields' paths in the whole request begin with.

    Raises:
        InvalidRequest: values that do not go together.
    """
    if wanted == _UNVERIFIED_WANTED:
        return UNVERIFIED
    runs = wanted.runs or (QUORUM_MIN if wanted.mode is VerifyMode.QUORUM else 1)
    field = f"{place}verification.comparator"
    try:
        comparator = _comparator(wanted.comparator)
        field = f"{place}verification"
        return Verification(wanted.mode, runs, comparator)
    except InvalidValue as error:
        raise InvalidRequest(f"{field}: {error}", field) from error


def _service(wanted: ServiceRequest | None, place: str) -> Service | None:
    if wanted is None:
        return None
    try:
        return Service(wanted.port, wanted.health, wanted.start_seconds)
    except InvalidValue as error:
        field = f"{place}service.port"
        raise InvalidRequest(f"{field}: {error}", field) from error


def _network(wanted: NetworkRequest | None, place: str) -> Network | None:
    if wanted is None:
        return None
    try:
        return Network.asked(wanted.allow)
    except InvalidValue as error:
        field = f"{place}network.allow"
        raise InvalidRequest(f"{field}: {error}", field) from error


def _comparator(wanted: ComparatorRequest) -> Comparator:
    files: tuple[FileRule, ...] = ()
    if wanted.files is not None:
        files = tuple(FileRule(rule.pattern, rule.format) for rule in wanted.files)
    elif wanted.kind is ComparatorKind.NUMERIC:
        files = DEFAULT_FILES
    timeout_s = wanted.timeout_seconds
    if timeout_s is None:
        timeout_s = _COMPARISON_S if wanted.kind is ComparatorKind.IMAGE else 0
    return Comparator(
        kind=wanted.kind,
        relative=wanted.relative,
        absolute=wanted.absolute,
        files=files,
        image=wanted.image,
        command=wanted.command,
        timeout_s=timeout_s,
    )


def _inputs(
    request: TaskRequest, place: str
) -> tuple[tuple[InputWanted, ...], tuple[OutputWanted, ...]]:
    """The inputs that are here, and those that other tasks will leave."""
    files: list[InputWanted] = []
    outputs: list[OutputWanted] = []
    for index, item in enumerate(request.inputs):
        where = f"{place}inputs[{index}]"
        is_file = item.sha256 is not None or item.url is not None
        if is_file == (item.from_task is not None):
            raise InvalidRequest(f"{where}: needs one of sha256, url and from_task", where)
        if item.url is not None and item.sha256 == NOT_KNOWN:
            raise InvalidRequest(f"{where}.sha256: no file has this hash", f"{where}.sha256")
        if item.sealed and (item.url is not None or not is_file):
            raise InvalidRequest(
                f"{where}.sealed: what another task leaves, or a server, is not sealed", where
            )
        if is_file and item.output is not None:
            raise InvalidRequest(f"{where}.output: goes with from_task only", f"{where}.output")
        if item.from_task is not None:
            outputs.append(OutputWanted(item.path, item.from_task, item.output or item.path))
            continue
        files.append(InputWanted(item.path, item.sha256 or NOT_KNOWN, index, item.sealed, item.url))
    return tuple(files), tuple(outputs)


def _requirements(request: TaskRequest) -> Requirements:
    wanted = request.resource_requirements
    if request.type == "cpu" and _asks_for_gpu(wanted):
        raise InvalidRequest(
            'type: is "cpu", but resource_requirements asks for a GPU; leave one of them out',
            "type",
        )
    return requirements_of(wanted, request.regions, wants_gpu=request.type == "gpu")


def requirements_of(
    wanted: ResourceRequirements, regions: tuple[str, ...], *, wants_gpu: bool = False
) -> Requirements:
    """What a job needs, in base units; who says anything of a GPU wants one at least."""
    wants_gpu = wants_gpu or _asks_for_gpu(wanted)
    return Requirements(
        cpu_millis=round(wanted.cpu_cores * 1000),
        memory_bytes=_bytes(wanted.ram_gb),
        disk_bytes=_bytes(wanted.storage_gb),
        gpu_count=max(wanted.gpu_count, 1) if wants_gpu else 0,
        gpu_memory_bytes=_bytes(wanted.gpu_memory_gb),
        gpu_model=wanted.gpu_model,
        compute_capability=wanted.gpu_compute_capability or "0.0",
        regions=regions,
    )


def _asks_for_gpu(wanted: ResourceRequirements) -> bool:
    return any(
        (
            wanted.gpu_count,
            wanted.gpu_memory_gb,
            wanted.gpu_model,
            wanted.gpu_compute_capability,
        )
    )


def _bytes(gigabytes: float) -> int:
    return round(gigabytes * BYTES_PER_GB)

"""A task as its owner asks for it, and the demand and job that it becomes. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.checkpoint import CHECKPOINT_RUNTIME, CheckpointPlan
from neurogrid_marketplace.comparator import EXACT
from neurogrid_marketplace.conditions import MAX_CLAUSES, Clause, Condition, Operator, Where
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.gang import GANG_RUNTIME, Gang
from neurogrid_marketplace.input_seal import SEALED_INPUTS
from neurogrid_marketplace.job import InputFile, Job
from neurogrid_marketplace.job_stream import EXEC
from neurogrid_marketplace.model_catalogue import REQUEST_FILE
from neurogrid_marketplace.money import MS_PER_HOUR, format_usdc
from neurogrid_marketplace.needs import OutputWanted, PromptPart
from neurogrid_marketplace.network import Network
from neurogrid_marketplace.operations import Operation
from neurogrid_marketplace.registry_auth import REGISTRY_AUTH, auth_input
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.service import PORTS, Service
from neurogrid_marketplace.serving import Serves, Use
from neurogrid_marketplace.spread import NOWHERE, Avoid, Spread
from neurogrid_marketplace.verification import UNVERIFIED, Verification

from .errors import InvalidRequest

# What a demand's numbers can hold (marketplace `fields`): nine billion USDC.
_MICRO_USDC_MAX = 2**53 - 1
# What a job can name (marketplace `Job`).
_INPUTS_MAX = 256
# What rows of operations have in place of "gpu" or "cpu".
OPERATION_KIND = "operation"
# ... and rows of requests to models.
MODEL_KIND = "model"
# ... and of warm servers of models.
REPLICA_KIND = "replica"
# ... and of leases for asking one of them.
USE_KIND = "use"
# Stands for a hash that is not known yet.
NOT_KNOWN = "0" * 64
# Only nodes that have made such a network say so.
_JOINS_GANGS = Clause((Condition("runtime", Operator.HAS, (GANG_RUNTIME,)),))
_TAKES_CHECKPOINTS = Clause((Condition("runtime", Operator.HAS, (CHECKPOINT_RUNTIME,)),))
_PULLS_WITH_AUTH = Clause((Condition("privacy", Operator.HAS, (REGISTRY_AUTH,)),))
_OPENS_SEALED = Clause((Condition("privacy", Operator.HAS, (SEALED_INPUTS,)),))
_TAKES_TO_PORTS = Clause((Condition("access", Operator.HAS, (PORTS,)),))
_LETS_IN = Clause((Condition("access", Operator.HAS, (EXEC,)),))


@dataclass(frozen=True, slots=True)
class Terms:
    """What this coordinator sets for every task.

    Attributes:
        bid_window_ms: how long bids are collected.
        voucher_interval_s: how often a running job is paid.
        dead_after_s: how long a node may be silent before its task goes to another.
        queue_timeout_s: how long a task waits for a node unless its owner says so.
        timeout_s_max: the longest time limit for which an escrow can be opened.
    """

    bid_window_ms: int
    voucher_interval_s: int
    dead_after_s: int
    queue_timeout_s: int
    timeout_s_max: int


@dataclass(frozen=True, slots=True)
class InputWanted:
    """An artifact of the account, and where the job shall find it below /inputs.

    Attributes:
        sha256: zeros while its URL is to be fetched and its client has named none (`services.fetching`).
        url: where it was fetched from, or will be.
        index: its place in the request.
        sealed: the node opens it with a key that the client sends after the award.
    """

    path: str
    sha256: str = NOT_KNOWN
    index: int = 0
    sealed: bool = False
    url: str | None = None

    @property
    def has_hash(self) -> bool:
        """Whether it is known what it is."""
        return self.sha256 != NOT_KNOWN


def fetched_files(record: Mapping[str, Json]) -> list[tuple[str, str, str]]:
    """Path, URL and SHA-256 of a kept request's inputs that came from the web (`Submission.record`)."""
    return msgspec.convert(record.get("urls", []), list[tuple[str, str, str]])


@dataclass(frozen=True, slots=True)
class ResumeFrom:
    """A checkpoint of another task of the account; ``sequence`` None: its newest."""

    task_id: str
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class OperationAsked:
    """Which operation a job computes (`services.operations`).

    Attributes:
        parameters: all.
        device: where its client wanted it to run, in its words.
    """

    operation: Operation
    parameters: Mapping[str, int | str]
    device: str


@dataclass(frozen=True, slots=True)
class ModelAsked:
    """Which model a job asks (`services.models`).

    Attributes:
        name: as its client calls it; may be an alias.
        parameters: all that count.
        request: the file that its program reads, an input of the job.
    """

    model_id: str
    name: str
    type: str
    category: str
    parameters: Mapping[str, Json]
    request: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Submission:
    """A container job, as asked for.

    Attributes:
        kind: "gpu" or "cpu".
        queue_timeout_s: how long it may wait for a node; None for the coordinator's default.
        priority: 1 to 10, 10 is the most urgent.
        finish_by_ms: its deadline, Unix milliseconds; 0: none.
        runs_late: whether it goes on when it can't keep that any more.
        priority_reason: why it is as urgent as that, for people.
        spread: which other tasks of the account it shares no place with.
        avoid: nodes and wallets where it must not run.
        depends_on: ids of tasks that must have completed before; in a workflow, names in it too.
        outputs_wanted: inputs that other tasks will leave, which it therefore depends on as well.
        prompt_parts: words of what it asks a model that other tasks will leave, likewise.
        where: conditions on nodes.
        client: the account's wallet, where it lets nodes know it before the start.
        sealed_bids: nodes commit to their bids before anybody sees one.
        preemptible: its node may take the machine back after a warning, and asks less for that.
        reclaim_window_s: how long the warning has to be at least.
        max_total_cost_micro_usdc: lowers the price until the whole time limit costs no more, all
            runs that are certain or held for together.
        wait_for_node: queue even if no known node could ever serve it.
        checkpoint: what is kept of its work while it runs.
        resume_from: what it begins from.
        gang: so many nodes at once; tries: how often all may begin (`Membership.tries`).
        service: the port of its own that its owner may reach; None: none.
        interactive: its owner may run commands beside it, in its container.
        network: hosts that the job may reach; None: none.
        operation: which one the job computes; None: none.
        model: which one it asks; None: none, and without an operation it is a container job of the client's own.
        replica_of: the model that it is a warm server of; "": of none. Only the coordinator itself submits such.
        serves: the model, and the most that units of it may cost, of a replica that is asked by leases for its use.
        use: the replica that it is for the use of; None: it is a job (`replicas.use_orders`).
        execution_of: the task that it is a further execution of; None: of none.
        idempotency_key: the same key with the same request is the same task.
        trace: what its spans belong to; no part of the request.
    """

    image: str
    max_price_micro_usdc_per_hour: int
    timeout_s: int
    requirements: Requirements
    queue_timeout_s: int | None = None
    name: str = ""
    kind: str = "cpu"
    priority: int = 5
    priority_reason: str = ""
    finish_by_ms: int = 0
    runs_late: bool = False
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[InputWanted] = ()
    spread: Spread | None = None
    avoid: Avoid = NOWHERE
    depends_on: tuple[str, ...] = ()
    outputs_wanted: tuple[OutputWanted, ...] = ()
    prompt_parts: tuple[PromptPart, ...] = ()
    where: Where = ()
    client: str | None = None
    sealed_bids: bool = False
    preemptible: bool = False
    reclaim_window_s: int = 0
    max_total_cost_micro_usdc: int | None = None
    wait_for_node: bool = False
    verification: Verification = UNVERIFIED
    gang: Gang | None = None
    tries: int = 1
    checkpoint: CheckpointPlan | None = None
    resume_from: ResumeFrom | None = None
    interactive: bool = False
    service: Service | None = None
    network: Network | None = None
    operation: OperationAsked | None = None
    model: ModelAsked | None = None
    replica_of: str = ""
    serves: Serves | None = None
    use: Use | None = None
    execution_of: str | None = None
    idempotency_key: str | None = None
    trace: str = ""

    @property
    def row_kind(self) -> str:
        """What lists of tasks can be asked for."""
        if self.model is not None:
            return MODEL_KIND
        if self.replica_of:
            return REPLICA_KIND
        if self.use is not None:
            return USE_KIND
        return self.kind if self.operation is None else OPERATION_KIND

    @property
    def model_id(self) -> str | None:
        """The model that it asks, or serves."""
        if self.use is not None:
            return self.use.model
        return self.model.model_id if self.model is not None else self.replica_of or None

    @property
    def runs_held(self) -> int:
        """For how many runs money is held before the task is accepted."""
        if self.gang is not None:
            return self.gang.size * self.tries
        return self.verification.runs_held

    def held_micro_usdc(self, demand: Demand) -> int:
        """What is held for all of them, with this demand of its."""
        if self.gang is not None:
            return demand.max_cost_micro_usdc() * self.runs_held
        return self.verification.held_micro_usdc(demand)

    @property
    def own_sizes(self) -> dict[str, int]:
        """SHA-256 -> bytes of the file that it brings along: what a model is asked."""
        if self.model is None:
            return {}
        return {
            item.sha256: len(self.model.request)
            for item in self.inputs
            if item.path == REQUEST_FILE
        }

    @property
    def names_urls(self) -> bool:
        """Whether any input is named by where it is on the web."""
        return any(item.url is not None for item in self.inputs)

    def price_micro_usdc_per_hour(self) -> int:
        """The highest price that neither limit forbids.

        Raises:
            InvalidRequest: the whole time limit would cost more than there is money.
        """
        price = self.max_price_micro_usdc_per_hour
        paid_s = self.timeout_s * self.runs_held
        paid_ms = (paid_s + self.verification.comparator.timeout_s) * 1000
        if price * paid_ms // MS_PER_HOUR > _MICRO_USDC_MAX:
            raise InvalidRequest("max_price_per_hour: is beyond all means", "max_price_per_hour")
        limit = self.max_total_cost_micro_usdc
        if limit is None:
            return price
        return min(price, limit * MS_PER_HOUR // paid_ms)

    def needed(self) -> tuple[str, ...]:
        """Whom it depends on, each once."""
        files = (item.task_id for item in self.outputs_wanted)
        words = (part.task_id for part in self.prompt_parts)
        return tuple(dict.fromkeys((*self.depends_on, *files, *words)))

    @property
    def stands_alone(self) -> bool:
        """Whether no other task has to be looked at to store it."""
        return not self.needed() and self.resume_from is None

    def job(self, sizes: Mapping[str, int]) -> Job:
        """The job, without those inputs that other tasks will leave.

        Args:
            sizes: SHA-256 -> size in bytes of every input.

        Raises:
            InvalidRequest: it breaks a rule that no single field shows.
        """
        inputs = tuple(
            InputFile(item.path, item.sha256, sizes[item.sha256], item.sealed)
            for item in sorted(self.inputs, key=lambda item: item.path)
        )
        # What is not known yet has a place already, so that two files can't come to have the same.
        later = tuple(InputFile(item.path, NOT_KNOWN, 0) for item in self.outputs_wanted)
        if len(inputs) + len(later) > _INPUTS_MAX:
            raise InvalidRequest(f"inputs: at most {_INPUTS_MAX}", "inputs")
        try:
            whole = Job(
                self.image,
                self.command,
                dict(self.environment),
                inputs + later,
                self.checkpoint,
                interactive=self.interactive,
                network=self.network,
                service=self.service,
                uses=self.use.replica if self.use is not None else None,
            )
        except InvalidValue as error:
            raise InvalidRequest(str(error)) from error
        return replace(whole, inputs=inputs) if later else whole

    def demand(self, demand_id: str, job: Job, job_hash: str, terms: Terms) -> Demand:
        """What is auctioned.

        Raises:
            InvalidRequest: it has more conditions than a demand may have.
        """
        where = (*self.where, *self.avoid.where())
        if job.is_sealed and _OPENS_SEALED not in where:
            where = (*where, _OPENS_SEALED)
        if auth_input(job) is not None and _PULLS_WITH_AUTH not in where:
            where = (*where, _PULLS_WITH_AUTH)
        if self.gang is not None and _JOINS_GANGS not in where:
            where = (*where, _JOINS_GANGS)
        if self.checkpoint is not None and _TAKES_CHECKPOINTS not in where:
            where = (*where, _TAKES_CHECKPOINTS)
        if job.interactive and _LETS_IN not in where:
            where = (*where, _LETS_IN)
        if job.service is not None and _TAKES_TO_PORTS not in where:
            where = (*where, _TAKES_TO_PORTS)
        if len(where) > MAX_CLAUSES:
            raise InvalidRequest(
                f"avoid: with constraints, and what sealed inputs, a gang, checkpoints, commands or a port need, it comes to "
                f"{len(where)} clauses; at most {MAX_CLAUSES} may be",
                "avoid",
            )
        comparator = self.verification.comparator
        return Demand(
            demand_id=demand_id,
            job_hash=job_hash,
            requirements=self.requirements,
            image=job.image,
            input_bytes=sum(item.size_bytes for item in job.inputs),
            max_price_micro_usdc_per_hour=self.price_micro_usdc_per_hour(),
            timeout_s=self.timeout_s,
            bid_window_ms=terms.bid_window_ms,
            voucher_interval_s=terms.voucher_interval_s,
            dead_after_s=terms.dead_after_s,
            where=where,
            client=self.client,
            finish_by_ms=self.finish_by_ms,
            verify=self.verification.mode,
            sealed_bids=self.sealed_bids,
            comparator=None if comparator == EXACT else comparator,
            preemptible=self.preemptible,
            reclaim_window_s=self.reclaim_window_s,
            gang=self.gang,
            network=job.network,
            serves=self.serves,
            use=self.use,
        )

    def record(self, job_hash: str) -> dict[str, Json]:
        """The request as it is kept: enough to show it again and to tell it from another."""
        limit = self.max_total_cost_micro_usdc
        more: dict[str, Json] = {}
        if self.priority_reason:
            more["priority_reason"] = self.priority_reason
        if self.finish_by_ms:
            more |= {"finish_by_ms": self.finish_by_ms, "runs_late": self.runs_late}
        if self.spread is not None:
            more["spread"] = [self.spread.group, self.spread.by.value]
        if self.avoid != NOWHERE:
            more["avoid"] = {"nodes": list(self.avoid.nodes), "wallets": list(self.avoid.wallets)}
        if self.needed():
            more |= {
                "depends_on": list(self.needed()),
                "from_outputs": [
                    [item.path, item.task_id, item.output] for item in self.outputs_wanted
                ],
            }
        urls: list[Json] = [
            [item.path, item.url, item.sha256] for item in self.inputs if item.url is not None
        ]
        if urls:
            more["urls"] = urls
        conditions: dict[str, Json] = {}
        if self.where:
            conditions["where"] = [plain(clause) for clause in self.where]
        if self.client is not None:
            conditions["client"] = self.client
        if self.sealed_bids:
            conditions["sealed_bids"] = True
        if self.preemptible:
            conditions |= {"preemptible": True, "reclaim_window_s": self.reclaim_window_s}
        if self.gang is not None:
            conditions["gang"] = [self.gang.size, self.gang.apart.value, self.tries]
        if self.checkpoint is not None:
            conditions["checkpoint"] = plain(self.checkpoint)
        if self.resume_from is not None:
            conditions["resume_from"] = [self.resume_from.task_id, self.resume_from.sequence]
        if self.interactive:
            conditions["interactive"] = True
        if self.service is not None:
            conditions["service"] = plain(self.service)
        if self.network is not None:
            conditions["network"] = list(self.network.allow)
        if self.operation is not None:
            conditions["operation"] = {
                "name": self.operation.operation.value,
                "parameters": dict(self.operation.parameters),
                "device_preference": self.operation.device,
            }
        if self.model is not None:
            conditions["model"] = {
                "id": self.model.model_id,
                "name": self.model.name,
                "type": self.model.type,
                "category": self.model.category,
                "parameters": dict(self.model.parameters),
            }
            if self.prompt_parts:
                conditions["prompt_from"] = [plain(part) for part in self.prompt_parts]
                conditions["template_sha256"] = next(
                    item.sha256 for item in self.inputs if item.path == REQUEST_FILE
                )
        for name, item in (("serves", self.serves), ("use", self.use)):
            if item is not None:
                conditions[name] = plain(item)
        if self.execution_of is not None:
            conditions["execution_of"] = self.execution_of
        verification: dict[str, Json] = {}
        if self.verification != UNVERIFIED:
            verification = {"verification": msgspec.to_builtins(self.verification)}
        return {
            **more,
            **conditions,
            **verification,
            "name": self.name,
            "type": self.kind,
            "priority": self.priority,
            "job_hash": job_hash,
            "requirements": {
                **msgspec.to_builtins(self.requirements),
                "regions": list(self.requirements.regions),
            },
            "max_price_per_hour": format_usdc(self.max_price_micro_usdc_per_hour),
            "max_total_cost": None if limit is None else format_usdc(limit),
            "timeout_seconds": self.timeout_s,
            "queue_timeout_seconds": self.queue_timeout_s,
            "wait_for_node": self.wait_for_node,
        }

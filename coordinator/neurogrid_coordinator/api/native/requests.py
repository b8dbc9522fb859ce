"""What the native API takes: shapes, bounds and documentation. A GB is 10^9 bytes.

Requests are decoded straight into these, so a bound that stands here is enforced; the OpenAPI page
is made of the same definitions.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from neurogrid_marketplace.checkpoint import CheckpointPath, IntervalS, Keep, Sequence
from neurogrid_marketplace.comparator import (
    MAX_COMPARISON_S,
    MAX_FILE_RULES,
    ComparatorArgument,
    ComparatorKind,
    FileFormat,
    FilePattern,
    Tolerance,
)
from neurogrid_marketplace.condition_text import MAX_TEXT_CHARS
from neurogrid_marketplace.conditions import Where
from neurogrid_marketplace.demand import MAX_TIMEOUT_S, VerifyMode
from neurogrid_marketplace.fields import (
    Address,
    Argument,
    EnvName,
    FilePath,
    ImageRef,
    PeerId,
    Sha256,
    Word,
)
from neurogrid_marketplace.gang import GangSize
from neurogrid_marketplace.input_url import MAX_URL_CHARS
from neurogrid_marketplace.membership import TRIES_MAX
from neurogrid_marketplace.needs import MAX_NEEDS
from neurogrid_marketplace.network import MAX_RULES
from neurogrid_marketplace.service import HealthPath, ServicePort, StartS
from neurogrid_marketplace.spot import RECLAIM_WINDOW_MAX_S
from neurogrid_marketplace.spread import MAX_AVOIDED
from neurogrid_marketplace.verification import QUORUM_MAX, QUORUM_MIN

Priority = Literal["high", "normal", "low"] | Annotated[int, Meta(ge=1, le=10)]

# A task by its id; in a workflow also by its name there, which never looks like an id.
LocalName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9-]{0,62}\Z",
        description="Letters, digits and hyphens; begins with a letter.",
        examples=["train"],
    ),
]
TaskName = Annotated[
    str,
    Meta(
        pattern=r"^(task_[0-9a-f]{32}|[A-Za-z][A-Za-z0-9-]{0,62})\Z",
        description="A task's id; in a workflow also the name of one of its tasks.",
    ),
]

# What a field must look like, for the message when it does not.
PriorityReason = Annotated[
    str, Meta(max_length=500, description="Why, for people; kept and shown.")
]
Deadline = Annotated[
    Annotated[datetime, Meta(tz=True)] | None,
    Meta(
        description="It has to have ended by then. Among tasks of a priority the earliest deadline "
        "goes first, and nodes that could not keep it do not bid.",
        examples=["2030-01-15T10:30:00Z"],
    ),
]
DeadlinePolicy = Annotated[
    Literal["end", "run"],
    Meta(
        description="What happens when the whole time limit does not fit before the deadline any "
        "more and the task has not begun: it ends with `DEADLINE_MISSED` and has cost nothing, "
        "or it goes on without one."
    ),
]
DependsOn = Annotated[
    tuple[TaskName, ...],
    Meta(
        max_length=MAX_NEEDS,
        description="Tasks that must have completed before this one is queued. If one of them "
        "fails or is cancelled, this one fails with it.",
    ),
]

TASK_RULES = {
    "docker_image": 'the name of an image, such as "python:3.12-slim" or "registry/name@sha256:..."',
    "inputs[].path": 'a plain relative path such as "data/corpus.txt"',
    "inputs[].sha256": "64 lower-case hex digits",
    "env": "a mapping whose names are letters, digits and underscores",
    "verification.comparator.relative": 'a number such as "1e-6" or "0.001"',
    "verification.comparator.absolute": 'a number such as "1e-9" or "0.5"',
    "verification.comparator.image": 'the name of an image, such as "registry/name@sha256:..."',
    "verification.comparator.files[].pattern": 'a pattern such as "*.csv"',
    "regions[]": 'a region such as "eu-west"',
    "service.health": 'a path such as "/health"',
    "checkpoint.path": 'an absolute path such as "/checkpoint"',
    "resume_from.task": "a task's id",
    "spread.group": 'a word such as "replicas"',
    "avoid.nodes[]": "a node's peer id",
    "avoid.wallets[]": "an address in base58",
    "depends_on[]": "a task's id, or in a workflow the name of one of its tasks",
    "inputs[].from_task": "a task's id, or in a workflow the name of one of its tasks",
    "inputs[].output": 'a plain relative path such as "model.bin"',
}


class ResourceRequirements(Struct, frozen=True, forbid_unknown_fields=True):
    """What the job needs of one machine; what is left out is "any" or a small default."""

    cpu_cores: Annotated[
        float, Meta(ge=0.01, le=10_000, description="Cores; a fraction is a share of one.")
    ] = 1
    ram_gb: Annotated[
        float, Meta(ge=0.01, le=1_000_000, description="Memory limit of the container, 10^9 bytes.")
    ] = 0.5
    storage_gb: Annotated[
        float,
        Meta(ge=0.01, le=1_000_000, description="What it may write to disk in all, 10^9 bytes."),
    ] = 1
    gpu_count: Annotated[int, Meta(ge=0, le=64, description="GPUs of one machine.")] = 0
    gpu_memory_gb: Annotated[
        float, Meta(ge=0, le=1_000_000, description="Least memory of each GPU, 10^9 bytes.")
    ] = 0
    gpu_model: Annotated[
        str, Meta(max_length=128, description="Text that occurs in the GPU's model name.")
    ] = ""
    gpu_compute_capability: Annotated[
        str,
        Meta(
            pattern=r"^([0-9]{1,2}\.[0-9])?\Z",
            description="Least CUDA compute capability.",
            examples=["8.0"],
        ),
    ] = ""


class InputReference(Struct, frozen=True, forbid_unknown_fields=True):
    """A file for the job: an artifact that was uploaded before, a file on the web, or an output of
    another task; and where the job finds it."""

    path: Annotated[FilePath, Meta(description="Below /inputs, read-only.")]
    sha256: Annotated[
        Sha256 | None,
        Meta(description="Of an artifact of this account; with `url`: that the file shall have."),
    ] = None
    url: Annotated[
        Annotated[str, Meta(max_length=MAX_URL_CHARS)] | None,
        Meta(
            description="Fetched by the coordinator before it answers, once: `https://`, or `http://`. "
            "docs/inputs.md has the limits.",
            examples=["https://example.org/corpus.txt"],
        ),
    ] = None
    from_task: Annotated[
        TaskName | None,
        Meta(description="The task that will leave the file; this one then depends on it."),
    ] = None
    sealed: Annotated[
        bool,
        Meta(
            description="The artifact is a sealed file; the task then waits after its award for the "
            "key (`POST /tasks/{id}/key`). Not with `from_task` in the same task."
        ),
    ] = False
    output: Annotated[
        FilePath | None,
        Meta(description="With `from_task`: below /outputs there; the same as `path` if left out."),
    ] = None


class FileRuleRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Files that are compared by their numbers."""

    pattern: Annotated[
        FilePattern,
        Meta(
            description="Of the path below /outputs; `*` stands for anything, `?` for one character.",
            examples=["*.csv"],
        ),
    ]
    format: Annotated[
        FileFormat | None,
        Meta(
            description="What the name's end says if left out, else text. `f32` and `f64`: nothing but "
            "little-endian numbers."
        ),
    ] = None


class ComparatorRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What makes two results the same."""

    kind: Annotated[
        ComparatorKind,
        Meta(
            description="`exact`: every byte. `numeric`: numbers within a tolerance, and the same "
            "beside them. `image`: your own, which is shown all results and says which are the same."
        ),
    ] = ComparatorKind.EXACT
    relative: Annotated[
        Tolerance, Meta(description="Of the larger number's size; below 1.", examples=["1e-6"])
    ] = "0"
    absolute: Annotated[
        Tolerance, Meta(description="Or so much, whichever is more.", examples=["1e-9"])
    ] = "0"
    files: Annotated[
        Annotated[tuple[FileRuleRequest, ...], Meta(max_length=MAX_FILE_RULES)] | None,
        Meta(
            description="Of a numeric one: the first that fits a file counts; any other file is "
            "compared by its bytes. JSON, CSV, TSV, text, .npy and .npz if left out.",
        ),
    ] = None
    image: Annotated[ImageRef | None, Meta(description="Of `image`: its name.")] = None
    command: Annotated[
        tuple[ComparatorArgument, ...],
        Meta(max_length=16, description="Of `image`: what it runs. Empty: the image's own."),
    ] = ()
    timeout_seconds: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_COMPARISON_S)] | None,
        Meta(description="Of `image`: the longest it may take; 600 if left out. Held and paid."),
    ] = None


class VerificationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How the result is verified; docs/verification.md says what each mode costs and proves."""

    mode: Annotated[
        VerifyMode,
        Meta(
            description="`quorum`: several nodes of different owners run it at once, and none is paid "
            "its last voucher before they agree. `spot_check`: it is paid at once, and an "
            "unpredictable share is run once more. Both need a job that always gives the same result."
        ),
    ] = VerifyMode.NONE
    runs: Annotated[
        Annotated[int, Meta(ge=QUORUM_MIN, le=QUORUM_MAX)] | None,
        Meta(description="Of a quorum: how many nodes. 2 if left out."),
    ] = None
    comparator: Annotated[
        ComparatorRequest, Meta(description="Every node that is asked to run it is told.")
    ] = ComparatorRequest()


class SpreadRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which other tasks of the account this one keeps apart from while they run."""

    group: Annotated[Word, Meta(description="Tasks with the same one.", examples=["replicas"])]
    by: Annotated[
        Literal["node", "wallet", "region"], Meta(description="What they do not share.")
    ] = "node"


class AvoidRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Nodes and owners where a task must not run."""

    nodes: Annotated[tuple[PeerId, ...], Meta(max_length=MAX_AVOIDED)] = ()
    wallets: Annotated[tuple[Address, ...], Meta(max_length=MAX_AVOIDED)] = ()


class GangRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """So many nodes at once, or none; docs/kinds-of-tasks.md says what each member is told."""

    size: GangSize
    apart: Annotated[
        Literal["node", "wallet"],
        Meta(description="What members do not share: a node never, and with `wallet` no owner."),
    ] = "node"
    tries: Annotated[
        int,
        Meta(
            ge=1,
            le=TRIES_MAX,
            description="How often all may begin where a lost node ends an attempt that has cost "
            "something. Money is held for each.",
        ),
    ] = 1


class CheckpointRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of the job's work while it runs; docs/checkpoints.md says what the job has to do."""

    path: Annotated[CheckpointPath, Meta(description="Of a writable folder in the container.")] = (
        "/checkpoint"
    )
    interval_seconds: Annotated[
        IntervalS,
        Meta(description="Of running time. The job asks for one sooner by `NEUROGRID_CHECKPOINT`."),
    ] = 300
    keep: Annotated[Keep, Meta(description="How many, the newest.")] = 1


class ResumeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A checkpoint of another task of yours."""

    task: Annotated[
        str, Meta(pattern=r"^task_[0-9a-f]{32}\Z", description="Its id; it may have ended.")
    ]
    sequence: Annotated[Sequence | None, Meta(description="Which one; the newest if left out.")] = (
        None
    )


class NetworkRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Hosts that the job may reach, by HTTP and TLS; docs/egress.md says what it finds."""

    allow: Annotated[
        tuple[Annotated[str, Meta(max_length=262)], ...],
        Meta(
            min_length=1,
            max_length=MAX_RULES,
            description="Names, `*.` before one for all below it, `:port` behind it for another than 443 "
            "and 80.",
            examples=[["example.org", "*.example.net"]],
        ),
    ]


class ServiceRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A job that serves; docs/services.md."""

    port: Annotated[
        ServicePort, Meta(description="TCP, at 127.0.0.1 or all addresses.", examples=[8080])
    ]
    health: Annotated[
        HealthPath,
        Meta(
            description="A path that it answers with less than 400 while it is well. One that is not for a "
            "minute is ended, as a program that failed. Without it, it is ready once it takes connections.",
            examples=["/health"],
        ),
    ] = ""
    start_seconds: Annotated[
        StartS, Meta(description="With `health`: how long it may take to become ready.")
    ] = 600


class TaskRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A container job. Document 003's arguments, and ours after ``priority``."""

    docker_image: Annotated[
        ImageRef, Meta(description="Best by digest.", examples=["python:3.12-slim"])
    ]
    max_price_per_hour: Annotated[
        Decimal, Meta(description="Bids above are not considered, USDC.", examples=["10.00"])
    ]
    kind: Annotated[
        Literal["container"],
        Meta(description="An `operation` has other fields: it is a kind of task of its own."),
    ] = "container"
    name: Annotated[str, Meta(max_length=200, examples=["Resize images"])] = ""
    type: Annotated[
        Literal["gpu", "cpu"] | None,
        Meta(
            description="`gpu` asks for at least one GPU. Follows from the resources if left out."
        ),
    ] = None
    resource_requirements: ResourceRequirements = field(default_factory=ResourceRequirements)
    command: Annotated[
        tuple[Argument, ...],
        Meta(max_length=256, description="Empty: the image's own.", examples=[["python", "-V"]]),
    ] = ()
    timeout_seconds: Annotated[
        int, Meta(ge=1, le=MAX_TIMEOUT_S, description="The longest it may run, once started.")
    ] = 3600
    priority: Annotated[
        Priority, Meta(description="Order among your own waiting tasks; 10 is the most urgent.")
    ] = "normal"
    priority_reason: PriorityReason = ""
    deadline: Deadline = None
    deadline_policy: DeadlinePolicy = "end"
    env: Annotated[dict[EnvName, Argument], Meta(max_length=256)] = {}
    inputs: Annotated[tuple[InputReference, ...], Meta(max_length=256)] = ()
    spread: Annotated[
        SpreadRequest | None,
        Meta(description="Share no node, wallet or region with other tasks of a group."),
    ] = None
    avoid: Annotated[AvoidRequest, Meta(description="Where it must not run.")] = field(
        default_factory=AvoidRequest
    )
    depends_on: DependsOn = ()
    regions: Annotated[
        tuple[Word, ...], Meta(max_length=32, description="Any of these; empty: anywhere.")
    ] = ()
    queue_timeout_seconds: Annotated[
        Annotated[int, Meta(ge=1, le=30 * 24 * 3600)] | None,
        Meta(description="How long it may wait for a node; default: the coordinator's."),
    ] = None
    max_total_cost: Annotated[
        Decimal | None,
        Meta(description="USDC. Lowers the price until the whole time limit costs no more."),
    ] = None
    constraints: Annotated[
        Annotated[str, Meta(max_length=MAX_TEXT_CHARS)] | Where,
        Meta(
            description="Conditions on nodes: a text, or clauses with integers in base units. "
            "`GET /constraints` lists what they may name.",
            examples=["gpu.memory >= 24GB and (region = eu-west or score >= 0.8)"],
        ),
    ] = ""
    gang: Annotated[
        GangRequest | None,
        Meta(description="Run it on several nodes at once, each with a rank."),
    ] = None
    checkpoint: Annotated[
        CheckpointRequest | None,
        Meta(
            description="Keep its work while it runs, so that another node goes on from there where one is "
            "lost or takes its machine back. Not with `gang` or sealed inputs."
        ),
    ] = None
    resume_from: Annotated[
        ResumeRequest | None,
        Meta(description="Begin from what another task has kept. Not with `verification`."),
    ] = None
    network: Annotated[
        NetworkRequest | None,
        Meta(description="What the job may reach; nothing if left out."),
    ] = None
    sealed_bids: Annotated[
        bool,
        Meta(
            description="Nodes commit to their bids before anybody sees one, the coordinator "
            "included. The auction takes up to a second longer."
        ),
    ] = False
    preemptible: Annotated[
        bool,
        Meta(
            description="Its node may take the machine back after a warning, and asks less for that. It "
            "is then paid for what it ran, and the task starts anew elsewhere. All runs together cost "
            "at most what one could."
        ),
    ] = False
    reclaim_window_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=RECLAIM_WINDOW_MAX_S,
            description="Of a preemptible task: how long the warning has to be at least.",
        ),
    ] = 0
    reveal_wallet: Annotated[
        bool,
        Meta(description="Let the nodes that are asked know who pays; some take nobody else."),
    ] = False
    service: Annotated[
        ServiceRequest | None,
        Meta(
            description="It listens, and its owner may connect (`/tasks/{id}/port`). Only nodes whose owners "
            "allow that are asked. Not with verification, sealed inputs or a gang."
        ),
    ] = None
    interactive: Annotated[
        bool,
        Meta(
            description="You may run commands beside it while it runs (`/tasks/{task_id}/exec`). Only nodes "
            "whose owners allow that are asked. Not with verification or sealed inputs."
        ),
    ] = False
    wait_for_node: Annotated[
        bool, Meta(description="Queue even if no node that is known could ever serve it.")
    ] = False
    verification: Annotated[
        VerificationRequest,
        Meta(
            description="Money is held for every run that may come before it is accepted: a quorum's, "
            "and one check."
        ),
    ] = VerificationRequest()

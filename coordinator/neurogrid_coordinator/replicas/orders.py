"""A replica as a task: what the catalogue says of a model's server, as a job of the operator's account. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from neurogrid_marketplace.model_catalogue import Model
from neurogrid_marketplace.replica_scaling import ReplicaLimits
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.serving import Serves, WeightsFile

from ..services.submission import InputWanted, Submission

# As long as somebody may look for a node. One that nobody needs any more is cancelled before.
_QUEUE_TIMEOUT_S: Final = 3600
# Before tasks of clients' own with the usual priority: clients wait for it.
_PRIORITY: Final = 6


@dataclass(frozen=True, slots=True)
class ReplicaSettings:
    """What the operator says of replicas.

    Attributes:
        account: whose deposit pays for them, by its id or wallet; it may be made later.
        timeout_s: how long one may run; a successor is begun before.
        models: those that have any, by id; none: there are no replicas.
        one_by_one: whether each is begun only when it is known where the others are: so that none is at the owner of another.
    """

    account: str = ""
    timeout_s: int = 24 * 3600
    models: Mapping[str, Model] = field(default_factory=dict)
    one_by_one: bool = False


def limits_of(model: Model) -> ReplicaLimits:
    """Between what a model's replicas are scaled; it has a server."""
    server = model.server
    assert server is not None, "only models with a server have replicas"
    return ReplicaLimits(
        server.replicas_min,
        server.replicas_max,
        server.concurrency,
        server.idle_s,
        server.first_byte_goal_ms,
        server.first_byte_limit_s,
    )


def missing_weights(model: Model) -> str:
    """Why a model's server has nothing to load, for people; "" where it has all that its entry says it needs."""
    weights = model.server.weights if model.server is not None else None
    if weights is None or weights.files:
        return ""
    return (
        f"the catalogue does not say which files the weights of {model.id} are: `neurogrid models upload` puts them there "
        f"and among the files of the account that pays ({weights.source})"
    )


def replica_submission(model: Model, settings: ReplicaSettings) -> Submission:
    """One more replica of a model that has a server."""
    server, needs = model.server, model.needs
    assert server is not None, "only models with a server have replicas"
    weights = server.weights
    files = weights.files if weights is not None else ()
    # Libraries start a thread for each core that they see, and they see all of the machine's.
    threads = str(max(1, math.floor(needs.cpu_cores)))
    return Submission(
        image=model.image,
        max_price_micro_usdc_per_hour=server.retainer_micro_usdc_per_hour,
        timeout_s=settings.timeout_s,
        requirements=Requirements(
            cpu_millis=needs.cpu_millis,
            memory_bytes=needs.memory_bytes,
            disk_bytes=needs.disk_bytes,
            gpu_count=1 if needs.vram_bytes else 0,
            gpu_memory_bytes=needs.vram_bytes,
            compute_capability=needs.compute_capability,
        ),
        queue_timeout_s=_QUEUE_TIMEOUT_S,
        name=f"replica of {model.id}",
        kind="gpu" if needs.vram_bytes else "cpu",
        priority=_PRIORITY,
        command=server.command,
        environment={
            "OPENBLAS_NUM_THREADS": threads,
            "OMP_NUM_THREADS": threads,
            **server.environment,
        },
        service=server.service(),
        inputs=tuple(
            InputWanted(weights.input_path(each), each.sha256, index)
            for index, each in enumerate(files)
        )
        if weights is not None
        else (),
        wait_for_node=True,
        # One that nobody asks keeps no job from a small machine.
        preemptible=True,
        replica_of=model.id,
        serves=Serves(
            model.id,
            model.unit_price.exact(),
            tuple(WeightsFile(each.sha256, each.size_bytes) for each in files),
        ),
    )

"""What of the machine is offered, and what runs jobs and images on it: [offer], [engine], [images] of node.toml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from neurogrid_marketplace.errors import InvalidValue

from ..container.registry_rules import EVERY, LISTED_MAX, RegistryRules

_Positive = Annotated[int, Meta(ge=1)]
# DNS-1123 label, as Kubernetes names what is in a namespace, and that itself.
_KubeName = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")]


@dataclass(frozen=True, slots=True)
class OfferConfig:
    """How much of the machine is offered; 0 means all that there is.

    Attributes:
        cpu_cores: whole cores. memory_gib: memory. disk_gib: disk for jobs' files.
        gpus: whether GPUs are offered.
        pids: processes and threads that one job may have.
    """

    cpu_cores: Annotated[int, Meta(ge=0)] = 0
    memory_gib: Annotated[int, Meta(ge=0)] = 0
    disk_gib: Annotated[int, Meta(ge=0)] = 0
    gpus: bool = True
    pids: Annotated[int, Meta(ge=16, le=4096)] = 256


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What runs the jobs (docs/fleet.md).

    Attributes:
        kind: "docker": this machine's engine; "swarm": the machines of the swarm that it manages;
            "kubernetes": those of a cluster.
        runtime: of this machine's: what jobs run in; of a cluster: its RuntimeClass. "" for the default.
        user_namespaces: of this machine's: "required": it starts only with an engine that remaps users. Of a
            cluster: each job has its own.
        shared: of a swarm: a folder that all its machines have at the same path; of a cluster: where this
            node has the volume of `claim`.
        trial_image: of a fleet: with python3; each machine runs it once before it is offered.
        kubeconfig, context: how a cluster is reached; "": as a pod of it is.
        namespace: of a cluster: where the jobs are.
        claim: of a cluster: the PersistentVolumeClaim whose volume its machines share.
    """

    kind: Literal["docker", "swarm", "kubernetes"] = "docker"
    runtime: Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._:/+-]{0,127})?\Z")] = ""
    user_namespaces: Literal["if_offered", "required"] = "if_offered"
    shared: Annotated[str, Meta(max_length=1024)] = ""
    trial_image: Annotated[str, Meta(min_length=1, max_length=512)] = "neurogrid/python:3.11"
    kubeconfig: Annotated[str, Meta(max_length=1024)] = ""
    context: Annotated[str, Meta(max_length=253)] = ""
    namespace: _KubeName = "neurogrid"
    claim: _KubeName = "neurogrid"

    @property
    def is_fleet(self) -> bool:
        """Whether it has machines of its own."""
        return self.kind != "docker"

    def shared_folder(self) -> Path:
        """Of a fleet.

        Raises:
            InvalidValue: none is named, or something is asked for that its kind does not have.
        """
        if self.kind == "kubernetes":
            return self._cluster_folder()
        if self.runtime:
            raise InvalidValue(
                "[engine] runtime: a swarm's machines run jobs in their engines' default"
            )
        if self.user_namespaces == "required":
            raise InvalidValue(
                "[engine] user_namespaces: whether a swarm's machines remap users is not known"
            )
        if not Path(self.shared).is_absolute():
            raise InvalidValue(
                "[engine] shared: a swarm needs a folder that all its machines have at the same path "
                "(docs/fleet.md)"
            )
        return Path(self.shared)

    def _cluster_folder(self) -> Path:
        if self.context and not self.kubeconfig:
            raise InvalidValue("[engine] context: name the kubeconfig that it is in")
        if self.kubeconfig and not Path(self.kubeconfig).is_absolute():
            raise InvalidValue("[engine] kubeconfig: write the whole path, as the daemon sees it")
        if not Path(self.shared).is_absolute():
            raise InvalidValue(
                "[engine] shared: a cluster needs a volume that all its machines can mount; name the folder "
                "where this node has it (docs/fleet.md)"
            )
        return Path(self.shared)


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """Which images run here.

    Attributes:
        pull: whether images that are not here are fetched.
        registries: hosts that they are fetched from (`RegistryRules`).
        allow: prefixes of image references that may run; empty allows all.
        stall_timeout_s: longest silence of a pull.
        cache_gib: how much of what was fetched and nobody uses is kept; 0: 30 % of the disk it is on.
    """

    pull: bool = True
    registries: Annotated[tuple[str, ...], Meta(max_length=LISTED_MAX)] = (EVERY,)
    allow: tuple[str, ...] = ()
    stall_timeout_s: _Positive = 60
    cache_gib: Annotated[int, Meta(ge=0, le=1_000_000)] = 0

    def rules(self) -> RegistryRules:
        """Which registries that is.

        Raises:
            InvalidValue: one is written wrong.
        """
        try:
            return RegistryRules.read(self.registries)
        except InvalidValue as error:
            raise InvalidValue(f"[images] registries: {error}") from error

"""The job itself: what runs in the container. Only the winner of the auction gets to see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from .canonical import sha256_hex
from .checkpoint import CheckpointPlan
from .errors import InvalidValue
from .fields import OMITTED, Argument, Bytes, EnvName, FilePath, Id, ImageRef, Sha256, plain
from .network import Network
from .service import Service

# Together with 256 inputs at their longest paths this stays below the largest frame (`wire`).
MAX_JOB_TEXT_BYTES = 160 * 1024
MAX_INPUTS = 256


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file placed read-only under /inputs before the job starts.

    ``sealed``: hash and size are of what the client has sealed (`sealed_file`); the node opens it.
    """

    path: FilePath
    sha256: Sha256
    size_bytes: Bytes
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that the job left under /outputs."""

    path: FilePath
    sha256: Sha256
    size_bytes: Bytes


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: image, command (empty: the image's own), environment and input files.

    ``checkpoint``: what is kept of its work while it runs; None: nothing.
    ``interactive``: whether its client may run commands beside it (`job_stream`). Not with sealed inputs, which
    whoever passes such commands on could read.
    ``network``: what it may reach through its node's proxy; None: nothing.
    ``service``: the port of its own that its client may reach; None: none. Not with sealed inputs either.
    ``uses``: of a use lease: the lease of the replica that is asked; nothing is run, and the image is the replica's.
    """

    image: ImageRef
    command: Annotated[tuple[Argument, ...], Meta(max_length=256)] = ()
    environment: Annotated[Mapping[EnvName, Argument], Meta(max_length=256)] = field(
        default_factory=dict
    )
    inputs: Annotated[tuple[InputFile, ...], Meta(max_length=MAX_INPUTS)] = ()
    checkpoint: CheckpointPlan | None = None
    interactive: bool = False
    network: Network | None = None
    service: Service | None = None
    uses: Id | None = field(default=None, metadata=OMITTED)

    def __post_init__(self) -> None:
        text = sum(len(item.encode("utf-8", "surrogatepass")) for item in self.command) + sum(
            len(name) + len(value.encode("utf-8", "surrogatepass"))
            for name, value in self.environment.items()
        )
        if text > MAX_JOB_TEXT_BYTES:
            raise InvalidValue(
                f"command and environment have {text} bytes; at most {MAX_JOB_TEXT_BYTES} travel. "
                "Put large data into an input file"
            )
        if len({item.path for item in self.inputs}) != len(self.inputs):
            raise InvalidValue("two inputs have the same path")
        if any("\0" in item for item in (*self.command, *self.environment.values())):
            raise InvalidValue("a command or environment value holds a NUL byte")
        if self.interactive and self.is_sealed:
            raise InvalidValue("a job with sealed inputs lets no commands in: they could read them")
        if self.service is not None and self.is_sealed:
            raise InvalidValue("a job with sealed inputs serves nobody: what it says passes others")

    @property
    def is_sealed(self) -> bool:
        """Whether it takes a key to read its inputs."""
        return any(item.sealed for item in self.inputs)

    def hash(self) -> str:
        """SHA-256 that the award names, so that neither side can swap the job later."""
        return sha256_hex(plain(self))

"""Sealed inputs on the client's side: files sealed before they leave, keys kept here, keys handed out.

The content key of a task lies in one file of ours until the task has ended, because it is needed when a
node has accepted, and again if another one has to. Whoever has the file and the ciphertext can read the
inputs, so it is 0600, and goes as soon as the task is known to have ended.
"""

import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from neurogrid_marketplace.errors import BadSignature, MalformedMessage, SealBroken
from neurogrid_marketplace.job import InputFile, Job
from neurogrid_marketplace.network import Network
from neurogrid_marketplace.sealed_file import (
    CHUNK_BYTES,
    SALT_BYTES,
    FileSealer,
    sealed_size,
)

from .errors import IntegrityError

_SUFFIX = ".json"


class SealedTask(msgspec.Struct, frozen=True):
    """What is kept of a sealed task: the key to its inputs, and which job they belong to."""

    content_key: str
    job_hash: str


class KeyWanted(msgspec.Struct):
    lease_id: str
    node_id: str
    award: dict[str, Any]
    accept: dict[str, Any]


class KeyStore:
    """A folder with one file for each sealed task that has not ended."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or _default_directory()

    def save(self, task_id: str, kept: SealedTask) -> None:
        """Keep a task's key.

        Raises:
            OSError: it can't be written; the task would then fail for want of its key.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(task_id)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(kept))

    def load(self, task_id: str) -> SealedTask | None:
        """A task's key; None if it is not here."""
        try:
            return msgspec.json.decode(self._path(task_id).read_bytes(), type=SealedTask)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def forget(self, task_id: str) -> None:
        """The task has ended."""
        with suppress(FileNotFoundError):
            self._path(task_id).unlink()

    def tasks(self) -> list[str]:
        """The tasks whose keys are here."""
        if not self._directory.is_dir():
            return []
        return sorted(path.name.removesuffix(_SUFFIX) for path in self._directory.glob("task_*"))

    def _path(self, task_id: str) -> Path:
        return self._directory / f"{Path(task_id).name}{_SUFFIX}"


def wrapped(task_id: str, wanted: KeyWanted, kept: SealedTask) -> dict[str, str]:
    """The key for whom the node itself says that it is for, as it is sent."""
    # All of the messages of the market: a good part of each start of the command, and sealed inputs alone want them.
    from neurogrid_marketplace.envelope import parse_envelope
    from neurogrid_marketplace.input_seal import seal_of, wrap_key

    try:
        award, accept = parse_envelope(wanted.award), parse_envelope(wanted.accept)
        target = seal_of(award, accept, kept.job_hash)
        wrapped_key = wrap_key(bytes.fromhex(kept.content_key), target)
    except (BadSignature, MalformedMessage, SealBroken) as error:
        raise IntegrityError(f"the key of {task_id} was not sent: {error}") from error
    if (target.lease_id, target.node_id) != (wanted.lease_id, wanted.node_id):
        raise IntegrityError(
            f"the key of {task_id} was not sent: {target.node_id} signed lease {target.lease_id}, and "
            f"the coordinator speaks of {wanted.node_id} and {wanted.lease_id}"
        )
    return {"lease_id": target.lease_id, "wrapped_key": wrapped_key}


def job_hash(
    image: str,
    command: tuple[str, ...],
    env: Mapping[str, str],
    inputs: tuple[InputFile, ...],
    network: Mapping[str, Sequence[str]] | None,
) -> str:
    """The hash of the job as we know it, which node and coordinator must have signed.

    Everything that a job with sealed inputs may have: who adds something to `Job` adds it here.
    """
    reach = None if network is None else Network.asked(network["allow"])
    return Job(image, command, dict(env), inputs, network=reach).hash()


def seal_source(source: PathLike[str] | bytes, target: Path, content_key: bytes) -> None:
    """Seal what is in a file, or in memory, into another file.

    Raises:
        OSError: it can't be read, or there is no room for its sealed copy.
    """
    # What is in memory is not to lie on the disk unsealed.
    with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as plain:
        _seal(plain, target, content_key)


def _seal(plain: BinaryIO, target: Path, content_key: bytes) -> None:
    sealer = FileSealer(content_key, os.urandom(SALT_BYTES))
    with target.open("wb") as file:
        file.write(sealer.header)
        chunk = plain.read(CHUNK_BYTES)
        size = len(chunk)
        while True:
            following = plain.read(CHUNK_BYTES) if len(chunk) == CHUNK_BYTES else b""
            size += len(following)
            file.write(sealer.seal(chunk, is_last=not following))
            if not following:
                break
            chunk = following
    assert target.stat().st_size == sealed_size(size), "its size says nothing that ours does not"


def _default_directory() -> Path:
    """As the XDG base directories have it: what has to outlive a restart, and is no setting."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "neurogrid" / "sealed-keys"

"""The list of a checkpoint's files; its bytes are an artifact, and their hash names the checkpoint."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from .canonical import canonical_bytes
from .checkpoint import MAX_CHECKPOINT_FILES, MAX_MANIFEST_BYTES, Checkpoint
from .errors import MalformedMessage
from .fields import decode, plain
from .job import OutputFile


@dataclass(frozen=True, slots=True)
class Manifest:
    """Files by their paths below the checkpoint's folder, sorted."""

    files: Annotated[tuple[OutputFile, ...], Meta(max_length=MAX_CHECKPOINT_FILES)]

    @property
    def size_bytes(self) -> int:
        """What all files have together."""
        return sum(file.size_bytes for file in self.files)

    def encoded(self) -> bytes:
        """As it is stored: canonical JSON."""
        return canonical_bytes(plain(self))

    def checkpoint(self, sequence: int) -> Checkpoint:
        """The checkpoint that this is the list of."""
        digest = hashlib.sha256(self.encoded()).hexdigest()
        return Checkpoint(sequence, digest, len(self.files), self.size_bytes)


def manifest_of(files: Sequence[OutputFile]) -> Manifest:
    """The list of these files."""
    return Manifest(tuple(sorted(files, key=lambda file: file.path)))


def read_manifest(data: bytes, checkpoint: Checkpoint) -> Manifest:
    """The manifest that a checkpoint names.

    Raises:
        MalformedMessage: it is not that one, or no folder can hold what it lists.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise MalformedMessage(f"a manifest of {len(data)} bytes; at most {MAX_MANIFEST_BYTES}")
    if hashlib.sha256(data).hexdigest() != checkpoint.manifest_sha256:
        raise MalformedMessage("the manifest does not have the hash that the checkpoint names")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("the manifest is no JSON") from error
    manifest = decode(Manifest, value)
    paths = [file.path for file in manifest.files]
    if paths != sorted(set(paths)):
        raise MalformedMessage("the manifest's paths are not sorted, or one comes twice")
    folders = {path[:end] for path in paths for end in range(len(path)) if path[end] == "/"}
    if folders & set(paths):
        raise MalformedMessage("the manifest has a file where it has a folder")
    if manifest.checkpoint(checkpoint.sequence) != checkpoint:
        raise MalformedMessage("the manifest's files are not as many, or not as large, as was said")
    return manifest

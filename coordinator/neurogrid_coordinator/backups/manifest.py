"""What a backup says of itself: its last file, so that one without it is no backup."""

import re
from collections.abc import Sequence

import msgspec

from ..config import CONFIG_NAME
from ..setup import (
    ARTIFACTS_FOLDER,
    DATABASE_FILE,
    IDENTITY_FILE,
    OPERATOR_FILE,
    SESSION_FILE,
    TERMS_FILE,
)
from .archive import BadArchive, Stored

MANIFEST_FILE = "manifest.json"
# Of the archive's form. A release reads its own and all before.
FORMAT = 1
# A million artifacts come to some 170 MB.
MANIFEST_BYTES_MAX = 256 * 1024 * 1024
KEY_FILES = (IDENTITY_FILE, OPERATOR_FILE, SESSION_FILE)
_FILES = frozenset({DATABASE_FILE, CONFIG_NAME, TERMS_FILE, *KEY_FILES})
_BLOB = re.compile(rf"{ARTIFACTS_FOLDER}/([0-9a-f]{{2}})/(\1[0-9a-f]{{62}})", re.ASCII)


class BackupTooNew(Exception):
    """A newer release made it; restore it with that one."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a backup.

    Attributes:
        format: see `FORMAT`.
        version: the release that made it.
        schema: of the database.
        made_at_ms: when the database's snapshot was taken.
        artifacts: whether input and output files are in it.
        keys: whether the coordinator's keys are: who has them can spend.
        absent: blobs that the database named and that weren't on the disk (any more).
        damaged: blobs that were left out because their bytes weren't those of their names.
        files: all others.
    """

    format: int
    version: str
    schema: int
    made_at_ms: int
    artifacts: bool
    keys: bool
    absent: int
    damaged: Sequence[str]
    files: Sequence[Stored]


class _Form(msgspec.Struct):
    format: int
    version: str


def blob_name(sha256: str) -> str:
    """A blob's name in the archive, and below the coordinator's directory."""
    return f"{ARTIFACTS_FOLDER}/{sha256[:2]}/{sha256}"


def blob_of(name: str) -> str | None:
    """The SHA-256 of a blob's name; None if it is none."""
    match = _BLOB.fullmatch(name)
    return match[2] if match else None


def is_known(name: str) -> bool:
    """Whether a backup may have a file of this name: nothing else is ever put anywhere."""
    return name in _FILES or blob_of(name) is not None


def encode(manifest: Manifest) -> bytes:
    """As JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1)


def decode(data: bytes) -> Manifest:
    """Read it.

    Raises:
        BackupTooNew: its form is of a newer release.
        BadArchive: it is none.
    """
    try:
        form = msgspec.json.decode(data, type=_Form)
        if form.format > FORMAT:
            raise BackupTooNew(
                f"NeuroGrid {form.version[:40]} made it, in a newer form: restore it with that release"
            )
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise BadArchive(f"its manifest can't be read: {error}") from error

"""A task's files: its inputs are fetched by their hash, what it leaves is put by its hash, with the token of its lease.

They go to the coordinator that the machine speaks with, whatever address the job names: the token is for nobody else.
"""

import hashlib
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import httpx

from neurogrid_marketplace.errors import SealBroken
from neurogrid_marketplace.job import InputFile, OutputFile
from neurogrid_marketplace.sealed_file import FileOpener

from ..errors import ConnectionFailed, IntegrityError
from ..files import hash_file, inside, pieces
from ..transport import Transport

_PATIENCE_S = 120.0


class LeaseFiles:
    """Those of one lease.

    Args:
        token: of the lease.
    """

    def __init__(self, transport: Transport, token: str) -> None:
        self._transport = transport
        self._headers = {"Authorization": f"Bearer {token}"}

    def fetch(
        self, inputs: Iterable[InputFile], directory: Path, content_key: bytes = b""
    ) -> list[Path]:
        """Write the inputs below a directory; each is checked against its hash, and sealed ones are opened as they come.

        Args:
            content_key: opens those that are sealed.

        Raises:
            IntegrityError: one is not what was named, or does not open.
            ApiError, ConnectionFailed: it can't be had.
            OSError: the disk refuses.
        """
        written = []
        for wanted in inputs:
            target = directory / inside(wanted.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            try:
                attempt = partial(self._fetch, wanted, part, content_key)
                self._transport.repeat(attempt, patience_s=_PATIENCE_S)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
            written.append(target)
        return written

    def _fetch(self, wanted: InputFile, part: Path, content_key: bytes) -> None:
        opener = FileOpener(content_key) if wanted.sealed else None
        digest, received = hashlib.sha256(), 0
        headers = {**self._headers, "Accept-Encoding": "identity"}
        url = f"/artifacts/{wanted.sha256}"
        try:
            with (
                self._transport.stream(url, headers=headers) as response,
                part.open("wb") as file,
            ):
                for piece in response.iter_bytes():
                    received += len(piece)
                    if received > wanted.size_bytes:
                        break
                    digest.update(piece)
                    file.write(piece if opener is None else opener.feed(piece))
                if opener is not None:
                    file.write(opener.finish())
        except SealBroken as error:
            raise IntegrityError(f"{wanted.path} does not open: {error}") from error
        if received != wanted.size_bytes or digest.hexdigest() != wanted.sha256:
            raise IntegrityError(f"{wanted.path} does not have the hash {wanted.sha256}")

    def put(self, files: Iterable[tuple[str, Path]]) -> tuple[OutputFile, ...]:
        """Upload files under these names; the list of them, as a result has it.

        Raises:
            ApiError, ConnectionFailed: one is not taken.
            OSError: one can't be read.
        """
        found = []
        for name, file in sorted(files, key=lambda each: each[0]):
            digest, size_bytes = hash_file(file)
            self._transport.send(
                "PUT",
                f"/artifacts/{digest}",
                headers={
                    **self._headers,
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(size_bytes),
                },
                content=partial(pieces, file),
                patience_s=_PATIENCE_S,
            )
            found.append(OutputFile(name, digest, size_bytes))
        return tuple(found)


def files_below(directory: Path) -> list[tuple[str, Path]]:
    """Every plain file below a directory, with its path from there.

    Raises:
        ValueError: there is something else: a link, a device.
        OSError: it can't be read.
    """
    found = []
    for path in sorted(directory.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path} is no plain file: outputs have no links and devices")
        if path.is_file():
            found.append((path.relative_to(directory).as_posix(), path))
    return found


def result_at(address: str, sha256: str, directory: Path) -> tuple[str, Path]:
    """A result that lies elsewhere: fetched into a directory and checked; its name and its file.

    No key of anybody's is sent there.

    Args:
        address: ``http(s)://`` or a file's path.

    Raises:
        ValueError: it is no such address.
        IntegrityError: what is there has another hash.
        ConnectionFailed: it can't be had.
        OSError: it can't be read.
    """
    parts = urlsplit(address)
    name = PurePosixPath(unquote(parts.path)).name or "result"
    if parts.scheme in ("http", "https"):
        # Deleted by whoever made the directory.
        descriptor, made = tempfile.mkstemp(dir=directory)
        target = Path(made)
        try:
            with (
                open(descriptor, "wb") as file,
                httpx.stream("GET", address, follow_redirects=True) as response,
            ):
                response.raise_for_status()
                file.writelines(response.iter_bytes())
        except httpx.HTTPError as error:
            raise ConnectionFailed(f"{address} can't be had: {error}") from error
    elif not parts.scheme:
        target = Path(address)
    else:
        raise ValueError(f"{address!r} is no http(s) address and no file")
    found, _ = hash_file(target)
    if found != sha256:
        raise IntegrityError(f"{address} has the hash {found}, and not {sha256}")
    return name, target

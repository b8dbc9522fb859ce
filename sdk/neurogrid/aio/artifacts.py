"""Files by their hash: upload inputs, download outputs."""

import hashlib
import os
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial
from os import PathLike
from pathlib import Path
from urllib.parse import quote

import httpx

from ..errors import IntegrityError, NotFoundError
from ..files import hash_file, inside
from ..models import Artifact, OutputFile
from .runtime import blocking, pieces
from .transport import Transport


class Artifacts:
    """The account's stored files."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def upload(self, path: str | PathLike[str]) -> Artifact:
        """Store a file; nothing is sent if the coordinator has it already.

        >>> kept = await client.artifacts.upload("corpus.txt")
        >>> kept.size
        10

        Raises:
            OSError: the file can't be read.
            InvalidRequestError: it is larger than the coordinator takes.
        """
        file = Path(path)
        digest, size_bytes = await blocking(hash_file, file)
        try:
            await self._transport.send("HEAD", f"/artifacts/{digest}")
        except NotFoundError:
            return await self._transport.call(
                Artifact,
                "PUT",
                f"/artifacts/{digest}",
                headers={
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(size_bytes),
                },
                content=lambda: pieces(file),
            )
        return Artifact(sha256=digest, size=size_bytes)

    async def save(self, sha256: str, file: str | PathLike[str]) -> Path:
        """Fetch a file of the account into this one, checked against its hash.

        Raises:
            NotFoundError: the account has none with this hash.
            IntegrityError: it is not what its hash says; the file is as it was before.
        """
        target, url = Path(file), f"/artifacts/{sha256}"
        head = await self._transport.send("HEAD", url, headers={"Accept-Encoding": "identity"})
        size = int(head.headers.get("Content-Length", "0"))
        await self._download(url, OutputFile(path=target.name, sha256=sha256, size=size), target)
        return target

    async def delete(self, sha256: str) -> None:
        """Delete a file that was uploaded.

        Raises:
            NotFoundError: the account has none with this hash.
            ConflictError: something needs it still, or a task has written it; the message says what.
        """
        await self._transport.send("DELETE", f"/artifacts/{sha256}")

    async def download_outputs(
        self,
        task_id: str,
        directory: Path,
        outputs: Sequence[OutputFile],
        paths: Sequence[str] | None,
    ) -> list[Path]:
        """See `Tasks.download`."""
        return await self.download_files(f"/tasks/{task_id}/outputs", directory, outputs, paths)

    async def save_output(
        self, task_id: str, outputs: Sequence[OutputFile], path: str, target: Path
    ) -> None:
        """See `Tasks.save_output`."""
        output = _found({each.path: each for each in outputs}, path)
        await self._download(f"/tasks/{task_id}/outputs/{quote(path)}", output, target)

    async def download_files(
        self,
        url: str,
        directory: Path,
        files: Sequence[OutputFile],
        paths: Sequence[str] | None = None,
    ) -> list[Path]:
        """Fetch files below ``url`` into ``directory``, each checked against its hash."""
        by_path = {output.path: output for output in files}
        wanted = list(by_path) if paths is None else list(paths)
        written = []
        for path in wanted:
            output = _found(by_path, path)
            target = directory / inside(output.path)
            await blocking(partial(target.parent.mkdir, parents=True, exist_ok=True))
            await self._download(f"{url}/{quote(output.path)}", output, target)
            written.append(target)
        return written

    async def _download(self, url: str, output: OutputFile, target: Path) -> None:
        """Write beside the target, check, then rename: a half file never carries the real name."""
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".neurogrid-")
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                digest, received = hashlib.sha256(), 0

                async def attempt() -> AsyncGenerator[bytes]:
                    # Positions count the file's own bytes, so nothing may compress it on its way.
                    headers = {"Accept-Encoding": "identity"}
                    if received:
                        headers["Range"] = f"bytes={received}-"
                    async with self._transport.stream(url, headers=headers) as response:
                        if received and response.status_code != httpx.codes.PARTIAL_CONTENT:
                            raise IntegrityError(f"{output.path} can't be resumed")
                        # As it comes: what waits to fill a larger piece would be lost with the connection.
                        body = response.aiter_bytes()
                        async for piece in body:
                            yield piece

                async with aclosing(self._transport.resume(attempt)) as arriving:
                    async for piece in arriving:
                        received += len(piece)
                        if received > output.size:
                            break
                        digest.update(piece)
                        await blocking(file.write, piece)
            if received != output.size or digest.hexdigest() != output.sha256:
                raise IntegrityError(f"{output.path} does not have the hash {output.sha256}")
            await blocking(_finish, part, target)
        except BaseException:
            _remove(part)
            raise


def _found(files: Mapping[str, OutputFile], path: str) -> OutputFile:
    found = files.get(path)
    if found is None:
        raise NotFoundError(f"there is no file {path!r}", code="NOT_FOUND", status=404, details={})
    return found


def _finish(part: Path, target: Path) -> None:
    # mkstemp makes it 0600; a downloaded file is an ordinary one.
    part.chmod(0o644)
    part.replace(target)


def _remove(part: Path) -> None:
    with suppress(FileNotFoundError):
        part.unlink()

"""One bucket of an S3-compatible store, through AWS's own client, which blocks: each call has a thread of a few.

What goes wrong is told apart here: an object that is not there is a `FileNotFoundError`, all else is
`StoreUnavailable`, after the client's own bounded retries.
"""

import asyncio
import base64
import configparser
import hashlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import botocore.session
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

from ..config import ConfigError
from .artifacts import PIECE_BYTES, StoreUnavailable
from .artifacts_config import ArtifactsConfig

_log = logging.getLogger(__name__)

# Calls at a time. Each holds a thread only while bytes move between us and the store.
_THREADS: Final = 16
# Downloads that clients read slowly each keep a connection meanwhile.
_CONNECTIONS: Final = 64
_CONNECT_S: Final = 5
_READ_S: Final = 20
# Of one call, the first included; the client waits up to a second, then two in between.
_TRIES: Final = 3
_CREDENTIALS_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an object that is being uploaded, as the store knows it."""

    number: int
    etag: str


class Bucket:
    """Objects by their key below the configured prefix.

    Args:
        directory: what relative paths are below.

    Raises:
        ConfigError: the credentials can't be read.
    """

    def __init__(self, config: ArtifactsConfig, directory: Path) -> None:
        self._bucket = config.bucket
        self._prefix = config.prefix
        # Without a file of ours the client finds them itself: environment, shared file, the machine's role.
        access: dict[str, str] = {}
        if config.credentials_file:
            access = _credentials(directory / config.credentials_file)
        self._client: Any = botocore.session.get_session().create_client(
            "s3",
            region_name=config.region,
            endpoint_url=config.endpoint or None,
            config=ClientConfig(
                connect_timeout=_CONNECT_S,
                read_timeout=_READ_S,
                retries={"mode": "standard", "total_max_attempts": _TRIES},
                max_pool_connections=_CONNECTIONS,
                tcp_keepalive=True,
                s3={"addressing_style": "path" if config.path_style else "virtual"},
                # Newer checksums than other makers' stores know; we send MD5, which all of them do.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
            **access,
        )
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3")

    async def size_bytes(self, key: str) -> int:
        """How large an object is.

        Raises:
            FileNotFoundError, StoreUnavailable: see above.
        """
        try:
            found = await self._call("head_object", key)
        except FileNotFoundError:
            # The answer has no body that would tell a bucket that is gone from an object that is.
            await self._of_bucket("head_bucket")
            raise
        return int(found["ContentLength"])

    async def open(self, key: str, offset: int) -> "Body":
        """An object's bytes from ``offset`` on; close it.

        Raises:
            FileNotFoundError, StoreUnavailable: see above.
        """
        # An empty object has no first byte to begin a range with.
        ranged = {"Range": f"bytes={offset}-"} if offset else {}
        found = await self._call("get_object", key, **ranged)
        return Body(found["Body"], self._run)

    async def put(self, key: str, data: bytes) -> None:
        """Store a small object, or replace it by the same.

        Raises:
            StoreUnavailable: see above.
        """
        await self._call("put_object", key, Body=data, ContentMD5=await self._run(_md5, data))

    async def begin(self, key: str) -> str:
        """Begin a large object; the upload's id.

        Raises:
            StoreUnavailable: see above.
        """
        return str((await self._call("create_multipart_upload", key))["UploadId"])

    async def put_part(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
        """Store a part of it, counted from 1.

        Raises:
            StoreUnavailable: see above.
        """
        md5 = await self._run(_md5, data)
        made = await self._call(
            "upload_part", key, UploadId=upload_id, PartNumber=number, Body=data, ContentMD5=md5
        )
        return Part(number, str(made["ETag"]))

    async def complete(self, key: str, upload_id: str, parts: list[Part]) -> None:
        """Make the parts one object, which is there from now on.

        Raises:
            StoreUnavailable: see above.
        """
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        await self._call(
            "complete_multipart_upload", key, UploadId=upload_id, MultipartUpload={"Parts": listed}
        )

    def abandon(self, key: str, upload_id: str) -> None:
        """Drop what was begun, without waiting for it: a task that is cancelled could not."""
        self._threads.submit(self._abandon, key, upload_id)

    async def abandon_begun(self, before: datetime) -> int:
        """Drop uploads that somebody began before then and never ended; how many.

        Raises:
            StoreUnavailable: see above.
        """
        found = await self._of_bucket("list_multipart_uploads", Prefix=self._prefix)
        stale = [upload for upload in found.get("Uploads", ()) if upload["Initiated"] < before]
        for upload in stale:
            await self._run(
                self._abandon, upload["Key"].removeprefix(self._prefix), upload["UploadId"]
            )
        return len(stale)

    async def remove(self, key: str) -> None:
        """Delete an object, if it is there.

        Raises:
            StoreUnavailable: see above.
        """
        await self._call("delete_object", key)

    def _abandon(self, key: str, upload_id: str) -> None:
        try:
            self._client.abort_multipart_upload(
                Bucket=self._bucket, Key=self._prefix + key, UploadId=upload_id
            )
        except (ClientError, BotoCoreError) as error:
            _log.warning("the parts of an upload stay in the bucket for now: %s", error)

    async def _call(self, operation: str, key: str, **arguments: object) -> Any:
        return await self._run(
            _classified,
            getattr(self._client, operation),
            Key=self._prefix + key,
            **arguments,
            Bucket=self._bucket,
        )

    async def _of_bucket(self, operation: str, **arguments: object) -> Any:
        call = getattr(self._client, operation)
        try:
            return await self._run(_classified, call, **arguments, Bucket=self._bucket)
        except FileNotFoundError:
            raise StoreUnavailable(f"there is no bucket {self._bucket}") from None

    async def _run(self, function: Callable[..., Any], *args: object, **arguments: object) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **arguments))


class Body:
    """An object that is being read."""

    def __init__(self, stream: Any, run: Callable[..., Any]) -> None:
        self._stream = stream
        self._run = run

    async def piece(self) -> bytes:
        """The next bytes; b"" at the end.

        Raises:
            StoreUnavailable: it broke off.
        """
        return bytes(await self._run(_classified, self._stream.read, PIECE_BYTES))

    def close(self) -> None:
        """Let go of its connection."""
        self._stream.close()


def _classified(call: Callable[..., Any], *args: object, **arguments: object) -> Any:
    """What a call answers.

    Raises:
        FileNotFoundError: there is no such object.
        StoreUnavailable: it is refused, or there is no answer.
    """
    try:
        return call(*args, **arguments)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("404", "NoSuchKey"):
            raise FileNotFoundError(str(arguments.get("Key", ""))) from error
        raise StoreUnavailable(str(error)) from error
    except BotoCoreError as error:
        raise StoreUnavailable(str(error)) from error


def _md5(data: bytes) -> str:
    """As Content-MD5 has it: against what a line may do to bytes, not against people."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _credentials(path: Path) -> dict[str, str]:
    """Of the section ``[default]`` of a file as AWS's tools have it."""
    try:
        if path.stat().st_mode & 0o007:
            raise ConfigError(
                f"artifacts.credentials_file: others may read {path}: chmod o= {path}"
            )
        with path.open(encoding="utf-8") as file:
            text = file.read(_CREDENTIALS_BYTES_MAX)
        section = configparser.RawConfigParser()
        section.read_string(text)
        found = dict(section["default"])
        names = ("aws_access_key_id", "aws_secret_access_key")
        access = {name: found[name] for name in names}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"artifacts.credentials_file: {path}: {error}") from error
    except (KeyError, configparser.Error):
        # Not what the parser says: it quotes the line.
        raise ConfigError(
            f"artifacts.credentials_file: {path} needs a section [default] with aws_access_key_id and "
            "aws_secret_access_key"
        ) from None
    if token := found.get("aws_session_token"):
        access["aws_session_token"] = token
    return access

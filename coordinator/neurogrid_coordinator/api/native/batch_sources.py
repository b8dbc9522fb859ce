"""What a request for a batch asks for, as the services take it, and where its tasks come from."""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager, aclosing
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from ...batches.batch_csv import CSV_BYTES_MAX
from ...files.artifacts import BlobStore, DiskFull
from ...files.uploads import Uploads
from ...services.artifacts import Artifacts
from ...services.batch_intake import BatchWanted
from ...services.batch_tasks import Source, Wanted, from_csv, listed
from ...services.errors import InvalidRequest, NotFound, Unavailable
from ...store.accounts import Account
from .amounts import micro_usdc
from .batch_requests import TASK_FIELDS, BatchRequest, check_defaults


def batch_wanted(body: BatchRequest, key: str | None = None, place: str = "") -> BatchWanted:
    """The request in the product's terms.

    Args:
        key: its idempotency key.
        place: what its fields' paths in the whole request begin with.

    Raises:
        InvalidRequest: a value is wrong.
    """
    check_defaults(body.defaults, f"{place}defaults")
    if body.id is not None and not body.id.isprintable():
        raise InvalidRequest(f"{place}id: must be printable characters", f"{place}id")
    return BatchWanted(
        defaults=body.defaults,
        max_concurrency=body.max_concurrency if body.parallel else 1,
        request_sha256=hashlib.sha256(msgspec.json.encode(body, order="sorted")).hexdigest(),
        client_id=body.id,
        name=body.name,
        description=body.description,
        retries=body.retries,
        max_cost_micro_usdc=(
            None if body.max_cost is None else micro_usdc(body.max_cost, f"{place}max_cost")
        ),
        execute=body.execute,
        idempotency_key=key,
    )


class BatchSources:
    """Opens what batches name."""

    def __init__(self, artifacts: Artifacts, blobs: BlobStore, uploads: Uploads) -> None:
        self._artifacts = artifacts
        self._blobs = blobs
        self._uploads = uploads

    async def of(self, account: Account, body: BatchRequest, place: str = "") -> Source:
        """A batch's tasks.

        Raises:
            InvalidRequest: it names none or several, or the file is too large.
            NotFound: the account has no such artifact.
        """
        if sum(given is not None for given in (body.tasks, body.csv, body.input_file)) != 1:
            field = f"{place}tasks"
            raise InvalidRequest(f"{field}: needs one of tasks, csv and input_file", field)
        if body.tasks is not None:
            return listed(body.tasks, place)
        if body.csv is not None:
            field = f"{place}csv"
            stored = await self._artifacts.find(account, body.csv.sha256)
            if stored.size_bytes > CSV_BYTES_MAX:
                raise InvalidRequest(f"{field}: a file has at most {CSV_BYTES_MAX} bytes", field)
            return _of_blob(self._blobs, stored.sha256, field)
        name = body.input_file
        assert name is not None, "one of three"
        opened = partial(self._uploads.open, account.id, name, CSV_BYTES_MAX)
        return from_csv(opened, TASK_FIELDS, f"{place}input_file")


async def _of_blob(blobs: BlobStore, sha256: str, field: str) -> AsyncGenerator[Sequence[Wanted]]:
    try:
        async with blobs.file(sha256) as path:
            rows = from_csv(partial(_open, path), TASK_FIELDS, field)
            async with aclosing(rows):
                async for piece in rows:
                    yield piece
    except FileNotFoundError:
        raise NotFound(f"the bytes of {sha256} are lost; upload it again") from None
    except DiskFull as error:
        raise Unavailable(str(error)) from error


def _open(path: Path) -> AbstractContextManager[BinaryIO]:
    return path.open("rb")

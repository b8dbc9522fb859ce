"""Checking a result: every output that the node names must be here, with that hash and size."""

from sqlalchemy import Connection

from neurogrid_marketplace.task_actions import CheckOutputs

from ..store import artifacts, leases
from ..store.database import Database
from .artifacts import BlobStore


class OutputCheck:
    """Compares results with what was uploaded."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs

    async def __call__(self, action: CheckOutputs) -> str:
        """What is missing, in words; "" if everything is here.

        Raises:
            StoreUnavailable: it can't be said now.
        """
        wanted = action.result.outputs

        def uploaded(conn: Connection) -> dict[str, int]:
            row = leases.get(conn, action.lease.lease_id)
            assert row is not None, "leases are never deleted"
            return artifacts.sizes(conn, row.account_id, {item.sha256 for item in wanted})

        sizes = await self._database.read(uploaded) if wanted else {}
        for output in wanted:
            size = sizes.get(output.sha256)
            if size is None or await self._blobs.size_bytes(output.sha256) is None:
                return f"the output {output.path} was not uploaded"
            if size != output.size_bytes:
                return f"the output {output.path} has {size} bytes, not {output.size_bytes}"
        return ""

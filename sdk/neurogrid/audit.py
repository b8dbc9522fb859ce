# Made from aio/audit.py by scripts/unasync.py: change that one, and run it.
"""Who changed what of the account."""

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Literal

from .models.figures import AuditPage, AuditRecord
from .transport import Transport


class Audit:
    """The account's audit log."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def export(
        self,
        *,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        type: Literal["task", "api", "system"] | None = None,
        level: Literal["info", "warning", "error"] | None = None,
        page_size: int = 100,
    ) -> Generator[AuditRecord]:
        """Every change that fits, newest first, each once, however many there are.

        >>> for record in client.audit.export(type="system"):
        ...     print(record.message)

        Args:
            start_time: an aware datetime.
            end_time: likewise; None: now, so that what happens meanwhile moves nothing.
            page_size: how many one request asks for, at most 100.
        """
        until = end_time or datetime.now(UTC)
        params: dict[str, str | int] = {"end_time": until.isoformat(), "limit": page_size}
        named = {
            "start_time": None if start_time is None else start_time.isoformat(),
            "type": type,
            "level": level,
        }
        params |= {name: value for name, value in named.items() if value is not None}
        offset = 0
        while True:
            page = (
                self._transport.call(
                    AuditPage, "GET", "/audit/logs", params={**params, "offset": offset}
                )
            ).logs
            yield from page
            if len(page) < page_size:
                return
            offset += page_size

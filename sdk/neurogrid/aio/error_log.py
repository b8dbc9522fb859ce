"""The error log: what failed of an account, and what was done about it."""

from ..models.error_log import LoggedError, LoggedErrorPage, Severity
from .transport import Transport


class ErrorLog:
    """What failed. ``everybodys`` asks for all accounts and for bugs, and needs a key with the role ``operator``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(
        self,
        *,
        task_id: str | None = None,
        severity: Severity | None = None,
        timeframe: str | None = None,
        resolved: bool | None = None,
        limit: int = 100,
        offset: int = 0,
        everybodys: bool = False,
    ) -> LoggedErrorPage:
        """Errors, newest first.

        Args:
            timeframe: how far back, as ``30m``, ``24h`` or ``7d``; None: all that are kept.
            resolved: only those of which somebody has said something, or only the others.
        """
        wanted = {
            "task_id": task_id,
            "severity": severity,
            "timeframe": timeframe,
            "resolved": None if resolved is None else str(resolved).lower(),
        }
        params: dict[str, str | int] = {"limit": limit, "offset": offset}
        params |= {name: value for name, value in wanted.items() if value is not None}
        return await self._transport.call(LoggedErrorPage, "GET", _path(everybodys), params=params)

    async def get(self, error_id: str, *, everybodys: bool = False) -> LoggedError:
        """One error.

        Raises:
            NotFoundError: there is no such error of this account.
        """
        return await self._transport.call(LoggedError, "GET", f"{_path(everybodys)}/{error_id}")

    async def resolve(
        self, error_id: str, resolution: str | None, *, everybodys: bool = False
    ) -> LoggedError:
        """Say what was found out or done, in at most 2,000 characters; None takes it back. Repeating changes the words.

        Raises:
            NotFoundError: see `get`.
        """
        return await self._transport.call(
            LoggedError,
            "PATCH",
            f"{_path(everybodys)}/{error_id}",
            json={"resolution": resolution},
        )


def _path(everybodys: bool) -> str:
    return "/operator/errors" if everybodys else "/errors"

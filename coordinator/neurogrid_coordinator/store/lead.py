"""Leading: of all coordinators on a PostgreSQL database one works, and makes payments.

It holds a lock for as long as its session lasts, and what it pays is stored over that very session: who
has lost the lock can store no payment, so it sends none. A session that is lost may be taken up again
as long as nobody else has led meanwhile, which the number of the term says.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from .away import DatabaseAway, LeadLost
from .places import Server
from .postgresql_connection import BEGIN_WRITE, connect, undone

_log = logging.getLogger(__name__)

_LEADING = 5_649_000_003
# So long a session is tried to be had again; long before, the server has ended the old one.
_AGAIN_S = 10.0
_AGAIN_PAUSE_S = 0.2
# Who leads says something every second (`daemon`). One that is silent for so long was stopped: its session ends, and
# somebody else leads.
_SILENT = "10s"
_IDLE_LIMIT_SINCE = 140000


class Lead:
    """The payments of the coordinator that leads (`neurogrid_wallet.payment_store.PaymentDatabase`)."""

    def __init__(self, server: Server, raw: "psycopg.Connection[Any]", term: int) -> None:
        self._server = server
        self._raw = raw
        self.term = term

    @classmethod
    def take(cls, server: Server) -> "Lead | None":
        """Lead from now on; None while another coordinator does.

        Raises:
            DatabaseAway: the server does not answer.
        """
        raw: psycopg.Connection[Any] | None = None
        try:
            raw = connect(server)
            if not _locked(raw):
                raw.close()
                return None
            # While nobody writes: what was written in an earlier term is there, and nothing more comes (`fence`).
            raw.execute(BEGIN_WRITE)
            row = raw.execute("update lead set term = term + 1, url = '' returning term").fetchone()
            raw.execute("commit")
        except psycopg.Error as error:
            if raw is not None:
                raw.close()
            raise DatabaseAway(f"the database does not answer: {str(error).strip()}") from error
        assert row is not None, "the migration made the row"
        return cls(server, raw, row[0])

    def execute(self, sql: str, values: Sequence[object] = (), /) -> "psycopg.Cursor[Any]":
        """Carry a statement out.

        Raises:
            LeadLost: another coordinator leads, or may soon.
        """
        idle = self._raw.info.transaction_status in (
            TransactionStatus.IDLE,
            TransactionStatus.UNKNOWN,
        )
        told = sql.replace("?", "%s").encode()
        try:
            return self._raw.execute(told, values)
        except psycopg.OperationalError as error:
            if not self._raw.closed and not undone(error):
                raise
            self._raw.close()
            if not idle:
                # Whether it was stored is found out by who leads next; what was not, was not sent.
                raise LeadLost("the database went away while a payment was stored") from error
        self._again()
        return self._raw.execute(told, values)

    def close(self) -> None:
        """Have somebody else lead."""
        with suppress(psycopg.Error):
            self._raw.close()

    def _again(self) -> None:
        """Lead on, on a new session."""
        deadline = time.monotonic() + _AGAIN_S
        said = "it does not answer"
        while time.monotonic() < deadline:
            try:
                raw = connect(self._server)
                if _locked(raw) and _term(raw) == self.term:
                    self._raw = raw
                    return
                begun = _term(raw)
                raw.close()
                if begun != self.term:
                    raise LeadLost("another coordinator has led on this database meanwhile")
                said = "another session leads"
            except psycopg.Error as error:
                said = str(error).strip()
            time.sleep(_AGAIN_PAUSE_S)
        raise LeadLost(f"leading on this database is over: {said}")


def _term(raw: "psycopg.Connection[Any]") -> int:
    row = raw.execute("select term from lead").fetchone()
    assert row is not None, "the migration made the row"
    return int(row[0])


def _locked(raw: "psycopg.Connection[Any]") -> bool:
    """Whether this session leads from now on."""
    if raw.info.server_version >= _IDLE_LIMIT_SINCE:
        raw.execute(f"set idle_session_timeout = '{_SILENT}'".encode())
    row = raw.execute(f"select pg_try_advisory_lock({_LEADING})".encode()).fetchone()
    return row == (True,)

"""Answers of replicas to requests with an idempotency key: kept in the transaction that writes down what they came to.

The file is on the disk before it has a row here, and it begins with its request's id, so no other file is like it.
"""

from dataclasses import dataclass

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, bindparam, select
from sqlalchemy import func as sql

from . import checkpoints
from .prepared import Prepared
from .tables import kept_answers
from .upserts import Upsert

_BY_KEY = Prepared(
    select(kept_answers).where(
        kept_answers.c.account_id == bindparam("the_account"),
        kept_answers.c.idempotency_key == bindparam("the_key"),
    )
)
_SAVE = Upsert(kept_answers, ("account_id", "idempotency_key"))


class KeptBill(Struct, frozen=True):
    """What an answer came from, and what it came to.

    Attributes:
        request_id: of the answer; another one each time that a replica is asked.
        task_id: of the lease for use that pays.
        node_id: of the replica.
        began_s: when the answer began; Unix time.
        took_ms: from the request to the whole answer.
    """

    request_id: str
    task_id: str
    node_id: str
    began_s: int
    took_ms: int
    cost_micro_usdc: int = 0


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer of an account.

    Attributes:
        request_sha256: of what was asked for.
        sha256, size_bytes: of the file with what the server said.
    """

    account_id: str
    key: str
    request_sha256: str
    bill: KeptBill
    sha256: str
    size_bytes: int


def keep(conn: Connection, answer: KeptAnswer, now_ms: int) -> int:
    """Keep it in the place of what the account's key named before; what it came to, micro-USDC.

    One that is there already, after a commit whose end nobody knew, stays as it is.
    """
    known = _BY_KEY.first(conn, {"the_account": answer.account_id, "the_key": answer.key})
    if known is not None:
        before = _answer(known)
        if before.bill.request_id == answer.bill.request_id:
            return before.bill.cost_micro_usdc
        checkpoints.let_go(conn, [before.sha256])
    _SAVE.run(
        conn,
        {
            "account_id": answer.account_id,
            "idempotency_key": answer.key,
            "request_sha256": answer.request_sha256,
            "bill_json": msgspec.json.encode(answer.bill).decode(),
            "sha256": answer.sha256,
            "size_bytes": answer.size_bytes,
            "created_at_ms": now_ms,
        },
    )
    return answer.bill.cost_micro_usdc


def find(conn: Connection, account_id: str, key: str, since_ms: int) -> KeptAnswer | None:
    """What the request with this key was answered, if that was kept since."""
    row = _BY_KEY.first(conn, {"the_account": account_id, "the_key": key})
    return None if row is None or row.created_at_ms < since_ms else _answer(row)


def account_bytes(conn: Connection, account_id: str) -> int:
    """What all of an account's take, for its quota."""
    query = select(sql.sum(kept_answers.c.size_bytes))
    return int(conn.scalar(query.where(kept_answers.c.account_id == account_id)) or 0)


def _answer(row: Row[tuple[object, ...]]) -> KeptAnswer:
    return KeptAnswer(
        row.account_id,
        row.idempotency_key,
        row.request_sha256,
        msgspec.json.decode(row.bill_json, type=KeptBill),
        row.sha256,
        row.size_bytes,
    )

"""Requests that carry an idempotency key: claimed with their effect, and answered the same way again.

`Database.write` claims the key in the transaction of a request's first change, so that of two requests at one moment one has
an effect. Routes that keep the key with what they make (tasks, workflows, keys, ...) do not come here.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from .prepared import Prepared
from .tables import idempotent_answers as answers

# So many old ones are deleted with a new one, so that there is never a long pause.
_DELETED_AT_ONCE = 100

_BY_KEY = Prepared(
    select(answers).where(
        answers.c.account_id == bindparam("the_account"),
        answers.c.idempotency_key == bindparam("the_key"),
    )
)


@dataclass(slots=True)
class Repeat:
    """A request that may come again.

    Attributes:
        digest: tells its hash, once its body is read.
        kept_ms: for how long it is known, and what is older is forgotten.
        claimed: whether its effect is there.
    """

    account_id: str
    key: str
    digest: Callable[[], str]
    kept_ms: int
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a request that came before; ``answer_json`` "": not its answer."""

    request_sha256: str
    answer_json: str


class Taken(Exception):
    """The key was claimed a moment ago by another request; nothing was done."""


_present: ContextVar[Repeat | None] = ContextVar("repeat", default=None)


class Scene:
    """Where one request is served."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _present.set(None)

    def __exit__(self, *_: object) -> None:
        _present.reset(self._token)


def expect(repeat: Repeat | None) -> None:
    """The request that is served now; None: it is none of ours."""
    _present.set(repeat)


def present() -> Repeat | None:
    """The request that is served now."""
    return _present.get()


def claim(conn: Connection) -> None:
    """Take the present request's key, in the transaction of its first change.

    Raises:
        Taken: another request has it.
    """
    repeat = _present.get()
    if repeat is None or repeat.claimed:
        return
    now_ms = time.time_ns() // 1_000_000
    since_ms = now_ms - repeat.kept_ms
    if find(conn, repeat.account_id, repeat.key, since_ms) is not None:
        raise Taken
    old = conn.execute(
        select(answers.c.account_id, answers.c.idempotency_key)
        .where(answers.c.created_at_ms < since_ms)
        .order_by(answers.c.created_at_ms)
        .limit(_DELETED_AT_ONCE)
    ).all()
    for account_id, key in [*old, (repeat.account_id, repeat.key)]:
        conn.execute(
            delete(answers).where(
                answers.c.account_id == account_id, answers.c.idempotency_key == key
            )
        )
    conn.execute(
        insert(answers).values(
            account_id=repeat.account_id,
            idempotency_key=repeat.key,
            request_sha256=repeat.digest(),
            answer_json="",
            created_at_ms=now_ms,
        )
    )


def claimed() -> None:
    """What `claim` wrote is durable."""
    repeat = _present.get()
    if repeat is not None:
        repeat.claimed = True


def find(conn: Connection, account_id: str, key: str, since_ms: int) -> Kept | None:
    """What is known of the request with this key, if it came since."""
    row = _BY_KEY.first(conn, {"the_account": account_id, "the_key": key})
    if row is None or row.created_at_ms < since_ms:
        return None
    return Kept(row.request_sha256, row.answer_json)


def keep(conn: Connection, account_id: str, key: str, answer_json: str) -> None:
    """Keep what the request was answered."""
    conn.execute(
        update(answers)
        .where(answers.c.account_id == account_id, answers.c.idempotency_key == key)
        .values(answer_json=answer_json)
    )

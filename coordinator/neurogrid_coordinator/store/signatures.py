"""What wallets have signed and was carried out: it opens nothing a second time, at any coordinator."""

import hashlib

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from .tables import used_signatures

# Of an account, that are remembered at once: 20 a second over the time for which each is.
PER_ACCOUNT_MAX = 10_000
# Each that is added takes so many away whose time has passed, so the table does not grow.
_FORGOTTEN_AT_ONCE = 100


class SignatureUsed(Exception):
    """The same text of the same account was used before."""


class TooManySignatures(Exception):
    """The account has used `PER_ACCOUNT_MAX` that are still remembered."""


def use(conn: Connection, account_id: str, text: str, now_ms: int, until_ms: int) -> None:
    """Remember that this text was signed and used; ``until_ms``: it opens nothing from then on.

    Raises:
        SignatureUsed, TooManySignatures: it must not be carried out.
    """
    mine = used_signatures.c.account_id == account_id
    old = conn.scalars(
        select(used_signatures.c.text_sha256)
        .where(used_signatures.c.until_ms <= now_ms)
        .limit(_FORGOTTEN_AT_ONCE)
    ).all()
    if old:
        # A text of two accounts is two rows, and both have the same end.
        conn.execute(
            delete(used_signatures).where(
                used_signatures.c.text_sha256.in_(old), used_signatures.c.until_ms <= now_ms
            )
        )
    kept = conn.scalar(select(func.count()).select_from(used_signatures).where(mine)) or 0
    if kept >= PER_ACCOUNT_MAX:
        raise TooManySignatures(f"{kept} signed requests of {account_id} are remembered")
    digest = hashlib.sha256(text.encode()).hexdigest()
    try:
        conn.execute(
            insert(used_signatures).values(
                account_id=account_id, text_sha256=digest, until_ms=until_ms
            )
        )
    except IntegrityError as error:
        raise SignatureUsed(digest) from error

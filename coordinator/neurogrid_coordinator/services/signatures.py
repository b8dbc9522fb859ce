"""What an account's wallet signs: checked, and carried out once."""

import base64
import binascii
import re
import time
from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.errors import BadSignature, InvalidValue
from neurogrid_marketplace.identity import address_bytes, check_signature
from neurogrid_marketplace.request_signing import (
    SIGNATURE_HEADER,
    SKEW_S,
    TIMESTAMP_HEADER,
    request_text,
)

from ..store import signatures
from ..store.accounts import Account
from ..store.database import Database
from .errors import (
    RateLimited,
    SignatureExpired,
    SignatureInvalid,
    SignatureReplayed,
    SignatureRequired,
)

# Coordinators that share a database may have clocks that differ by the skew, too.
_REMEMBERED_S = 4 * SKEW_S
_TIMESTAMP = re.compile(r"[0-9]{1,12}\Z", re.ASCII)
_SIGNATURE_CHARS_MAX = 100
_HOW = "docs/authentication.md says how requests are signed"


@dataclass(frozen=True, slots=True)
class Signed:
    """A request that a wallet shall have signed.

    Attributes:
        target: path and query, as sent.
        signature, timestamp: the headers' text.
    """

    method: str
    target: str
    body_sha256: str
    signature: str
    timestamp: str


class Signatures:
    """Checks what wallets have signed.

    Args:
        network: the market's tag.
    """

    def __init__(self, database: Database, network: str) -> None:
        self._database = database
        self._network = network

    def present(self, signature: str | None, timestamp: str | None) -> tuple[str, str]:
        """Both headers' text: a request without is refused before its body is read.

        Raises:
            SignatureRequired: it has none.
        """
        if not signature or not timestamp:
            raise SignatureRequired(
                f"your wallet has to sign this request: send {SIGNATURE_HEADER} and {TIMESTAMP_HEADER}; {_HOW}",
                {"network": self._network},
            )
        return signature, timestamp

    async def require(self, account: Account, signed: Signed) -> None:
        """Let a request through that the account's wallet has signed, once.

        Raises:
            SignatureInvalid, SignatureExpired, SignatureReplayed: it did not, or not now, or again.
            RateLimited: too many of the account's are remembered.
        """
        if not _TIMESTAMP.match(signed.timestamp):
            raise SignatureInvalid(f"{TIMESTAMP_HEADER} is whole seconds since 1970; {_HOW}")
        timestamp_s = int(signed.timestamp)
        now_ms = time.time_ns() // 1_000_000
        require_fresh(timestamp_s, now_ms)
        try:
            text = request_text(
                network=self._network,
                method=signed.method,
                target=signed.target,
                timestamp_s=timestamp_s,
                body_sha256=signed.body_sha256,
            )
        except InvalidValue as error:
            raise SignatureInvalid(f"{error}; {_HOW}") from error
        require_signature(account.wallet, text, signed.signature)
        try:
            await self._database.write(
                use_once, account.id, text, now_ms, 1000 * (timestamp_s + _REMEMBERED_S)
            )
        except signatures.TooManySignatures as error:
            raise RateLimited(SKEW_S) from error


def use_once(conn: Connection, account_id: str, text: str, now_ms: int, until_ms: int) -> None:
    """Note that this was carried out.

    Raises:
        SignatureReplayed: it was before.
        TooManySignatures: see `store.signatures`.
    """
    try:
        signatures.use(conn, account_id, text, now_ms, until_ms)
    except signatures.SignatureUsed as error:
        raise SignatureReplayed(
            "this signature was used before. Sign again, with another timestamp"
        ) from error


def require_fresh(timestamp_s: int, now_ms: int) -> None:
    """Refuse what was signed at another time than about now.

    Raises:
        SignatureExpired: ``details`` have the coordinator's time.
    """
    if abs(1000 * timestamp_s - now_ms) > 1000 * SKEW_S:
        raise SignatureExpired(
            f"{TIMESTAMP_HEADER} is more than {SKEW_S} s from the coordinator's clock. Sign again; if that "
            "does not help, set your clock",
            {"server_time": now_ms // 1000, "skew_seconds_max": SKEW_S},
        )


def require_signature(wallet: str, text: str, signature: str) -> None:
    """Refuse what is not this wallet's signature of the text.

    Args:
        signature: 64 bytes in Base64.

    Raises:
        SignatureInvalid: ``details`` have the text, to compare with what was signed.
    """
    try:
        if len(signature) > _SIGNATURE_CHARS_MAX:
            raise BadSignature("it is too long")
        raw = base64.b64decode(signature, validate=True)
        check_signature(address_bytes(wallet), text.encode(), raw)
    except (BadSignature, InvalidValue, binascii.Error, ValueError) as error:
        raise SignatureInvalid(
            f"this is not the signature of wallet {wallet}: Base64 of the 64 bytes of its Ed25519 signature of "
            f"the text in the details; {_HOW}",
            {"signed_text": text},
        ) from error

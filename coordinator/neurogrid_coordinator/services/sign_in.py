"""Signing in with a wallet: a text to sign, and a token that lives an hour for the signature."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.request_signing import SIGN_IN_S, SKEW_S, SignIn, read_sign_in

from ..store import accounts, api_keys, signatures
from ..store.accounts import Account, IssuedKey, KeyKind
from ..store.api_keys import KeyState
from ..store.database import Database
from .errors import InvalidRequest, RateLimited, SignatureExpired, SignatureInvalid, Unauthorized
from .signatures import require_signature, use_once

T = TypeVar("T")

TOKEN_S = 3600
# Of an account at once; with one more the oldest ends, so that a lost token locks nobody out.
SESSIONS_MAX = 20
# Those that have ended and are still shown.
_ENDED_MAX = 20
# Where the operator has not said how clients reach the coordinator.
_NOWHERE = "unnamed"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a wallet has to sign, until then."""

    text: str
    expires_at_ms: int


class SignIns:
    """Signs owners of wallets in.

    Nothing is stored for a challenge: the text says all that is checked later, and a signature is used once.

    Args:
        network: the market's tag.
        public_url: how clients reach this coordinator; "" where nobody said.
    """

    def __init__(self, database: Database, network: str, public_url: str) -> None:
        self._database = database
        self._network = network
        self._coordinator = public_url or _NOWHERE

    def challenge(self, wallet: str) -> Challenge:
        """What this wallet has to sign. The answer does not tell whether it has an account.

        Raises:
            InvalidRequest: it is no wallet's address.
        """
        now_s = time.time_ns() // 1_000_000_000
        try:
            made = SignIn(
                self._coordinator, self._network, wallet, now_s, nonce=secrets.token_hex(16)
            )
        except InvalidValue as error:
            raise InvalidRequest(f"wallet: {error}", "wallet") from error
        return Challenge(made.text(), 1000 * (now_s + SIGN_IN_S))

    async def account_of(self, text: str, signature: str) -> Account:
        """The account of the wallet that signed what `challenge` said; it is used up.

        Raises:
            As `sign_in`.
        """
        now_ms = time.time_ns() // 1_000_000
        said = self._checked(text, signature, now_ms)
        return await self._write(lambda conn: _account(conn, said, text, now_ms))

    async def sign_in(self, text: str, signature: str, scopes: tuple[str, ...]) -> IssuedKey:
        """A token of the wallet's account, for what `challenge` said and the wallet signed.

        It acts as all that the account does.

        Raises:
            InvalidRequest: the text is none of this coordinator's.
            SignatureExpired, SignatureInvalid, SignatureReplayed: it is not signed, not now, or used.
            Unauthorized: the wallet has no account.
            RateLimited: too many of the account's signatures are remembered.
        """
        now_ms = time.time_ns() // 1_000_000
        said = self._checked(text, signature, now_ms)

        def issue(conn: Connection) -> IssuedKey:
            return _session(conn, _account(conn, said, text, now_ms), scopes, now_ms)

        return await self._write(issue)

    def _checked(self, text: str, signature: str, now_ms: int) -> SignIn:
        """What was signed, for this coordinator, about now."""
        try:
            said = read_sign_in(text)
        except InvalidValue as error:
            raise InvalidRequest(f"message: {error}. Ask for another one", "message") from error
        if (said.coordinator, said.network) != (self._coordinator, self._network):
            raise SignatureInvalid(
                f"this was signed for {said.coordinator} of {said.network}, which is somebody else"
            )
        if now_ms >= _ends_ms(said) or 1000 * (said.issued_at_s - SKEW_S) > now_ms:
            raise SignatureExpired(
                f"a message to sign holds for {SIGN_IN_S} s. Ask for another one",
                {"server_time": now_ms // 1000},
            )
        require_signature(said.wallet, text, signature)
        return said

    async def _write(self, fn: Callable[[Connection], T]) -> T:
        try:
            return await self._database.write(fn)
        except signatures.TooManySignatures as error:
            raise RateLimited(SKEW_S) from error


def _ends_ms(said: SignIn) -> int:
    return 1000 * (said.issued_at_s + SIGN_IN_S)


def _account(conn: Connection, said: SignIn, text: str, now_ms: int) -> Account:
    """The account of who signed this; nobody else changes its keys until the transaction ends."""
    account = accounts.of_wallet(conn, said.wallet)
    if account is None:
        raise Unauthorized(f"the wallet {said.wallet} has no account here; the operator makes one")
    api_keys.lock(conn, account.id)
    use_once(conn, account.id, text, now_ms, _ends_ms(said) + 2000 * SKEW_S)
    return account


def _session(conn: Connection, account: Account, scopes: tuple[str, ...], now_ms: int) -> IssuedKey:
    active = api_keys.list_keys(
        conn,
        account.id,
        now_ms,
        state=KeyState.ACTIVE,
        kind=KeyKind.SIGN_IN,
        limit=SESSIONS_MAX,
        offset=SESSIONS_MAX - 1,
    )
    for old in active.keys:
        accounts.revoke_key(conn, old.id, now_ms)
    api_keys.delete_ended(conn, account.id, now_ms, kind=KeyKind.SIGN_IN, kept=_ENDED_MAX)
    return accounts.issue_key(
        conn,
        account.id,
        "signed in with the wallet",
        scopes,
        now_ms,
        now_ms + 1000 * TOKEN_S,
        roles=account.roles,
        kind=KeyKind.SIGN_IN,
    )

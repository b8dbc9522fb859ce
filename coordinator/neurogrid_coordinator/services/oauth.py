"""OAuth 2: what an application asks, what an owner allows, and what comes of it."""

import time

from ..store.accounts import KEYS_SCOPE, OPERATOR_ROLE, Account, ApiKey
from ..store.database import Database
from . import oauth_server
from .errors import Forbidden
from .key_rules import require_scope, require_within
from .oauth_parties import Owner, Sent
from .oauth_server import Answer, Elsewhere, Wanted, Wrong
from .role_rules import roles_of
from .sign_in import Challenge, SignIns


class OAuth:
    """The authorization server.

    Args:
        sign_ins: what owners sign with their wallets.
    """

    def __init__(self, database: Database, sign_ins: SignIns) -> None:
        self._database = database
        self._sign_ins = sign_ins

    async def token(self, sent: Sent) -> Answer:
        """Tokens for a code, a refresh token or an application's own secret."""
        return await self._database.write(oauth_server.token, sent, _now_ms())

    async def revoke(self, sent: Sent) -> Answer:
        """End a token of the application that asks; a refresh token with its grant."""
        return await self._database.write(oauth_server.revocation, sent, _now_ms())

    async def introspect(self, sent: Sent) -> Answer:
        """What a token of the application that asks is good for."""
        return await self._database.read(oauth_server.introspection, sent, _now_ms())

    async def wanted(self, sent: Sent) -> Wanted | Elsewhere | Wrong:
        """What an authorization request wants."""
        return await self._database.read(oauth_server.wanted, sent, _now_ms())

    async def deny(self, sent: Sent) -> Elsewhere | Wrong:
        """Tell the application that its owner does not want it."""
        return await self._database.read(oauth_server.decided, sent, None, _now_ms())

    def challenge(self, wallet: str) -> Challenge:
        """What this wallet has to sign, to allow something with it.

        Raises:
            InvalidRequest: it is no wallet's address.
        """
        return self._sign_ins.challenge(wallet)

    async def allow_with_key(
        self, sent: Sent, wanted: Wanted, account: Account, key: ApiKey
    ) -> Elsewhere | Wrong:
        """Allow what is wanted, in the name of a key's account.

        Raises:
            Forbidden: the key may not make others, or has less than what is wanted.
        """
        require_scope(key, KEYS_SCOPE)
        require_within(key, wanted.scopes)
        roles = tuple(role for role in key.roles if role in roles_of(account, key))
        return await self._allow(sent, wanted, Owner(account, _passed_on(roles), key))

    async def allow_with_wallet(
        self, sent: Sent, wanted: Wanted, text: str, signature: str
    ) -> Elsewhere | Wrong:
        """Allow what is wanted, in the name of the account of the wallet that has signed.

        Raises:
            Refused: see `SignIns.account_of`.
        """
        account = await self._sign_ins.account_of(text, signature)
        return await self._allow(sent, wanted, Owner(account, _passed_on(account.roles), None))

    async def _allow(self, sent: Sent, wanted: Wanted, owner: Owner) -> Elsewhere | Wrong:
        if not set(owner.roles) & set(wanted.client.roles):
            raise Forbidden(
                f"the application acts as {' and '.join(wanted.client.roles)}, which you do not",
                {"roles": list(wanted.client.roles)},
            )
        return await self._database.write(oauth_server.decided, sent, owner, _now_ms())


def _passed_on(roles: tuple[str, ...]) -> tuple[str, ...]:
    """An operator's powers are for nobody's application."""
    return tuple(role for role in roles if role != OPERATOR_ROLE)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

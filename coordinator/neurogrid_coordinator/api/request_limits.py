"""How many requests are let in: of an account by its tier, of an address, and of some kinds of request.

An account's keys share its buckets: else whoever makes more keys could ask more often. Accounts and
addresses are remembered apart, so that no number of made-up addresses makes us forget an account.
"""

import time

from starlette.requests import HTTPConnection

from ..server.request_rules import Kind, RequestRules, kind_of
from ..services.errors import RateLimited
from .client_address import group_of
from .rate_limit import Buckets, Taken, Verdict

# Where a request's verdicts are left, for the headers of its answer (`Door`) and for dialects.
STANDING_STATE = "rate_limits"

# Whose buckets, in what coordinators tell each other.
_ACCOUNTS = "account"
_ADDRESSES = "address"


class Standing:
    """What the buckets say of one request: ``user`` of its account, ``ip`` of its address."""

    def __init__(self) -> None:
        self.user: Verdict | None = None
        self.ip: Verdict | None = None

    def shown(self) -> Verdict | None:
        """The one that the headers tell: which refuses, else the account's, else the address's."""
        for verdict in (self.user, self.ip):
            if verdict is not None and verdict.retry_after_s:
                return verdict
        return self.user or self.ip

    def limits(self) -> dict[str, Verdict]:
        """Both by name, as far as they are known."""
        both = {"user": self.user, "ip": self.ip}
        return {name: verdict for name, verdict in both.items() if verdict is not None}


def standing_of(connection: HTTPConnection) -> Standing:
    """What is known of a request so far."""
    state = connection.scope.setdefault("state", {})
    standing = state.setdefault(STANDING_STATE, Standing())
    assert isinstance(standing, Standing), "nobody else writes there"
    return standing


class RequestCounts:
    """What is counted, in one process: it outlasts an application."""

    def __init__(self) -> None:
        self.accounts = Buckets()
        self.addresses = Buckets()

    def share(self) -> None:
        """Other coordinators count too; see `Buckets`."""
        self.accounts.share()
        self.addresses.share()

    def take_due(self, most: int) -> list[tuple[str, Taken]]:
        """What the others are to be told now, with whose buckets it is of; accounts first."""
        told = [(_ACCOUNTS, taken) for taken in self.accounts.take_due(most)]
        told += [(_ADDRESSES, taken) for taken in self.addresses.take_due(most - len(told))]
        return told

    def hear(self, whose: str, taken: Taken) -> None:
        """Another coordinator took this; of what we do not know, nothing."""
        buckets = {_ACCOUNTS: self.accounts, _ADDRESSES: self.addresses}.get(whose)
        if buckets is not None:
            buckets.hear(taken, time.time())


class RequestLimits:
    """Counts requests by the operator's rules."""

    def __init__(self, rules: RequestRules, counts: RequestCounts | None = None) -> None:
        counts = counts or RequestCounts()
        self._rules = rules
        self._limits_kinds = any(rules.kinds.values())
        self._accounts = counts.accounts
        self._addresses = counts.addresses

    def of_address(self, connection: HTTPConnection) -> None:
        """Count a request of whomever from its address.

        Raises:
            RateLimited: too many.
        """
        self._count_address(connection, "", self._rules.per_address)

    def of_stranger(self, connection: HTTPConnection) -> None:
        """Count a request without a good key.

        Raises:
            RateLimited: too many.
        """
        self._count_address(connection, "stranger ", self._rules.strangers_per_address)

    def of_account(self, connection: HTTPConnection, account_id: str, tier: str) -> None:
        """Count a request of an account; one that is refused costs nothing.

        Raises:
            RateLimited: too many.
        """
        per_minute = self._rules.per_minute(tier)
        wanted = [(account_id, per_minute)] if per_minute else []
        kind = None
        if self._limits_kinds:
            kind = kind_of(str(connection.scope.get("method", "")), connection.scope["path"])
            of_kind = self._rules.kinds.get(kind, 0) if kind is not None else 0
            if of_kind:
                wanted.append((f"{account_id} {kind}", of_kind))
        if not wanted:
            return
        verdicts = self._accounts.take(wanted, time.time())
        # What refuses for longest is told, else what is nearest to refusing.
        tightest = max(verdicts, key=lambda verdict: (verdict.retry_after_s, -verdict.remaining))
        standing = standing_of(connection)
        standing.user = tightest
        _require(tightest, standing, kind if tightest is not verdicts[0] else None)

    def _count_address(self, connection: HTTPConnection, prefix: str, per_minute: int) -> None:
        if not per_minute:
            return
        address = connection.client.host if connection.client else ""
        (verdict,) = self._addresses.take([(prefix + group_of(address), per_minute)], time.time())
        standing = standing_of(connection)
        standing.ip = verdict
        _require(verdict, standing)


def _require(verdict: Verdict, standing: Standing, kind: Kind | None = None) -> None:
    if verdict.retry_after_s:
        raise RateLimited(
            verdict.retry_after_s,
            what=f"{kind.value}" if kind is not None else "requests",
            limits={
                name: (told.limit, told.remaining, told.full_at_s)
                for name, told in standing.limits().items()
            },
        )

"""Subscriptions: who wants to hear of what. Runs on the event loop.

The owner thread publishes an event after each commit and each slot; the hub turns it into one
message per interested subscription. A transaction is announced to each when its slot is as settled
as the subscription asks. When a fork takes it back, account subscriptions that were told of it are
told how the account is now; all others are told nothing, as on a cluster.
"""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM_PROGRAM

from neurogrid_contracts.ledger.encoding import AccountEncoding, encode_account
from neurogrid_contracts.ledger.errors import RpcError, invalid_params
from neurogrid_contracts.ledger.events import Event, ForkEvent, SlotEvent, TransactionEvent
from neurogrid_contracts.ledger.filters import Filter, parse_filters
from neurogrid_contracts.ledger.ledger import Commitment
from neurogrid_contracts.ledger.params import Params, pubkey

# Per connection. solana-py and web3.js open one subscription per thing they wait for.
SUBSCRIPTIONS_PER_CONNECTION_MAX = 256

# What a closed account looks like to its subscribers.
_NO_ACCOUNT = Account(0, b"", SYSTEM_PROGRAM)


@dataclass(frozen=True, slots=True)
class AccountInterest:
    address: Pubkey
    encoding: AccountEncoding


@dataclass(frozen=True, slots=True)
class ProgramInterest:
    program: Pubkey
    encoding: AccountEncoding
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class SignatureInterest:
    signature: Signature


@dataclass(frozen=True, slots=True)
class LogsInterest:
    """``mention`` None: every transaction."""

    mention: Pubkey | None


@dataclass(frozen=True, slots=True)
class SlotInterest:
    pass


@dataclass(frozen=True, slots=True)
class RootInterest:
    pass


Interest = (
    AccountInterest
    | ProgramInterest
    | SignatureInterest
    | LogsInterest
    | SlotInterest
    | RootInterest
)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription of one connection.

    Args:
        kind: ``account``, ``logs``, ...: the prefix of the method names.
        commitment: how settled a transaction must be to be announced.
        send: takes the text of a message; returns at once.
    """

    number: int
    kind: str
    interest: Interest
    commitment: Commitment
    send: Callable[[str], None]


def parse_subscription(kind: str, params: Params) -> tuple[Interest, Commitment]:
    """What ``<kind>Subscribe`` asks for.

    Raises:
        RpcError: its arguments are malformed.
    """
    if kind == "slot":
        return SlotInterest(), Commitment.PROCESSED
    if kind == "root":
        return RootInterest(), Commitment.FINALIZED
    options = params.options(1)
    commitment = options.commitment()
    if kind == "account":
        return AccountInterest(params.pubkey(0), options.account_encoding()), commitment
    if kind == "program":
        filters = tuple(parse_filters(options.raw("filters")))
        return ProgramInterest(params.pubkey(0), options.account_encoding(), filters), commitment
    if kind == "signature":
        return SignatureInterest(params.signature(0)), commitment
    return LogsInterest(_mention(params.raw(0, "filter"))), commitment


def _mention(value: Any) -> Pubkey | None:
    if value in ("all", "allWithVotes"):
        return None
    mentions = value.get("mentions") if isinstance(value, dict) else None
    if not isinstance(mentions, list) or len(mentions) != 1:
        raise invalid_params('filter: expected "all" or {"mentions": [one public key]}')
    return pubkey(mentions[0], "mentions")


# Method name -> kind. Arguments: the thing, then a configuration object.
SUBSCRIBE = {
    f"{kind}Subscribe": kind for kind in ("account", "logs", "program", "root", "signature", "slot")
}
UNSUBSCRIBE = {f"{kind}Unsubscribe": kind for kind in SUBSCRIBE.values()}
SUBSCRIBE_ARGUMENTS_MAX = 2


class Hub:
    """All subscriptions of this ledger."""

    def __init__(self) -> None:
        self._subscriptions: dict[int, Subscription] = {}
        self._next_number = 1
        # Transactions whose slot is not final yet, oldest first; as many as fit into those slots.
        self._pending: deque[TransactionEvent] = deque()
        # The newest slot that subscriptions of each commitment were told of.
        self._settled = {Commitment.CONFIRMED: 0, Commitment.FINALIZED: 0}

    def add(
        self,
        kind: str,
        interest: Interest,
        commitment: Commitment,
        send: Callable[[str], None],
    ) -> Subscription:
        subscription = Subscription(self._next_number, kind, interest, commitment, send)
        self._next_number += 1
        self._subscriptions[subscription.number] = subscription
        return subscription

    def remove(self, number: int) -> bool:
        """Whether there was such a subscription."""
        return self._subscriptions.pop(number, None) is not None

    def __contains__(self, number: int) -> bool:
        return number in self._subscriptions

    def publish(self, event: Event) -> None:
        """Tell everyone concerned."""
        match event:
            case SlotEvent():
                self._slot(event)
            case ForkEvent():
                self._fork(event)
            case TransactionEvent():
                self._transaction(event, [each for each in Commitment if self._told(event, each)])
                if not self._told(event, Commitment.FINALIZED):
                    self._pending.append(event)

    def _told(self, event: TransactionEvent, commitment: Commitment) -> bool:
        """Whether subscriptions of this commitment hear of the event by now."""
        return commitment is Commitment.PROCESSED or event.slot <= self._settled[commitment]

    def _slot(self, event: SlotEvent) -> None:
        rooted = event.root > self._settled[Commitment.FINALIZED]
        for commitment, settled in (
            (Commitment.CONFIRMED, event.confirmed),
            (Commitment.FINALIZED, event.root),
        ):
            for pending in self._pending:
                if not self._told(pending, commitment) and pending.slot <= settled:
                    self._transaction(pending, [commitment])
            self._settled[commitment] = settled
        while self._pending and self._told(self._pending[0], Commitment.FINALIZED):
            self._pending.popleft()
        for subscription in list(self._subscriptions.values()):
            if isinstance(subscription.interest, SlotInterest):
                body = {"slot": event.slot, "parent": event.parent, "root": event.root}
                _notify(subscription, body)
            elif isinstance(subscription.interest, RootInterest) and rooted:
                _notify(subscription, event.root)

    def _fork(self, event: ForkEvent) -> None:
        dropped = [pending for pending in self._pending if pending.slot > event.parent]
        self._pending = deque(each for each in self._pending if each.slot <= event.parent)
        for subscription in list(self._subscriptions.values()):
            match subscription.interest:
                case AccountInterest(address, encoding):
                    if any(
                        self._told(each, subscription.commitment) and address in dict(each.changed)
                        for each in dropped
                    ):
                        account = event.reverted[address] or _NO_ACCOUNT
                        shown = _shown(account, encoding, event)
                        _notify(subscription, _with_slot(event.slot, shown))
                case _:
                    pass

    def _transaction(self, event: TransactionEvent, commitments: list[Commitment]) -> None:
        for subscription in list(self._subscriptions.values()):
            if subscription.commitment in commitments:
                self._offer(event, subscription)

    def _offer(self, event: TransactionEvent, subscription: Subscription) -> None:
        match subscription.interest:
            case SignatureInterest(signature):
                if signature == event.signature:
                    self.announce_signature(subscription, event.slot, event.error)
            case LogsInterest(mention):
                if mention is None or mention in event.mentions:
                    body = {
                        "signature": str(event.signature),
                        "err": event.error,
                        "logs": event.logs,
                    }
                    _notify(subscription, _with_slot(event.slot, body))
            case AccountInterest(address, encoding):
                for changed, account in event.changed:
                    if changed == address:
                        shown = _shown(account or _NO_ACCOUNT, encoding, event)
                        _notify(subscription, _with_slot(event.slot, shown))
            case ProgramInterest(program, encoding, filters):
                for changed, account in event.changed:
                    if account is None or account.owner != program:
                        continue
                    if all(passes(account) for passes in filters):
                        body = {
                            "pubkey": str(changed),
                            "account": _shown(account, encoding, event),
                        }
                        _notify(subscription, _with_slot(event.slot, body))
            case _:
                pass

    def announce_signature(self, subscription: Subscription, slot: int, error: Any) -> None:
        """Send the one notification of a signature subscription; the first call ends it."""
        if self.remove(subscription.number):
            _notify(subscription, _with_slot(slot, {"err": error}))


def _shown(
    account: Account, encoding: AccountEncoding, event: TransactionEvent | ForkEvent
) -> dict[str, Any] | None:
    try:
        return encode_account(account, encoding, event.mints.get)
    except RpcError:
        return None  # it outgrew base58, and a notification cannot carry an error


def _with_slot(slot: int, value: Any) -> dict[str, Any]:
    return {"context": {"slot": slot}, "value": value}


def _notify(subscription: Subscription, result: Any) -> None:
    subscription.send(
        json.dumps(
            {
                "jsonrpc": "2.0",
                "method": f"{subscription.kind}Notification",
                "params": {"result": result, "subscription": subscription.number},
            },
            separators=(",", ":"),
        )
    )

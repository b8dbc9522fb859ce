"""A chain that lands what it is told to: the answer function of ``fake_rpc.serve``.

Time stands still until somebody asks where the chain is, so tests need no clock.
"""

import base64
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from solders.hash import Hash
from solders.transaction import VersionedTransaction

from wallet.fake_rpc import LostReply, Refusal

BLOCKHASH_LIFE_BLOCKS = 150


class Fate(Enum):
    """What happens to a sent transaction."""

    LANDS = auto()
    LANDS_UNHEARD = auto()
    """It lands, and the reply is lost."""
    VANISHES = auto()
    """The node accepts it, and nobody else ever hears of it."""
    NEVER_ARRIVES = auto()
    """Neither request nor reply."""


@dataclass
class Landed:
    block: int
    err: Any


class FakeChain:
    """Attributes that tests set or read:

    height: the newest block; its slot is ``height + 1000``.
    height_after_send: the height jumps to this after the next send.
    blocks_per_look: how many blocks come with each look at the position.
    blocks_to_confirm, blocks_to_finality: how many blocks after a transaction's own it takes.
    fate: called for each send, decides what becomes of it.
    err: what transactions fail with from now on.
    history_from_slot: the oldest slot the node knows.
    unreachable: nothing is answered.
    refused_methods: methods that are refused.
    sent: the bytes of each send that arrived, in order.
    landed: by signature.
    executed: how often each message (without compute budget) was executed with success.
    calls: how often each method was called.
    """

    def __init__(self) -> None:
        self.height = 100
        self.height_after_send = 0
        self.blocks_per_look = 1
        self.blocks_to_confirm = 0
        self.blocks_to_finality = 2
        self.fate: Callable[[], Fate] = lambda: Fate.LANDS
        self.err: Any = None
        self.history_from_slot = 0
        self.unreachable = False
        self.refused_methods: set[str] = set()
        self.sent: list[bytes] = []
        self.landed: dict[str, Landed] = {}
        self.executed: Counter[bytes] = Counter()
        self.calls: Counter[str] = Counter()

    def answer(self, method: str, params: list[Any]) -> Any:
        self.calls[method] += 1
        if self.unreachable:
            raise LostReply
        if method in self.refused_methods:
            raise Refusal(-32011, "Transaction history is not available from this node")
        match method:
            case "getLatestBlockhash":
                return self._in_context(
                    {
                        "blockhash": str(Hash(self.height.to_bytes(32, "big"))),
                        "lastValidBlockHeight": self.height + BLOCKHASH_LIFE_BLOCKS,
                    }
                )
            case "getEpochInfo":
                self.height += self.blocks_per_look
                height = self.height - self.blocks_to_finality
                return {"absoluteSlot": height + 1000, "blockHeight": height}
            case "getFirstAvailableBlock":
                return self.history_from_slot
            case "getSignatureStatuses":
                return self._in_context([self._status(signature) for signature in params[0]])
            case "sendTransaction":
                return self._send(base64.b64decode(params[0]))
        raise Refusal(-32601, "Method not found")

    def drop(self, signature: str) -> None:
        """Take a landed transaction back, as when its fork loses."""
        del self.landed[signature]
        self.executed.clear()

    def _in_context(self, value: Any) -> Any:
        return {"context": {"slot": self.height + 1000}, "value": value}

    def _status(self, signature: str) -> Any:
        landed = self.landed.get(signature)
        if landed is None or landed.block + 1000 < self.history_from_slot:
            return None
        if landed.block <= self.height - self.blocks_to_finality:
            commitment = "finalized"
        elif landed.block <= self.height - self.blocks_to_confirm:
            commitment = "confirmed"
        else:
            commitment = "processed"
        slot = landed.block + 1000
        return {"slot": slot, "err": landed.err, "confirmationStatus": commitment}

    def _send(self, raw: bytes) -> str:
        try:
            return self._carry(raw, self.fate())
        finally:
            self.height = max(self.height, self.height_after_send)

    def _carry(self, raw: bytes, fate: Fate) -> str:
        if fate is Fate.NEVER_ARRIVES:
            raise LostReply
        self.sent.append(raw)
        transaction = VersionedTransaction.from_bytes(raw)
        transaction.verify_and_hash_message()
        signature = str(transaction.signatures[0])
        if fate is not Fate.VANISHES:
            self._land(signature, transaction)
        if fate is Fate.LANDS_UNHEARD:
            raise LostReply
        return signature

    def _land(self, signature: str, transaction: VersionedTransaction) -> None:
        age = self.height - int.from_bytes(bytes(transaction.message.recent_blockhash), "big")
        if age > BLOCKHASH_LIFE_BLOCKS or signature in self.landed:
            return
        self.landed[signature] = Landed(self.height, self.err)
        if self.err is None:
            last = transaction.message.instructions[-1]
            self.executed[bytes(last.data)] += 1

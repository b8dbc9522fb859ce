"""The slots of the recent past: their blockhashes, and how accounts were before each of them.

A slot is live until a fork drops it. Reads at a commitment, and of a node that lags, are reads of
the state at the end of an older live slot; a fork is a return to one. Pure bookkeeping.
"""

import bisect
from collections import OrderedDict
from collections.abc import Iterable

from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey

from neurogrid_contracts.ledger.config import BLOCKHASH_AGE_MAX_SLOTS


class Past:
    """Live slots, oldest first.

    Args:
        images_slots: for how many slots before the newest the accounts can still be read.
    """

    def __init__(self, *, images_slots: int) -> None:
        self._images_slots = images_slots
        self._slots: list[int] = []
        self._hashes: dict[int, Hash] = {}
        self._born: dict[Hash, int] = {}
        # Per slot: accounts as they were before it.
        self._before: OrderedDict[int, dict[Pubkey, Account | None]] = OrderedDict()

    def begin(self, slot: int, blockhash: Hash) -> None:
        """Append a live slot, and forget what is too old to be asked for."""
        self._slots.append(slot)
        self._hashes[slot] = blockhash
        self._born[blockhash] = slot
        while self._slots[0] < slot - BLOCKHASH_AGE_MAX_SLOTS:
            self._forget(self._slots.pop(0))
        for old in [each for each in self._before if each <= slot - self._images_slots]:
            del self._before[old]

    def _forget(self, slot: int) -> None:
        del self._born[self._hashes.pop(slot)]

    def slot_of(self, blockhash: Hash) -> int | None:
        """The live slot of ``blockhash``; None when it is unknown, too old, or was dropped."""
        return self._born.get(blockhash)

    def blockhash_of(self, slot: int) -> Hash:
        """The blockhash of a live slot."""
        return self._hashes[slot]

    def newest_until(self, slot: int) -> int:
        """The newest live slot that is not newer than ``slot``; the oldest when all are newer."""
        return self._slots[max(bisect.bisect_right(self._slots, slot) - 1, 0)] if self._slots else 0

    def live_between(self, after: int, until: int) -> list[int]:
        """The live slots with ``after`` < slot <= ``until``."""
        first = bisect.bisect_right(self._slots, after)
        return self._slots[first : bisect.bisect_right(self._slots, until)]

    def hashes_before(self, slot: int) -> list[tuple[int, Hash]]:
        """Live slots below ``slot`` with their blockhashes, newest first."""
        return [(each, self._hashes[each]) for each in reversed(self._slots) if each < slot]

    # Accounts.

    def remember(self, slot: int, before: Iterable[tuple[Pubkey, Account | None]]) -> None:
        """Note how accounts were before a transaction of ``slot``."""
        images = self._before.setdefault(slot, {})
        for address, account in before:
            images.setdefault(address, account)

    def changed_since(self, slot: int) -> dict[Pubkey, Account | None]:
        """Every account that changed after ``slot``, as it was at its end."""
        changed: dict[Pubkey, Account | None] = {}
        for each, images in reversed(self._before.items()):
            if each <= slot:
                break
            changed.update(images)  # the older image is the one
        return changed

    def image(self, address: Pubkey, slot: int) -> tuple[Account | None] | None:
        """How the account was at the end of ``slot``; None when it has not changed since."""
        for each, images in self._before.items():
            if each > slot and address in images:
                return (images[address],)
        return None

    def drop_after(self, slot: int) -> None:
        """A fork: the slots after ``slot`` never were."""
        for each in self.live_between(slot, self._slots[-1]):
            self._forget(each)
            self._before.pop(each, None)
        del self._slots[bisect.bisect_right(self._slots, slot) :]

"""Carries the owner's moves out, exactly once: beside a running daemon, and across kill -9 at any moment.

A move is written down (``move.json``) before it is handed to the outbox, and struck out when its
result has been shown. Whoever types the command again after an interruption so gets the result of the
first, and moves nothing a second time. The outbox is a file of its own: the daemon owns its own.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.errors import program_error
from neurogrid_marketplace.fields import plain
from neurogrid_wallet.errors import PaymentFailed, PaymentTimeout
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.payment import Payment
from neurogrid_wallet.secret_file import read_secret_file, write_secret_file

from .moves import Move, MoveRefused, Refusal

NOTE_FILE = "move.json"
OUTBOX_FILE = "moves.db"

# A transaction of a congested chain is signed anew after a minute or so; two of those.
_PATIENCE_S = 150.0
# For an owner who wonders what was done last month.
_PAYMENTS_KEPT_S = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Note:
    """A move whose result has not been shown yet.

    Attributes:
        payment_id: what it is called in the outbox.
    """

    payment_id: str
    move: Move


class MoveDesk:
    """One command at a time; whoever holds the outbox holds the desk."""

    def __init__(
        self,
        directory: Path,
        outbox: Outbox,
        wallet: Pubkey,
        *,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """
        Args:
            outbox: open and running, and nobody else's.
            patience_s: how long a transaction may stay undecided.
        """
        self._note = directory / NOTE_FILE
        self._outbox = outbox
        self._wallet = wallet
        self._patience_s = patience_s

    async def unfinished(self) -> Move | None:
        """The move that an interrupted command left, if it was begun; strikes out one that was not."""
        note = await trio.to_thread.run_sync(self._read)
        if note is None:
            return None
        if await self._outbox.get(note.payment_id) is None:
            # Noted, and nothing of it was ever signed.
            await self.shown()
            return None
        return note.move

    async def finish(self) -> str:
        """Wait for the result of the move that was left; returns its transaction's signature.

        Raises:
            MoveRefused: the chain refused it, or it is not decided yet.
        """
        note = await trio.to_thread.run_sync(self._read)
        assert note is not None, "there is an unfinished move"
        try:
            return await self._result(note)
        except MoveRefused as error:
            message = f"the `{note.move}` that was interrupted: {error}"
            raise MoveRefused(error.code, message) from error

    async def carry_out(self, move: Move, instructions: Sequence[Instruction]) -> str:
        """Make a move; returns its transaction's signature.

        Raises:
            MoveRefused: the chain refused it, or it is not decided yet.
            WalletError: it can't be signed or stored; nothing was sent.
        """
        note = Note(f"{move.kind}:{os.urandom(8).hex()}", move)
        await trio.to_thread.run_sync(self._write, note)
        await self._outbox.submit(
            note.payment_id,
            instructions,
            self._wallet,
            worth_micro_usdc=move.amount_micro_usdc,
        )
        return await self._result(note)

    async def shown(self) -> None:
        """The result was shown to the owner: the next command is a new one."""
        await trio.to_thread.run_sync(lambda: self._note.unlink(missing_ok=True))
        # Nothing refers to them any more.
        await self._outbox.forget_decided(time.time() - _PAYMENTS_KEPT_S)

    async def _result(self, note: Note) -> str:
        try:
            payment = await self._outbox.confirmed(note.payment_id, self._patience_s)
        except PaymentTimeout as error:
            raise MoveRefused(
                Refusal.NOT_DECIDED, f"{error}. Type the command again: it goes on with this one"
            ) from error
        except PaymentFailed as error:
            await self._certain(error.payment)
            await self.shown()
            raise MoveRefused(Refusal.CHAIN_REFUSED, _reason(error.payment)) from error
        assert payment.signature is not None, "a confirmed payment was signed"
        return payment.signature

    async def _certain(self, failed: Payment) -> None:
        """Wait until a refusal is final: until then the outbox might yet try it again."""
        try:
            await self._outbox.finalized(failed.payment_id, self._patience_s)
        except PaymentFailed:
            return
        except PaymentTimeout as error:
            raise MoveRefused(
                Refusal.NOT_DECIDED, f"{error}. Type the command again: it goes on with this one"
            ) from error

    def _read(self) -> Note | None:
        if not self._note.exists():
            return None
        return msgspec.json.decode(read_secret_file(self._note), type=Note)

    def _write(self, note: Note) -> None:
        # Not a secret; but written whole and durably, and nobody else's business.
        write_secret_file(self._note, msgspec.json.encode(plain(note)), overwrite=True)


def _reason(payment: Payment) -> str:
    failure = payment.failure
    number = failure.custom_program_error if failure is not None else None
    known = program_error(number) if number is not None else None
    return f"the program refused it: {known}" if known else f"the chain refused it: {failure}"

"""What every command that pays for something is told: where, with whose keys, and how freely."""

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from solders.instruction import Instruction

from neurogrid_contracts.cli.cluster import Cluster
from neurogrid_contracts.cli.steps import steps_in
from neurogrid_contracts.terminal.keys import load_key
from neurogrid_contracts.terminal.output import note
from neurogrid_wallet.chain import Commitment
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Payment
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import ComputeBudget

# Ten minutes: whoever was interrupted types the command again by then.
LATELY_SLOTS: Final = 1_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """The options of the command line; see their help."""

    url: str
    genesis_hash: str | None
    payer_file: Path
    authority_file: Path | None
    passphrase_file: Path | None
    unit_price: int
    yes: bool
    as_json: bool
    state_folder: Path

    def keys(self) -> tuple[KeyPair, KeyPair]:
        """The payer's and the authority's key."""
        payer = load_key(self.payer_file, self.passphrase_file)
        if self.authority_file is None:
            return payer, payer
        return payer, load_key(self.authority_file, self.passphrase_file)


async def send(
    rpc: Rpc,
    cluster: Cluster,
    instructions: Sequence[Instruction],
    *,
    state_folder: Path,
    payer: KeyPair,
    keys: Iterable[KeyPair],
    budget: ComputeBudget,
    repeatable: bool = False,
) -> Payment:
    """Try one transaction out, then have it confirmed.

    The same instructions, given again after an interruption, are the same transaction: what adds to
    an amount is not added twice. They are a new one after the first was confirmed, and also when
    it turns out to have landed too long ago to be what is meant now.

    Args:
        repeatable: doing it twice is harmless, and believing that it was done is not: it is never
            taken for done.

    Raises:
        CommandError: the chain would refuse it.
        PaymentFailed, PaymentTimeout: as ``Outbox.confirmed``.
    """
    said = hashlib.sha256(b"".join(bytes(instruction) for instruction in instructions)).hexdigest()
    folder = state_folder / f"{cluster.genesis_hash[:8]}-{said[:16]}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    outbox = folder / "outbox.sqlite"
    async with steps_in(outbox, rpc, cluster, payer=payer, keys=keys, budget=budget) as steps:
        landed, name = await steps.caught_up("step")
        if landed is not None and not repeatable and await _landed_lately(rpc, landed):
            note(f"an interrupted run had sent this already: {landed.signature}")
        else:
            await steps.check(instructions)
            landed = await steps.run(name, instructions)
        # Nothing will be known of this transaction any more when the command is typed again.
        await steps.until_signed_anew()
    shutil.rmtree(folder)
    return landed


async def _landed_lately(rpc: Rpc, payment: Payment) -> bool:
    now = await rpc.position(Commitment.CONFIRMED)
    return now.slot - (payment.landed_slot or 0) <= LATELY_SLOTS

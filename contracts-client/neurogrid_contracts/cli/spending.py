"""What every command that pays for something is told: where, with whose keys, and how freely."""

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from solders.instruction import Instruction

from neurogrid_contracts.cli.cluster import Cluster
from neurogrid_contracts.cli.keys import load_key
from neurogrid_contracts.cli.steps import steps_in
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Payment
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import ComputeBudget


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
) -> Payment:
    """Try one transaction out, then have it confirmed.

    The same instructions, given again after an interruption, are the same transaction: what adds to
    an amount is not added twice. Given again after it was confirmed, they are a new one.

    Raises:
        CommandError: the chain would refuse it.
        PaymentFailed, PaymentTimeout: as ``Outbox.confirmed``.
    """
    said = hashlib.sha256(b"".join(bytes(instruction) for instruction in instructions)).hexdigest()
    folder = state_folder / f"{cluster.genesis_hash[:8]}-{said[:16]}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    outbox = folder / "outbox.sqlite"
    async with steps_in(outbox, rpc, cluster, payer=payer, keys=keys, budget=budget) as steps:
        confirmed = await steps.settle("step")
        if confirmed is None:
            await steps.check(instructions)
            confirmed = await steps.run("step", instructions)
    shutil.rmtree(folder)
    return confirmed

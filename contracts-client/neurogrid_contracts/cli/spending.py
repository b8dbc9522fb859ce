"""What every command that pays for something is told: where, with whose keys, and how freely."""

import tempfile
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
    payer: KeyPair,
    keys: Iterable[KeyPair],
    budget: ComputeBudget,
) -> Payment:
    """Try one transaction out, then have it confirmed.

    Only for what may be said twice: an interrupted command forgets that it was said.

    Raises:
        CommandError: the chain would refuse it.
        PaymentFailed, PaymentTimeout: as ``Outbox.confirmed``.
    """
    with tempfile.TemporaryDirectory() as folder:
        outbox = Path(folder) / "outbox.sqlite"
        async with steps_in(outbox, rpc, cluster, payer=payer, keys=keys, budget=budget) as steps:
            await steps.check(instructions)
            return await steps.run("step", instructions)

"""Putting a program on a chain, as one undertaking: its keys and files, its costs, its steps.

It goes on where it was interrupted: the same command finds the same folder, in which are the keys
that it made and what it has signed.
"""

import hashlib
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.cli import deploying
from neurogrid_contracts.cli.cluster import Cluster, confirm_spending, connected
from neurogrid_contracts.cli.program_reading import address
from neurogrid_contracts.cli.spending import Spending
from neurogrid_contracts.cli.steps import Steps, steps_in
from neurogrid_contracts.terminal.keys import load_key
from neurogrid_contracts.terminal.output import note, print_fields
from neurogrid_wallet.errors import SecretFileExists
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Payment
from neurogrid_wallet.rpc import Rpc

_BUFFER_KEY, _OUTBOX = "buffer.json", "outbox.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Spending):
    """What the command line asked for; see the options' help."""

    elf_file: Path | None
    buffer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undertaking:
    """One program on its way to one chain.

    Attributes:
        elf: the program.
        payer, authority: who pays, and who may write the buffer and change the program.
        folder: this undertaking's files, readable by their owner alone; removed when all is final.
        buffer: the buffer's address.
        buffer_key: its key, needed only to create it; None for one that exists.
    """

    asked: Asked
    rpc: Rpc
    cluster: Cluster
    elf: bytes
    payer: KeyPair
    authority: KeyPair
    folder: Path
    buffer: Pubkey
    buffer_key: KeyPair | None

    @property
    def authority_id(self) -> Pubkey:
        return Pubkey(self.authority.public_key)

    @property
    def fees_lamports(self) -> int:
        """What all transactions cost at most: each write, and three more; up to three signatures."""
        transactions = len(deploying.chunks_of(self.elf)) + 3
        priority_fee = -(-deploying.UNIT_LIMIT * self.asked.unit_price // 10**6)
        return transactions * (3 * deploying.LAMPORTS_PER_SIGNATURE + priority_fee)

    async def announce(self, plan: dict[str, str], *, spent_lamports: int, question: str) -> None:
        """Show what will happen and what it costs, check that it is covered, and ask.

        Args:
            spent_lamports: all of it; what an earlier run has put into the buffer is not paid again.
        """
        if not self.asked.as_json:
            cluster = f"{self.cluster.name} ({self.cluster.genesis_hash})"
            shown = {"cluster": cluster, "payer": self.payer.address}
            print_fields((shown | plan).items(), err=True)
        held_lamports = await self.rpc.sol_balance(self.buffer)
        payer = Pubkey(self.payer.public_key)
        await deploying.require_funds(self.rpc, payer, spent_lamports - held_lamports)
        asked = self.asked
        confirm_spending(self.cluster, question, yes=asked.yes, as_json=asked.as_json)

    @asynccontextmanager
    async def steps(self, *keys: KeyPair) -> AsyncIterator[Steps]:
        """The steps' outbox at work, with these keys beside its own."""
        own = [self.authority] if self.buffer_key is None else [self.authority, self.buffer_key]
        async with steps_in(
            self.folder / _OUTBOX,
            self.rpc,
            self.cluster,
            payer=self.payer,
            keys=[*own, *keys],
            budget=deploying.budget(self.asked.unit_price),
        ) as steps:
            yield steps

    async def write_buffer(self, steps: Steps) -> None:
        """Have the whole program in the buffer."""
        await deploying.write_buffer(
            self.rpc, steps, address=self.buffer, authority=self.authority_id, elf=self.elf
        )

    async def put_into_use(
        self, steps: Steps, name: str, instructions: Sequence[Instruction], doing: str
    ) -> Payment:
        """The step that takes the code out of the buffer.

        Raises:
            CommandError: the chain would refuse it; says how to get the buffer's rent back.
        """
        hint = f"close-buffer {self.buffer} returns the buffer's rent."
        await steps.check(instructions, hint=hint)
        note(doing)
        return await steps.run(name, instructions)

    def clear(self) -> None:
        """Everything is final: nothing in the folder is of use any more."""
        shutil.rmtree(self.folder)


@asynccontextmanager
async def undertaking(asked: Asked, what: str, elf: bytes) -> AsyncIterator[Undertaking]:
    """Connect, and find this undertaking's folder: the same one each time it is begun again.

    Args:
        what: tells it from others with the same program on the same chain.
        elf: the program.

    Raises:
        CommandError: another cluster answers.
        WalletError: a key cannot be loaded.
    """
    payer, authority = asked.keys()
    async with connected(asked.url, asked.genesis_hash) as (rpc, cluster):
        folder = _folder(asked, cluster, what, elf)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        buffer, buffer_key = _buffer(asked, folder)
        yield Undertaking(
            asked=asked,
            rpc=rpc,
            cluster=cluster,
            elf=elf,
            payer=payer,
            authority=authority,
            folder=folder,
            buffer=buffer,
            buffer_key=buffer_key,
        )


def _folder(asked: Asked, cluster: Cluster, what: str, elf: bytes) -> Path:
    name = f"{cluster.genesis_hash[:8]}-{what}-{hashlib.sha256(elf).hexdigest()[:12]}"
    if asked.buffer is not None:
        name += f"-{hashlib.sha256(asked.buffer.encode()).hexdigest()[:8]}"
    return asked.state_folder / name


def _buffer(asked: Asked, folder: Path) -> tuple[Pubkey, KeyPair | None]:
    if asked.buffer is None:
        key = kept_key(folder / _BUFFER_KEY)
    elif Path(asked.buffer).exists():
        key = load_key(Path(asked.buffer), asked.passphrase_file)
    else:
        return address(asked.buffer), None
    return Pubkey(key.public_key), key


def kept_key(path: Path) -> KeyPair:
    """The key of an undertaking, made the first time; on disk before anything is paid."""
    try:
        key = KeyPair.generate()
        key.write_solana_file(path)
    except SecretFileExists:
        key = KeyPair.read_solana_file(path)
    return key

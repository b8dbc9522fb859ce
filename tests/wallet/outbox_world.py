"""An outbox over a chain that loses requests and replies, drops forks and forgets."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox, OutboxPolicy
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import SignerSource, signers_from
from wallet.fake_chain import FakeChain
from wallet.fake_rpc import Answer, serve

KEY = KeyPair(b"k" * 32)
PAYER = Pubkey(KEY.public_key)
PROGRAM = Pubkey(b"p" * 32)
PATIENT = 10.0
QUICK = OutboxPolicy(poll_first_s=0.002, poll_max_s=0.01, check_interval_s=0.01)


def pay(text: str) -> list[Instruction]:
    """Something to be done once; the fake chain counts it by its data."""
    return [Instruction(PROGRAM, text.encode(), [])]


@dataclass
class World:
    """One chain and one outbox file, over several lives of the process that uses them."""

    chain: FakeChain
    path: Path
    backend: str
    policy: OutboxPolicy = QUICK
    signers: SignerSource = field(default_factory=lambda: signers_from([KEY]))
    line: Callable[[Answer], Answer] = lambda answer: answer
    """What stands between the chain and the outbox."""

    def live(self, life: Callable[[Outbox], Awaitable[None]], *, running: bool = True) -> None:
        """One life of a process; it ends without a chance to tidy up."""

        async def main() -> None:
            async with self._outbox(running) as outbox:
                await life(outbox)

        anyio.run(main, backend=self.backend)

    @asynccontextmanager
    async def _outbox(self, running: bool) -> AsyncIterator[Outbox]:
        async with (
            serve(self.line(self.chain.answer)) as url,
            Rpc(url, timeout_s=PATIENT) as rpc,
            Outbox(self.path, rpc=rpc, signers=self.signers, policy=self.policy) as outbox,
            anyio.create_task_group() as tasks,
        ):
            if running:
                tasks.start_soon(outbox.run)
            yield outbox
            tasks.cancel_scope.cancel()


def attempts(chain: FakeChain) -> int:
    return len(set(chain.sent))

"""Transactions of one undertaking, each of which happens once however often it is interrupted.

The outbox keeps what was signed in a file. A step that is run again under its name is the same
step: it is found there, and waited for, and never paid a second time. Only after a step has
provably failed is its name used for another attempt.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.cli.cluster import Cluster
from neurogrid_contracts.cli.errors import CommandError
from neurogrid_contracts.errors import program_error
from neurogrid_wallet.errors import PaymentFailed
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox, OutboxPolicy, Payment, PaymentState
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import (
    ComputeBudget,
    build_transaction,
    required_signers,
    signers_from,
)

# A transaction of a congested chain is signed anew after a minute or so; three of those.
STEP_TIMEOUT_S: Final = 240.0
_ATTEMPTS_MAX: Final = 100
# A slot takes 0.4 s. A chain that stands still for so long includes nothing anyway.
_NEW_BLOCKHASH_LIMIT_S: Final = 10.0
_NEW_BLOCKHASH_LOOK_S: Final = 0.1
# Public endpoints allow 40 calls of one method in 10 s.
_PUBLIC: Final = OutboxPolicy(poll_first_s=0.5, poll_max_s=2.0, in_flight_max=32, sends_max=4)
_LOCAL: Final = OutboxPolicy(check_interval_s=0.2, in_flight_max=64)


class Steps:
    """Runs transactions, all paid by one key.

    Attributes:
        payer: who pays.
    """

    def __init__(
        self,
        rpc: Rpc,
        outbox: Outbox,
        payer: Pubkey,
        keys: Sequence[KeyPair],
        budget: ComputeBudget,
    ) -> None:
        self.payer = payer
        self._rpc = rpc
        self._outbox = outbox
        self._signers = signers_from(keys)
        self._budget = budget

    async def caught_up(self, name: str) -> tuple[Payment | None, str]:
        """Wait for what earlier runs began under a name.

        Look at the chain after it: if the step is still to be done, it is another one.

        Returns: the last transaction that landed, and the name for another.
        """
        landed = None
        while (payment := await self._latest(name)) is not None:
            try:
                landed, name = await self._wait(payment.payment_id), f"{name}+"
            except PaymentFailed:
                break
        return landed, name

    async def run(self, name: str, instructions: Sequence[Instruction]) -> Payment:
        """Have the step confirmed, whichever run of the command began it.

        Raises:
            PaymentFailed: the chain refused it.
            PaymentTimeout: it is not decided yet.
        """
        latest = await self._latest(name)
        if latest is not None:
            try:
                return await self._wait(latest.payment_id)
            except PaymentFailed:
                # It was signed for the chain as an earlier run saw it; now is another attempt.
                latest = await self._latest(name)
        payment_id = _attempt(name, 1 if latest is None else _number(latest.payment_id) + 1)
        await self._outbox.submit(payment_id, instructions, self.payer, compute=self._budget)
        return await self._wait(payment_id)

    async def run_all(self, steps: Iterable[tuple[str, Sequence[Instruction]]]) -> None:
        """Have several independent steps confirmed, as many at a time as the outbox allows."""
        async with anyio.create_task_group() as tasks:
            for name, instructions in steps:
                tasks.start_soon(self.run, name, instructions)

    async def finalized(self, payment: Payment) -> None:
        """Wait until a step cannot be undone any more."""
        await self._outbox.finalized(payment.payment_id, STEP_TIMEOUT_S)

    async def until_signed_anew(self) -> None:
        """Wait until what is signed next is signed over another blockhash than anything before.

        The same instructions over the same blockhash are the same bytes, which the chain executes once and reports as
        done twice. It takes a slot; a chain that stands still is not waited for.
        """
        before = (await self._rpc.latest_blockhash()).blockhash
        with anyio.move_on_after(_NEW_BLOCKHASH_LIMIT_S):
            while (await self._rpc.latest_blockhash()).blockhash == before:  # noqa: ASYNC110 - nobody tells of one
                await anyio.sleep(_NEW_BLOCKHASH_LOOK_S)

    async def refusal(self, instructions: Sequence[Instruction]) -> str | None:
        """Why the chain would refuse these instructions now, with the program's words; or None."""
        signers = self._signers(required_signers(instructions, self.payer))
        blockhash = await self._rpc.latest_blockhash()
        transaction = build_transaction(
            self._budget.around(instructions), self.payer, signers, blockhash.blockhash
        )
        simulation = await self._rpc.simulate(transaction)
        if simulation.failure is None:
            return None
        refused = program_error(simulation.failure.custom_program_error or 0)
        if refused is not None:
            return str(refused)
        words = [line for line in simulation.logs if not line.endswith("invoke [1]")]
        return f"{simulation.failure}" + "".join(f"\n  {line}" for line in words[-4:])

    async def check(self, instructions: Sequence[Instruction], *, hint: str = "") -> None:
        """Try instructions out before anything is paid for them.

        Args:
            hint: what to do if they would be refused.

        Raises:
            CommandError: the chain would refuse them.
        """
        if refusal := await self.refusal(instructions):
            raise CommandError(f"the chain would refuse it: {refusal}", hint=hint)

    async def _wait(self, payment_id: str) -> Payment:
        try:
            return await self._outbox.confirmed(payment_id, STEP_TIMEOUT_S)
        except PaymentFailed as error:
            if error.payment.state is not PaymentState.FAILED:
                # Confirmed and refused: wait until that is certain, so that the next run may retry.
                await self._outbox.finalized(payment_id, STEP_TIMEOUT_S)
            raise

    async def _latest(self, name: str) -> Payment | None:
        found = None
        for number in range(1, _ATTEMPTS_MAX):
            payment = await self._outbox.get(_attempt(name, number))
            if payment is None:
                return found
            found = payment
        raise CommandError(
            f"{name} has failed {_ATTEMPTS_MAX - 1} times: start with another --state"
        )


def _attempt(name: str, number: int) -> str:
    return f"{name}#{number}"


def _number(payment_id: str) -> int:
    return int(payment_id.rpartition("#")[2])


@asynccontextmanager
async def steps_in(
    path: Path,
    rpc: Rpc,
    cluster: Cluster,
    *,
    payer: KeyPair,
    keys: Iterable[KeyPair],
    budget: ComputeBudget,
) -> AsyncIterator[Steps]:
    """Open the outbox at ``path``, and carry out what is in it for as long as this is open.

    Raises:
        OutboxInUse: the same undertaking is under way in another process.
    """
    held = [payer, *keys]
    policy = _LOCAL if cluster.is_local else _PUBLIC
    async with (
        Outbox(path, rpc=rpc, signers=signers_from(held), policy=policy) as outbox,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(outbox.run)
        yield Steps(rpc, outbox, Pubkey(payer.public_key), held, budget)
        tasks.cancel_scope.cancel()

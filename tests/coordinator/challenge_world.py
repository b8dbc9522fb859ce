"""A coordinator that challenges nodes: its real store and rules, and a node that answers as told, with real signatures."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from coordinator.api_world import TERMS, USDC, Customer, World, node_view, open_world
from coordinator.records import wallet
from marketplace.challenge_reference import TERMS as CHALLENGE_TERMS
from marketplace.challenge_reference import as_bytes, honest_answer
from marketplace.keys import Person, person
from neurogrid_coordinator.services.balances import Balances
from neurogrid_coordinator.services.tasks import Tasks
from neurogrid_coordinator.store import challenges, evidence, findings, leases
from neurogrid_coordinator.store.challenges import ChallengeRow, Reason
from neurogrid_coordinator.store.findings import StoredFinding
from neurogrid_coordinator.trust.challenge_settings import ChallengeSettings
from neurogrid_coordinator.trust.challenger import Challenger
from neurogrid_marketplace.auction import RankedBid
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.challenge import CHALLENGE_IMAGE, Challenge
from neurogrid_marketplace.challenge_arithmetic import TILE_BYTES
from neurogrid_marketplace.envelope import seal
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import (
    Accept,
    Award,
    Event,
    EventKind,
    Message,
    Result,
    to_body,
    type_name,
)
from neurogrid_marketplace.money import cost_micro_usdc
from neurogrid_marketplace.resources import Capacity
from neurogrid_marketplace.task import Lease
from neurogrid_marketplace.task_events import (
    Accepted,
    AuctionClosed,
    Due,
    EscrowOpened,
    Finished,
    OutputsChecked,
    Started,
)

NETWORK = "ng-0123456789abcdef"
NODE, OTHER, COORDINATOR = person("challenged"), person("other"), person("coordinator")
_GIB = 1024**3
# Thirty tiles: what a test works out in no time.
_TOTAL = Capacity(2000, (64 << 20) + 34 * TILE_BYTES, 100 * _GIB)


class ChallengeWorld:
    """A world, an account that pays for challenges, and a node that may be challenged."""

    def __init__(self, world: World, payer: Customer) -> None:
        self.world = world
        self.payer = payer
        self.settings = ChallengeSettings(
            account_id=payer.account.id,
            image=CHALLENGE_IMAGE,
            terms=CHALLENGE_TERMS,
            price_micro_usdc_per_hour=2 * USDC,
            per_day=1,
            budget_micro_usdc_per_day=USDC,
        )
        self.found_out: list[str] = []

    def challenger(self, **changes: Any) -> Challenger:
        """One that has just been started."""
        world = self.world
        return Challenger(
            replace(self.settings, **changes),
            database=world.database,
            tasks=Tasks(
                database=world.database,
                feed=world.feed,
                terms=TERMS,
                explain=world.market.explain,
                may_return=world.nodes.may_return,
                balances=Balances(world.database, world.chain.funds),
                wake=lambda _: None,
                request_cancel=lambda _: _never(),
            ),
            blobs=world.blobs,
            offer_of=world.nodes.offer,
            connected=world.nodes.connected_ids,
            secret=b"secret",
            sign=COORDINATOR.sign,
            network=NETWORK,
            coordinator=COORDINATOR.peer_id,
            found_out=self.found_out.append,
            now_ms=lambda: world.now_ms,
        )

    async def join(self, node: Person = NODE, **changes: Any) -> None:
        """A node comes."""
        values = {"node_id": node.peer_id, "total": _TOTAL, "free": _TOTAL} | changes
        view = node_view("one", **values)
        self.world.market.views.append(view)
        await self.world.nodes.on_node(node.peer_id, "joined", view)

    async def ask(self, node: Person = NODE) -> str:
        """What the command does."""
        return await self.world.database.write(
            challenges.ask, node.peer_id, Reason.BY_HAND, 0, self.world.now_ms
        )

    async def row(self, challenge_id: str) -> ChallengeRow:
        found = await self.world.database.read(challenges.get, challenge_id)
        assert found is not None
        return found

    async def evidence(self, challenge_id: str) -> bytes | None:
        return await self.world.database.read(challenges.evidence, challenge_id)

    async def findings(self) -> list[StoredFinding]:
        return await self.world.database.read(findings.of_node, NODE.peer_id)

    async def begun(self, challenger: Challenger) -> tuple[str, Challenge, str]:
        """A challenge by hand whose task is running: its id, itself, the task."""
        challenge_id = await self.ask()
        await challenger.look()
        row = await self.row(challenge_id)
        assert row.challenge is not None, row.note
        assert row.task_id is not None, row.note
        await self.start(row.task_id)
        return challenge_id, row.challenge, row.task_id

    async def start(self, task_id: str) -> Lease:
        """The task's lease is awarded, accepted, funded and running; signed by both."""
        world = self.world
        task = await world.step(task_id, Due(world.now_ms))
        demand = demand_of(task)
        bid = Bid(demand.demand_id, demand.hash(), 360_000, 100, 2**50, wallet("one"))
        ranked = RankedBid(NODE.peer_id, bid, "b" * 64, 360_000, 360_000)
        task = await world.step(task_id, AuctionClosed(demand.demand_id, (ranked,), ""))
        lease = task.lease
        assert lease is not None
        award = Award(
            lease.lease_id,
            demand.demand_id,
            demand.hash(),
            "b" * 64,
            (),
            360_000,
            cost_micro_usdc(360_000, demand.timeout_s * 1000),
            demand.timeout_s,
            30,
            demand.job_hash,
        )
        accept = Accept(lease.lease_id, award.hash())
        await self._keep(lease.lease_id, COORDINATOR, NODE, award)
        await self._keep(lease.lease_id, NODE, COORDINATOR, accept)
        self._previous = accept.hash()
        await world.step(task_id, Accepted(lease.lease_id))
        await world.database.write(
            leases.save_escrow, lease.lease_id, wallet("escrow"), 1, "5" * 88, world.now_ms
        )
        await world.step(task_id, EscrowOpened(lease.lease_id))
        running = (await world.step(task_id, Started(lease.lease_id, world.now_ms))).lease
        assert running is not None
        return running

    async def finish(
        self,
        task_id: str,
        answer: bytes | None,
        *,
        after_ms: int = 0,
        outcome: Outcome = Outcome.COMPLETED,
        exit_code: int = 0,
    ) -> None:
        """The node ends the run, with this answer file."""
        world = self.world
        outputs: tuple[OutputFile, ...] = ()
        if answer is not None:
            outputs = (await world.upload(task_id, "answer.json", answer),)
        result = Result(outcome, exit_code, "", metered_ms=5, outputs=outputs)
        lease = (await world.state(task_id)).lease
        assert lease is not None
        event = Event(lease.lease_id, 0, EventKind.FINISHED, 1, self._previous, result)
        await self._keep(lease.lease_id, NODE, COORDINATOR, event)
        world.now_ms += after_ms
        task = await world.step(task_id, Finished(lease.lease_id, result))
        if task.phase.value == "verifying":
            await world.step(task_id, OutputsChecked(lease.lease_id))

    async def _keep(self, lease_id: str, sender: Person, to: Person, message: Message) -> None:
        envelope = seal(
            sender.sign,
            network=NETWORK,
            type=type_name(message),
            sender=sender.peer_id,
            recipient=to.peer_id,
            session="s",
            sequence=0,
            sent_at_ms=1,
            body=to_body(message),
        )
        await self.world.database.write(evidence.append, lease_id, envelope)


async def _never() -> Any:
    raise AssertionError("challenges are not cancelled")


def honest(challenge: Challenge) -> bytes:
    """The right answer."""
    return as_bytes(honest_answer(challenge))


def guessed(challenge: Challenge) -> bytes:
    """An answer by who has worked out nothing."""
    answer = honest_answer(challenge)
    for device in answer["devices"]:
        count = len(device["numbers"]) // 64 + 1
        guess = hashlib.sha256(b"guess").hexdigest() * count
        device["numbers"] = guess[: len(device["numbers"])]
    return as_bytes(answer)


@asynccontextmanager
async def open_challenge_world(folder: Path) -> AsyncGenerator[ChallengeWorld]:
    """With one node that may be challenged."""
    async with open_world(folder) as world:
        for view in list(world.market.views):
            await world.nodes.on_node(view.offer.node_id, "left", view)
        world.market.views.clear()
        made = ChallengeWorld(world, await world.customer("payer"))
        await made.join()
        yield made

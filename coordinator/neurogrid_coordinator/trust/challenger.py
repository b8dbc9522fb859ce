"""Challenges nodes: the asyncio shell around marketplace `challenge`.

Each step is stored before the next is taken, and all that follows from one (seed, task, lot) is derived from
the challenge's id: after a kill at any moment it goes on where it was, with one task and one finding in all.
"""

import asyncio
import hmac
import logging
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import Connection

from neurogrid_marketplace.challenge import CPU, Challenge, plan_challenge
from neurogrid_marketplace.challenge_answer import (
    FINDINGS,
    Mark,
    answer_bytes_max,
    answer_file_of,
    judge_answer,
)
from neurogrid_marketplace.challenge_evidence import Statement, build_evidence
from neurogrid_marketplace.conditions import Clause, Condition, Operator
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.fields import decode
from neurogrid_marketplace.messages import Event, Result
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.reputation import Finding
from neurogrid_marketplace.task import TERMINAL
from neurogrid_telemetry import log_lines

from ..files.artifacts import BlobStore, content
from ..log_events import CoordinatorEvent
from ..services.errors import Refused, Unavailable
from ..services.submission import Submission
from ..services.tasks import Tasks
from ..store import accounts, challenges, events, evidence, findings, leases, tasks
from ..store.challenges import ChallengeRow, Reason, Stage
from ..store.database import Database, Overloaded
from .challenge_settings import ChallengeSettings

_log = logging.getLogger(__name__)

LOOK_S = 1.0
# How often it is thought about whom to challenge.
ISSUE_S = 60.0
# Challenges at a time; more wait. Those by lot wait for all others.
_OPEN_MAX = 16
# A node that is not here for so long, or cannot be asked, is not asked.
_PATIENCE_MS = 60_000
# How long a challenge waits until the node is free: all of it is needed.
_QUEUE_S = 60
# Nobody is drawn again within this.
_PAUSE_MS = 3_600_000
_DAY_MS = 24 * 3_600_000
# What a challenge would cost does not hang on its id.
_NO_CHALLENGE = "challenge_" + "0" * 32
_ANSWERED = frozenset({"task.verifying", "task.completed", "task.failed"})


@dataclass(frozen=True, slots=True)
class _Run:
    """How a challenge's job ended, as far as the node has signed it."""

    task_id: str
    lease_id: str
    image: str
    result: Result
    envelopes: tuple[Envelope, ...]
    sent_at_ms: int
    answered_at_ms: int


class Challenger:
    """Challenges nodes, one step after another.

    Args:
        secret: what seeds and lots are derived from.
        offer_of: what a connected node offers; connected: all of them.
        sign: with the coordinator's identity.
        found_out: told of each node about which a finding was stored.
    """

    def __init__(
        self,
        settings: ChallengeSettings,
        *,
        database: Database,
        tasks: Tasks,
        blobs: BlobStore,
        offer_of: Callable[[str], Offer | None],
        connected: Callable[[], Collection[str]],
        secret: bytes,
        sign: Callable[[bytes], bytes],
        network: str,
        coordinator: str,
        found_out: Callable[[str], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._database = database
        self._tasks = tasks
        self._blobs = blobs
        self._offer_of = offer_of
        self._connected = connected
        self._secret = secret
        self._sign = sign
        self._network = network
        self._coordinator = coordinator
        self._found_out = found_out
        self._now_ms = now_ms
        self._watching_since_ms = now_ms()
        self._random = random.SystemRandom()

    async def run(self) -> None:
        """Challenge nodes for ever; cancel it to stop."""
        loop = asyncio.get_running_loop()
        issue_at_s = loop.time() + ISSUE_S
        while True:
            try:
                if loop.time() >= issue_at_s:
                    issue_at_s = loop.time() + ISSUE_S
                    await self.issue()
                await self.look()
            except (Overloaded, Unavailable) as error:
                _log.warning("challenges wait: %s", error)
            await asyncio.sleep(LOOK_S)

    async def issue(self) -> None:
        """Ask a node that nobody has asked for: a new one first, else one by lot."""
        settings = self._settings
        if not settings.per_day or not settings.account_id:
            return
        now_ms = self._now_ms()
        asked = await self._database.read(challenges.newest_asked)
        # What can't be challenged at all is no candidate, or it would be the new one for ever.
        costs = {
            node_id: settings.max_cost_micro_usdc(planned)
            for node_id in sorted(self._connected())
            if isinstance(planned := self._plan(node_id, _NO_CHALLENGE), Challenge)
        }
        new = [node_id for node_id in costs if node_id not in asked]
        chance = settings.per_day * ISSUE_S / 86_400
        drawn = [
            node_id
            for node_id in costs
            if now_ms - asked.get(node_id, now_ms) >= _PAUSE_MS and self._random.random() < chance
        ]
        if not new and not drawn:
            return
        node_id = self._random.choice(new or drawn)
        reason = Reason.NEW if new else Reason.DRAWN
        cost = costs[node_id]

        def ask(conn: Connection) -> bool:
            if challenges.open_ones(conn, 1):
                return False
            spent = challenges.max_cost_since(conn, now_ms - _DAY_MS)
            if spent + cost > settings.budget_micro_usdc_per_day:
                return False
            challenges.ask(conn, node_id, reason, cost, now_ms)
            return True

        await self._database.write(ask)

    async def look(self) -> None:
        """Take every challenge that has not ended as far as it goes."""
        for row in await self._database.read(challenges.open_ones, _OPEN_MAX):
            try:
                await self._move(row)
            except (Overloaded, Unavailable):
                raise
            except Exception:  # noqa: BLE001 - the boundary of one challenge: others go on
                _log.exception("challenge %s cannot go on; it is tried again", row.id)

    async def _move(self, row: ChallengeRow) -> None:
        if row.state is Stage.ASKED:
            planned = self._plan(row.node_id, row.id)
            if isinstance(planned, str):
                if row.reason is not Reason.BY_HAND or self._is_old(row):
                    await self._end(row, planned)
                return
            cost = self._settings.max_cost_micro_usdc(planned)
            await self._database.write(challenges.plan, planned, cost)
            await self._submit(row, planned)
        elif row.state is Stage.PLANNED:
            assert row.challenge is not None, "it is planned"
            await self._submit(row, row.challenge)
        elif row.task_id is not None:
            assert row.challenge is not None, "it is planned"
            await self._judge(row, row.challenge, row.task_id)

    def _plan(self, node_id: str, challenge_id: str) -> Challenge | str:
        """What a node is asked, or in words why it is not."""
        offer = self._offer_of(node_id)
        if offer is None:
            return "it is not connected"
        seed = hmac.digest(self._secret, f"seed {challenge_id}".encode(), "sha256").hex()
        try:
            return plan_challenge(offer, challenge_id, seed, self._settings.terms)
        except InvalidValue as error:
            return str(error)

    async def _submit(self, row: ChallengeRow, challenge: Challenge) -> None:
        account = await self._database.read(accounts.get, self._settings.account_id)
        if account is None:
            await self._end(row, "nobody pays: trust.challenge_account names no account")
            return
        try:
            detail, _ = await self._tasks.submit(account, self._wanted(challenge))
        except Unavailable as error:
            if self._is_old(row):
                await self._end(row, error.message)
            return
        except Refused as error:
            await self._end(row, error.message)
            return
        await self._database.write(challenges.run, row.id, detail.row.id)

    def _wanted(self, challenge: Challenge) -> Submission:
        job = challenge.job(self._settings.image)
        node = Clause((Condition("node.id", Operator.EQUAL, (challenge.node_id,)),))
        return Submission(
            image=job.image,
            max_price_micro_usdc_per_hour=self._settings.price_micro_usdc_per_hour,
            timeout_s=self._settings.timeout_s(challenge),
            requirements=challenge.requirements(),
            queue_timeout_s=_QUEUE_S,
            name="challenge",
            kind="cpu" if challenge.devices[0].uuid == CPU else "gpu",
            command=job.command,
            where=(node,),
            idempotency_key=challenge.challenge_id,
        )

    async def _judge(self, row: ChallengeRow, challenge: Challenge, task_id: str) -> None:
        found = await self._database.read(_run_of, task_id)
        if found is None:
            return
        if isinstance(found, str):
            await self._end(row, found)
            return
        answer = await self._answer(challenge, found.result)
        named = answer_file_of(found.result)
        if answer is None and named is not None and named[1] <= answer_bytes_max(challenge):
            # A failed run, and known as one; what the answer was, nobody can check.
            await self._end(row, "the answer that it named was not uploaded")
            return
        lot = self._lot(row.id, found.result)
        judged = await asyncio.to_thread(
            judge_answer,
            challenge,
            found.result,
            answer,
            elapsed_ms=found.answered_at_ms - found.sent_at_ms,
            lot=lot,
        )
        if judged.mark is Mark.INCONCLUSIVE:
            await self._end(row, judged.reason)
            return
        if judged.mark is Mark.LATE and found.sent_at_ms < self._watching_since_ms:
            # Whether the node or we were late, nobody can tell.
            await self._end(row, "the coordinator was away while it ran")
            return
        statement = Statement(
            network=self._network,
            coordinator=self._coordinator,
            task_id=task_id,
            lease_id=found.lease_id,
            challenge=challenge,
            image=found.image,
            sent_at_ms=found.sent_at_ms,
            answered_at_ms=found.answered_at_ms,
            lot=lot,
            mark=judged.mark,
            reason=judged.reason,
            answer=None if answer is None else answer.decode("latin-1"),
        )
        data = await asyncio.to_thread(build_evidence, self._sign, statement, found.envelopes)
        digest = sha256(data).hexdigest()
        now_ms = self._now_ms()

        def store(conn: Connection) -> bool:
            if not challenges.end(conn, row.id, judged.mark, judged.reason, now_ms):
                return False
            challenges.keep_evidence(conn, row.id, row.node_id, digest, data)
            return findings.add(
                conn,
                row.node_id,
                Finding(FINDINGS[judged.mark], now_ms),
                lease_id=found.lease_id,
                details={
                    "challenge_id": row.id,
                    "mark": judged.mark.value,
                    "reason": judged.reason,
                    "evidence_sha256": digest,
                },
            )

        if await self._database.write(store):
            self._found_out(row.node_id)
        _log.info(
            "challenge %s of %s: %s, %s",
            *(row.id, row.node_id, judged.mark, judged.reason),
            extra=log_lines.named(CoordinatorEvent.CHALLENGE_MARKED, mark=judged.mark),
        )

    async def _answer(self, challenge: Challenge, result: Result) -> bytes | None:
        named = answer_file_of(result)
        if named is None or named[1] > answer_bytes_max(challenge):
            return None
        return await content(self._blobs, named[0], answer_bytes_max(challenge))

    def _lot(self, challenge_id: str, result: Result) -> str:
        """Not known before the answer, and none other afterwards."""
        named = answer_file_of(result)
        text = f"lot {challenge_id} {named[0] if named else ''}"
        return hmac.digest(self._secret, text.encode(), "sha256").hex()

    async def _end(self, row: ChallengeRow, why: str) -> None:
        """It says nothing about the node."""
        await self._database.write(
            challenges.end, row.id, Mark.INCONCLUSIVE, why[:500], self._now_ms()
        )
        _log.info("challenge %s of %s: inconclusive, %s", row.id, row.node_id, why)

    def _is_old(self, row: ChallengeRow) -> bool:
        return self._now_ms() - row.asked_at_ms > _PATIENCE_MS


def _run_of(conn: Connection, task_id: str) -> _Run | str | None:
    """How a challenge's task ended; in words where no node has signed anything; None: it has not."""
    row = tasks.get(conn, task_id)
    if row is None:
        return "its task was deleted"
    if row.phase not in TERMINAL:
        return None
    state = row.state
    milestones = events.milestones(conn, task_id)
    for lease in reversed(leases.of_task(conn, task_id)):
        signed = evidence.of(conn, lease.id)
        award = [item for item in signed if item.type == "award"][-1:]
        accept = [item for item in signed if item.type == "accept"][-1:]
        happened = [item for item in signed if item.type == "event"]
        results = [decode(Event, item.body).result for item in happened]
        result = results[-1] if results else None
        if not award or not accept or result is None:
            continue
        is_last = state.lease is not None and state.lease.lease_id == lease.id
        sent_at_ms = state.lease.funded_at_ms if is_last and state.lease else lease.created_at_ms
        answered = [
            item.at_ms for item in milestones if item.kind in _ANSWERED and item.at_ms >= sent_at_ms
        ]
        return _Run(
            task_id=task_id,
            lease_id=lease.id,
            image=row.job.image,
            result=result,
            envelopes=(*award, *accept, *happened),
            sent_at_ms=sent_at_ms,
            answered_at_ms=answered[0] if answered else state.since_ms,
        )
    return state.ending.message if state.ending else f"its task {row.phase.value}"

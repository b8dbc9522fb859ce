"""Asks again, of other owners' replicas, what replicas have answered: by lot, after it was delivered, at the operator's cost.

Nobody waits for a check, and none is remembered before it has come to something: who dies leaves out a few. What it came to, the
node's standing and what follows are stored in one transaction.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import msgspec
from sqlalchemy import Connection

from neurogrid_marketplace.model_check import Judged, Other, evident, is_drawn, judge, seen_by
from neurogrid_marketplace.model_pictures import Picture
from neurogrid_marketplace.reputation import Finding, FindingKind
from neurogrid_marketplace.suspicion import Suspicion
from neurogrid_telemetry.log_lines import named

from ..log_events import CoordinatorEvent
from ..replicas.serving import ModelServing
from ..services.errors import Refused
from ..store import accounts, audit, findings, model_checks
from ..store.audit import Acting
from ..store.database import Database, Overloaded
from ..store.model_checks import CheckRow, SuspicionRow
from . import pictures
from .asking import Others
from .delivered import Delivered
from .pictures import PictureNotRead
from .settings import CheckSettings

_log = logging.getLogger(__name__)

# Answers that wait to be asked again; more are left out.
PENDING_MAX: Final = 64
# Of all of them, in memory: recordings and pictures most of all.
HELD_BYTES_MAX: Final = 64 * 1024 * 1024
_AT_ONCE: Final = 2
_DAY_MS: Final = 24 * 3_600_000
_ALL_PERMILLE: Final = 1000


class ModelChecker:
    """See the module.

    Args:
        secret: what the lot is drawn with.
        found_out: told of each node about which a finding was stored.
        lot: when an answer is asked again; who knows that could tell which are.
    """

    def __init__(
        self,
        settings: CheckSettings,
        serving: ModelServing,
        *,
        database: Database,
        secret: bytes,
        found_out: Callable[[str], None],
        now_ms: Callable[[], int],
        lot: random.Random | None = None,
    ) -> None:
        self._settings = settings
        self._serving = serving
        self._database = database
        self._secret = secret
        self._found_out = found_out
        self._now_ms = now_ms
        self._random = lot or random.SystemRandom()
        self._raised: set[tuple[str, str]] = set()
        self._pending: set[asyncio.Task[None]] = set()
        self._held_bytes = 0
        self._room = asyncio.Semaphore(_AT_ONCE)

    def wants(self, request_id: str, node_id: str, model_id: str) -> bool:
        """Whether an answer is drawn: only then what of it is compared is kept."""
        percent = self._settings.percent
        if not percent:
            return False
        # Of whom something speaks against everything is looked at, so that it is soon known.
        is_raised = (node_id, model_id) in self._raised
        permille = _ALL_PERMILLE if is_raised else 10 * percent
        return is_drawn(self._secret, request_id, permille)

    def has_room(self, size_bytes: int) -> bool:
        """Whether an answer that holds so much could wait to be asked again."""
        has_place = len(self._pending) < PENDING_MAX
        return has_place and self._held_bytes + size_bytes <= HELD_BYTES_MAX

    def delivered(self, answer: Delivered) -> None:
        """An answer has reached its client: draw it, or not."""
        if not self.wants(answer.request_id, answer.lease.node_id, answer.asked.model_id):
            return
        if not self.has_room(answer.held_bytes):
            self.left_out(answer.asked.model_id)
            return
        self._held_bytes += answer.held_bytes
        task = asyncio.create_task(self._later(answer))
        self._pending.add(task)
        task.add_done_callback(partial(self._over, answer.held_bytes))

    def left_out(self, model_id: str) -> None:
        """An answer that was drawn is not checked."""
        self._serving.pools[model_id].tally.checks["left_out"] += 1

    @property
    def pending(self) -> list[asyncio.Task[None]]:
        """Checks that are not over."""
        return list(self._pending)

    async def run(self) -> None:
        """Be ready to check, for ever; cancel it to stop."""
        try:
            rows = await self._database.read(model_checks.suspicions)
            self._raised = {(each.node_id, each.model) for each in rows if each.suspicion.is_raised}
            await asyncio.Event().wait()
        finally:
            pending = self.pending
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    def _over(self, held_bytes: int, task: asyncio.Task[None]) -> None:
        self._held_bytes -= held_bytes
        self._pending.discard(task)

    async def _later(self, answer: Delivered) -> None:
        await asyncio.sleep(self._random.uniform(0, self._settings.within_s))
        async with self._room:
            try:
                await self._check(answer)
            except (Overloaded, Refused, PictureNotRead) as error:
                _log.info("request %s is not checked: %s", answer.request_id, error)
                self._count(answer, "left_out")
            except Exception:  # noqa: BLE001 - the boundary of one check: others go on
                _log.exception("request %s is not checked", answer.request_id)
                self._count(answer, "left_out")

    async def _check(self, answer: Delivered) -> None:
        now_ms = self._now_ms()
        spent = await self._database.read(model_checks.spent_since, now_ms - _DAY_MS)
        account = await self._database.read(accounts.named, self._settings.account)
        if account is None or spent >= self._settings.budget_micro_usdc_per_day:
            self._count(answer, "left_out")
            return
        if isinstance(answer.reply, Picture):
            answer = replace(answer, reply=await pictures.seen(answer.reply))
        there = Others(self._serving, answer, account.id, self._settings.trusted)
        others: list[Other] = []
        nodes: list[str] = []
        wallets = [answer.lease.wallet]
        cost_micro_usdc, found = 0, None
        while found is None and len(others) < 2:
            said = await there.ask(wallets)
            if said is None:
                break
            cost_micro_usdc += said.cost_micro_usdc
            others.append(said.other)
            nodes.append(said.lease.node_id)
            wallets.append(said.lease.wallet)
            found = judge(answer.reply, others)
        if not others:
            self._count(answer, "unanswered")
            return
        judged, seen = found or (Judged.UNDECIDED, seen_by(answer.reply, others[0]))
        row = CheckRow(
            id=answer.request_id,
            at_ms=self._now_ms(),
            model=answer.asked.model_id,
            node_id=answer.lease.node_id,
            wallet=answer.lease.wallet,
            account_id=answer.asked.tenant,
            task_id=answer.task_id,
            request_digest=answer.request_digest,
            judged=judged,
            others=tuple(nodes),
            seen=seen,
            cost_micro_usdc=cost_micro_usdc,
            evidence_json=_evidence(answer, others) if _differs(judged, nodes) else None,
        )
        await self._note(answer, row)

    async def _note(self, answer: Delivered, row: CheckRow) -> None:
        def note(conn: Connection) -> tuple[SuspicionRow, bool] | None:
            counts = row.judged is not Judged.UNDECIDED and not model_checks.was_counted(
                conn, row.node_id, row.model, row.request_digest
            )
            if not model_checks.add(conn, row) or not counts:
                return None
            before = model_checks.suspicion(conn, row.node_id, row.model)
            known = before or SuspicionRow(row.node_id, row.model, row.wallet, Suspicion())
            suspicion = known.suspicion.after(row.seen, row.account_id)
            charge = suspicion.charge
            if charge is None or known.is_charged(row.at_ms):
                after = replace(known, wallet=row.wallet, suspicion=suspicion)
                model_checks.save(conn, after)
                return after, False
            # Whoever serves it again later begins with nothing against it.
            begun = Suspicion(checks=suspicion.checks, against=suspicion.against)
            after = SuspicionRow(row.node_id, row.model, row.wallet, begun, charge, row.at_ms)
            model_checks.save(conn, after)
            findings.add(
                conn,
                row.node_id,
                Finding(FindingKind.MODEL_FALSE, row.at_ms),
                lease_id=answer.lease.lease_id,
                details={"model": row.model, "charge": charge.value, "check": row.id},
            )
            words = f"node {row.node_id} does not serve {row.model} as it says: {charge.value}"
            details = {"node_id": row.node_id, "model": row.model, "charge": charge.value}
            audit.append(
                conn,
                Acting("system", "warning", None, words, {**details, "check": row.id}),
                row.at_ms,
            )
            return after, True

        noted = await self._database.write(note)
        self._count(answer, row.judged.value)
        if noted is None:
            return
        after, is_new = noted
        key = (row.node_id, row.model)
        if after.suspicion.is_raised:
            self._raised.add(key)
        else:
            self._raised.discard(key)
        if is_new:
            assert after.charge is not None, "it was just charged"
            self._found_out(row.node_id)
            self._serving.pools[row.model].changed.set()
            _log.warning(
                "node %s does not serve %s as it says: %s; its replica is let go",
                *(row.node_id, row.model, after.charge.value),
                extra=named(CoordinatorEvent.MODEL_FALSE, charge=after.charge.value),
            )
        elif row.seen.speaks_against and row.judged is Judged.WRONG:
            beyond = after.suspicion.exceeds
            _log.warning(
                "node %s answered otherwise than others of %s: %d of %d checks speak against it%s",
                *(row.node_id, row.model, after.suspicion.against, after.suspicion.checks),
                f" ({beyond.value}, by one account's requests)" if beyond else "",
                extra=named(CoordinatorEvent.MODEL_DIFFERS, check=row.id),
            )

    def _count(self, answer: Delivered, outcome: str) -> None:
        self._serving.pools[answer.asked.model_id].tally.checks[outcome] += 1


def _differs(judged: Judged, nodes: list[str]) -> bool:
    return judged is not Judged.RIGHT or len(nodes) > 1


def _evidence(answer: Delivered, others: list[Other]) -> str:
    """The request and all answers, as they were compared."""
    replies = evident(answer.reply, [each.reply for each in others])
    return msgspec.json.encode(
        {
            "target": answer.asked.question.target,
            "request": answer.request_text,
            "delivered": replies[0],
            "others": replies[1:],
            "counts": [each.counts for each in others],
        }
    ).decode()

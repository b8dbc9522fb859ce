"""Asks again, of other owners' replicas, what replicas have answered: by lot, after it was delivered, at the operator's cost.

Nobody waits for a check, and none is remembered before it has come to something: who dies leaves out a few. What it came to, the
node's standing and what follows are stored in one transaction.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Final

import msgspec
from sqlalchemy import Connection

from neurogrid_marketplace.model_check import Judged, Other, compare, is_drawn, judge
from neurogrid_marketplace.model_reply import Reply, ReplyReader
from neurogrid_marketplace.reputation import Finding, FindingKind
from neurogrid_marketplace.suspicion import Suspicion
from neurogrid_telemetry.log_lines import named

from ..gateway.connection import ServiceBroken
from ..log_events import CoordinatorEvent
from ..openai import server_answers
from ..openai.server_answers import Events, NoAnswer
from ..replicas.serving import ModelServing, Served
from ..services.errors import Refused
from ..store import accounts, audit, findings, model_checks
from ..store.audit import Acting
from ..store.database import Database, Overloaded
from ..store.model_checks import CheckRow, SuspicionRow
from .delivered import Delivered
from .settings import CheckSettings

_log = logging.getLogger(__name__)

# Answers that wait to be asked again; more are left out.
PENDING_MAX: Final = 64
_AT_ONCE: Final = 2
# A check is no reason to begin another replica: one that is busy for longer is not waited for.
_WAIT_S: Final = 15.0
_ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
_REFUSED: Final = 400
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
        self._room = asyncio.Semaphore(_AT_ONCE)

    def delivered(self, answer: Delivered) -> None:
        """An answer has reached its client: draw it, or not."""
        percent = self._settings.percent
        if not percent:
            return
        # Of whom something speaks against everything is looked at, so that it is soon known.
        is_raised = (answer.lease.node_id, answer.asked.model_id) in self._raised
        permille = _ALL_PERMILLE if is_raised else 10 * percent
        if not is_drawn(self._secret, answer.request_id, permille):
            return
        if len(self._pending) >= PENDING_MAX:
            self._count(answer, "left_out")
            return
        task = asyncio.create_task(self._later(answer))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

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

    async def _later(self, answer: Delivered) -> None:
        await asyncio.sleep(self._random.uniform(0, self._settings.within_s))
        async with self._room:
            try:
                await self._check(answer)
            except (Overloaded, Refused) as error:
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
        others: list[Other] = []
        nodes: list[str] = []
        wallets = [answer.lease.wallet]
        cost_micro_usdc, found = 0, None
        while found is None and len(others) < 2:
            asked = await self._ask(answer, account.id, wallets)
            if asked is None:
                break
            served, reply, cost = asked
            cost_micro_usdc += cost
            others.append(Other(reply, self._is_trusted(served)))
            nodes.append(served.lease.node_id)
            wallets.append(served.lease.wallet)
            found = judge(answer.reply, others)
        if not others:
            self._count(answer, "unanswered")
            return
        judged, seen = found or (Judged.UNDECIDED, compare(answer.reply, others[0].reply))
        row = CheckRow(
            id=answer.request_id,
            at_ms=self._now_ms(),
            model=answer.asked.model_id,
            node_id=answer.lease.node_id,
            wallet=answer.lease.wallet,
            account_id=answer.asked.tenant,
            task_id=answer.task_id,
            request_digest=sha256(answer.body).hexdigest(),
            judged=judged,
            others=tuple(nodes),
            seen=seen,
            cost_micro_usdc=cost_micro_usdc,
            evidence_json=_evidence(answer, others) if _differs(judged, nodes) else None,
        )
        await self._note(answer, row)

    async def _ask(
        self, answer: Delivered, account_id: str, wallets: list[str]
    ) -> tuple[Served, Reply, int] | None:
        """Another owner's answer to the same, and what it cost; None: nobody else can be asked."""
        allowed = answer.asked.preferences
        anybody = replace(allowed, order=(), sort="", ignore=(*allowed.ignore, *wallets))
        trusted = tuple(
            each for each in self._settings.trusted if not allowed.only or each in allowed.only
        )
        tries = [anybody] if not trusted else [replace(anybody, only=trusted), anybody]
        for preferences in tries:
            asked = replace(
                answer.asked,
                tenant=account_id,
                preferences=preferences,
                session="",
                wait_s=_WAIT_S,
            )
            try:
                async with self._serving.ask(asked) as served:
                    if served.answer.status < _REFUSED and served.lease.wallet not in wallets:
                        reply = await _reply(served)
                        return served, reply, await served.meter.end()
            except (Refused, ServiceBroken, NoAnswer) as error:
                _log.debug("request %s: %s", answer.request_id, error)
        return None

    def _is_trusted(self, served: Served) -> bool:
        names = {served.lease.node_id, served.lease.wallet}
        return not names.isdisjoint(self._settings.trusted)

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
    return msgspec.json.encode(
        {
            "target": answer.asked.question.target,
            "request": answer.body.decode("utf-8", "replace"),
            "delivered": answer.reply,
            "others": [each.reply for each in others],
        }
    ).decode()


async def _reply(served: Served) -> Reply:
    """All of an answer.

    Raises:
        NoAnswer: it is none, or too long.
        ServiceBroken: it broke off.
    """
    reader, size = ReplyReader(), 0
    is_stream = served.answer.header(b"content-type").startswith("text/event-stream")
    events, body = Events(), bytearray()
    async for piece in served.pieces():
        served.meter.passed(piece)
        size += len(piece)
        if size > _ANSWER_BYTES_MAX:
            raise NoAnswer("it is too long")
        if not is_stream:
            body += piece
            continue
        for data in events.feed(piece):
            if not server_answers.is_done(data):
                reader.feed(server_answers.read_object(data))
    if not is_stream:
        reader.feed(server_answers.read_object(bytes(body)))
    if not reader.is_whole:
        raise NoAnswer("it is too long")
    return reader.reply()

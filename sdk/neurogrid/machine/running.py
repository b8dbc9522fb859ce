"""Running a task, as its program says it: started, so far, completed, failed. What it says is checked before it counts."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from neurogrid_marketplace import primitives
from neurogrid_marketplace.errors import SealBroken
from neurogrid_marketplace.execution import metered_ms
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.fields import MAX_TEXT_CHARS
from neurogrid_marketplace.input_seal import SealTarget, unwrap_key
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.lease import (
    ContainerEnded,
    ContainerRunning,
    NodeLease,
    PrepareFailed,
    Ran,
    StopReceived,
)
from neurogrid_marketplace.messages import Start
from neurogrid_marketplace.offer import LeasePhase

from ..errors import IntegrityError, NotFoundError
from .endings import NEVER_RAN, outcome_of
from .escrows import ChainAway, EscrowWrong, SeenEscrow
from .journal import Held, Journal
from .machine import Machine, conflict

# A program's own measure of the time may differ by so much from the clock here.
_TIME_TOLERANCE_MS = 5_000
# How long the end of a task waits for its log to arrive.
_LOG_PATIENCE_S = 15.0
# How long a new escrow may take to show up at the program's own endpoint.
_ESCROW_PATIENCE_S = 60.0
_LOOK_S = 0.2
# Finds a lease's escrow: by its start message, at this time; raises `EscrowWrong`, `ChainAway`.
Look = Callable[[NodeLease, Start, int], SeenEscrow | None]
_RUNS = frozenset({LeasePhase.RUNNING, LeasePhase.PAUSED, LeasePhase.STOPPING})
_TOLD = frozenset({LeasePhase.REPORTED, LeasePhase.CLAIMING, LeasePhase.CLOSED})


class Running:
    """The tasks of one machine, for its program.

    Args:
        look: finds a lease's escrow on the chain; None: the coordinator is believed.
        now_ms: Unix milliseconds.
    """

    def __init__(
        self,
        machine: Machine,
        journal: Journal,
        look: Look | None,
        now_ms: Callable[[], int],
    ) -> None:
        self._machine = machine
        self._look = look
        self._journal = journal
        self._now_ms = now_ms

    def find(self, lease_id: str) -> Held:
        """A task that was accepted.

        Raises:
            NotFoundError: this program has none such (any more).
        """
        with self._machine.changed:
            held = self._machine.leases.find(lease_id)
        if held is None:
            raise NotFoundError(
                f"this program has no task {lease_id[:80]}: `provider.tasks.held()` lists those that it has, and "
                "`provider.earnings.list_jobs()` those that are over",
                code="NOT_FOUND",
                status=404,
                details={"task_id": lease_id[:80]},
            )
        return held

    def see_escrow(self, lease_id: str, patience_s: float = _ESCROW_PATIENCE_S) -> None:
        """Look at a task's escrow before anything is run for it, where there is a chain to look at. One that is not as agreed
        ends the task.

        Raises:
            NotFoundError: see `find`.
            ConflictError: it is not there, or not as agreed: nothing is to be run.
        """
        held = self.find(lease_id)
        start, problem = held.lease.start, "it has not appeared on the chain"
        if self._look is None or held.escrow is not None or start is None:
            return
        deadline_s = time.monotonic() + patience_s
        while time.monotonic() < deadline_s:
            try:
                seen = self._look(held.lease, start, self._now_ms())
            except EscrowWrong as error:
                problem = str(error)
                break
            except ChainAway as error:
                problem, seen = str(error), None
            if seen is not None:
                with self._machine.changed:
                    self._machine.leases.keep(replace(self.find(lease_id), escrow=seen))
                return
            time.sleep(_LOOK_S)
        self.failed(lease_id, Outcome.ESCROW_UNSEEN.value, problem, -1)
        raise conflict(f"task {lease_id} has no escrow that could pay it: {problem}")

    def begun(self, lease_id: str, container_id: str, note: str) -> Held:
        """The job runs: from now on it is paid.

        Raises:
            NotFoundError: see `find`.
            ConflictError: its job is not here yet, or it is over.
        """
        with self._machine.changed:
            held = self.find(lease_id)
            if held.lease.phase in _RUNS and held.lease.started_at_ms:
                return held
            if held.lease.phase is not LeasePhase.PREPARING:
                raise conflict(f"task {lease_id} can't be started: {_where(held)}")
            if self._look is not None and held.escrow is None:
                raise conflict(f"task {lease_id}: its escrow was not looked at yet (wait_for_job)")
            self._machine.leases.note(
                replace(held, container_id=container_id, note=note[:MAX_TEXT_CHARS])
            )
            claim_until_ms = held.escrow.claim_until_ms if held.escrow is not None else 0
            running = ContainerRunning(self._now_ms(), claim_until_ms)
            self._machine.leases.happened(lease_id, running)
            self._machine.beat_soon()
            return self.find(lease_id)

    def progressed(self, lease_id: str, permille: int, note: str) -> Held:
        """How far it is, for its client to see.

        Raises:
            NotFoundError: see `find`.
            ConflictError: it does not run.
        """
        with self._machine.changed:
            held = self.find(lease_id)
            if held.lease.phase not in _RUNS:
                raise conflict(f"task {lease_id} has no progress: {_where(held)}")
            self._machine.leases.note(
                replace(held, progress_permille=permille, note=note[:MAX_TEXT_CHARS])
            )
            self._machine.beat_soon()
            return self.find(lease_id)

    def log(self, lease_id: str, text: str) -> None:
        """Write on in its log.

        Raises:
            NotFoundError: see `find`.
            ConflictError: it is over.
            OSError: the disk refuses.
        """
        with self._machine.changed:
            held = self.find(lease_id)
            if held.lease.phase in _TOLD:
                raise conflict(f"task {lease_id} has no log any more: {_where(held)}")
            self._journal.log(lease_id, text)

    def ended(
        self, lease_id: str, outcome: Outcome, exit_code: int, message: str, ran_s: float | None
    ) -> Held:
        """The job has ended; its outputs may take a while yet, and are not paid for.

        Args:
            ran_s: for how long it ran; None: until now.

        Raises:
            NotFoundError: see `find`.
            ConflictError: it does not run; it ran for less; or it has ended otherwise.
        """
        with self._machine.changed:
            held = self.find(lease_id)
            lease, now_ms = held.lease, self._now_ms()
            said = _outcome_of(held)
            if said is not None:
                if said is not outcome:
                    raise conflict(f"task {lease_id} has ended as {said} already")
                return held
            if lease.phase not in _RUNS:
                raise conflict(f"task {lease_id} can't have ended as {outcome}: {_where(held)}")
            finished_at_ms = now_ms
            if ran_s is not None:
                measured_ms = metered_ms(lease, now_ms)
                if not 0 <= ran_s * 1000 <= measured_ms + _TIME_TOLERANCE_MS:
                    raise conflict(
                        f"task {lease_id} has run for {measured_ms / 1000:.1f} s since it was started, and not for "
                        f"{ran_s:g} s"
                    )
                finished_at_ms = min(now_ms, lease.started_at_ms + round(ran_s * 1000))
            ran = Ran(outcome, exit_code, message[:MAX_TEXT_CHARS], finished_at_ms)
            self._machine.leases.happened(lease_id, ContainerEnded(ran))
            return self.find(lease_id)

    def reported(self, lease_id: str, outputs: tuple[OutputFile, ...]) -> Held:
        """Its outputs are uploaded, and its log is, or can't be now: its end is told.

        Raises:
            NotFoundError: see `find`.
        """
        with self._machine.changed:
            self._machine.changed.wait_for(
                lambda: self._machine.leases.has_log_stored(lease_id), _LOG_PATIENCE_S
            )
            self._machine.leases.collected(lease_id, outputs)
            self._machine.beat_soon()
            return self.find(lease_id)

    def failed(self, lease_id: str, error_code: str, message: str, exit_code: int) -> Held:
        """It has failed, by this fault.

        Raises:
            NotFoundError: see `find`.
            ConflictError: it is over.
            ValueError: the fault is none that a provider may name now.
        """
        with self._machine.changed:
            held = self.find(lease_id)
            phase = held.lease.phase
            has_run = phase not in (LeasePhase.ACCEPTED, LeasePhase.PREPARING)
            said = _outcome_of(held)
            outcome = outcome_of(error_code, has_run=has_run and said not in NEVER_RAN)
            if phase is LeasePhase.COLLECTING and said is not Outcome.COMPLETED:
                # Killed in the middle of this, it goes on.
                return self.reported(lease_id, ())
            if said is not None:
                if said is not outcome:
                    raise conflict(f"task {lease_id} has ended as {said} already")
                return held
            if phase is LeasePhase.ACCEPTED:
                self._machine.leases.happened(lease_id, StopReceived(outcome))
            elif phase is LeasePhase.PREPARING:
                self._machine.leases.happened(lease_id, PrepareFailed(outcome, message))
        if not has_run:
            return self.find(lease_id)
        self.ended(lease_id, outcome, exit_code, message, None)
        return self.reported(lease_id, ())

    def content_key(self, lease_id: str) -> bytes:
        """The key to its sealed inputs; empty where there are none.

        Raises:
            NotFoundError: see `find`.
            ConflictError: its job is not here yet.
            IntegrityError: the key that came is not for this lease.
        """
        start, held = self.start_message(lease_id), self.find(lease_id)
        if not start.job.is_sealed:
            return b""
        lease = held.lease
        target = SealTarget(lease_id, self._machine.id, lease.award.job_hash, lease.sealing_key)
        private_key = primitives.X25519PrivateKey.from_private_bytes(
            bytes.fromhex(held.sealing_seed)
        )
        try:
            return unwrap_key(start.wrapped_key, private_key, target)
        except SealBroken as error:
            raise IntegrityError(f"the inputs of {lease_id} do not open: {error}") from error

    def start_message(self, lease_id: str) -> Start:
        """What came with its job.

        Raises:
            NotFoundError: see `find`.
            ConflictError: it is not here yet.
        """
        held = self.find(lease_id)
        if held.lease.start is None:
            raise conflict(f"task {lease_id} has no job yet: {_where(held)}")
        return held.lease.start


def note_of(words: str, figures: Mapping[str, object] | None) -> str:
    """What a task's client sees beside its progress."""
    shown = [f"{name} {value}" for name, value in (figures or {}).items()]
    return ", ".join([*([words] if words else []), *shown])[:MAX_TEXT_CHARS]


def _outcome_of(held: Held) -> Outcome | None:
    """How it has ended, once that is fixed."""
    lease = held.lease
    if lease.ran is not None:
        return lease.ran.outcome
    results = [event.result for event in lease.events if event.result is not None]
    return results[-1].outcome if results else None


def _where(held: Held) -> str:
    """Where a task is, in words that say what to do."""
    match held.lease.phase:
        case LeasePhase.ACCEPTED:
            return "its escrow is being opened, and its job comes after that (wait_for_job)"
        case LeasePhase.PREPARING:
            return "it was not started (start)"
        case LeasePhase.RUNNING | LeasePhase.PAUSED:
            return "it runs"
        case LeasePhase.STOPPING:
            return f"it has to stop ({held.lease.stop_reason}): end it, and say complete or fail"
        case LeasePhase.COLLECTING:
            return "it has ended, and its outputs are being collected (complete)"
    return f"it is over ({_outcome_of(held) or held.lease.phase})"

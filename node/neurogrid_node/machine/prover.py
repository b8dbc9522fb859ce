"""Proves what this machine offers, by real containers, and asks again (`proofs` says when).

Nothing is tried on a GPU that a job has. What is proved, or is so no more, is told to whoever offers it.
"""

import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import trio

from ..container.errors import EngineError, EngineLost, EngineUnavailable
from .gpu_state import GpuState
from .proof_file import write_proofs
from .proofs import CONTAINER, Disproof, Proof, Proofs

_log = logging.getLogger(__name__)

# How soon a GPU that has come back, a job that has ended, or an engine that has restarted is noticed.
_ROUND_S: Final = 2.0
# A container takes half a second, on a machine with a busy disk a minute.
_PATIENCE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Ability:
    """Something beside GPUs that is offered only where it was proved.

    Attributes:
        what: of `proofs.ABILITIES`.
        prove: tries it; why it is not so, or None. May raise EngineError.
        tell: is called with whether it may be offered, at each change.
    """

    what: str
    prove: Callable[[], Awaitable[Disproof | None]]
    tell: Callable[[bool], Awaitable[None]]


class GpuWatch(Protocol):
    """Who knows which GPUs work; a `monitor.Monitor`."""

    def fit(self) -> tuple[GpuState, ...]:
        """Those with nothing wrong, proved or not."""

    def broken(self) -> Collection[str]:
        """UUIDs of those with which something is wrong."""

    def using(self, uuids: Collection[str]) -> AbstractContextManager[None]:
        """What computes on these GPUs meanwhile is ours."""

    async def proved(self) -> None:
        """What was proved has changed."""


class Prover:
    """See the module. One per daemon."""

    def __init__(
        self,
        proofs: Proofs,
        abilities: Collection[Ability],
        prove_gpu: Callable[[GpuState], Awaitable[Disproof | None]],
        watch: GpuWatch,
        *,
        leased: Callable[[], Collection[str]],
        connections: Callable[[], int],
        directory: Path,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            prove_gpu: as `Ability.prove`.
            leased: UUIDs of the GPUs that jobs have.
            connections: how often the engine was connected: one more is a restart.
            directory: for the file of what was proved.
        """
        self._proofs = proofs
        self._abilities = {ability.what: ability for ability in abilities}
        self._prove_gpu = prove_gpu
        self._watch = watch
        self._leased = leased
        self._connections = connections
        self._connected = connections()
        self._directory = directory
        self._now_ms = now_ms
        self._told: dict[str, bool] = dict.fromkeys(self._abilities, False)
        self._saved: tuple[Proof, ...] = proofs.all

    async def run(self) -> None:
        """Prove until this is cancelled."""
        while True:
            try:
                await self.round()
            except Exception:  # noqa: BLE001 - the task's boundary: what is not proved is not offered
                _log.exception("nothing could be proved")
            await trio.sleep(_ROUND_S)

    async def round(self) -> None:
        """Prove what is due, once."""
        await self._doubt()
        while due := self._due():
            for what in due:
                await self._try(what)
            if due != (CONTAINER,):
                return

    def unproved(self) -> tuple[Proof, ...]:
        """What is not offered because it is not proved; the GPUs among it are withheld (`Monitor`)."""
        every = map(self._proofs.of, self._abilities)
        return tuple(proof for proof in every if not proof.is_proved)

    def _due(self) -> tuple[str, ...]:
        leased = self._leased()
        free = [gpu.uuid for gpu in self._watch.fit() if gpu.uuid not in leased]
        return self._proofs.due((*self._abilities, *free), self._now_ms())

    async def _doubt(self) -> None:
        """What was proved holds no longer than what it was proved with."""
        now_ms = self._now_ms()
        self._proofs.doubt(self._watch.broken(), "it has failed since it was proved", now_ms)
        if self._connections() != self._connected:
            self._connected = self._connections()
            gpus = [gpu.uuid for gpu in self._watch.fit()]
            self._proofs.doubt((*self._abilities, *gpus), "the engine has restarted", now_ms)
        await self._tell()

    async def _try(self, what: str) -> None:
        gpus = {gpu.uuid: gpu for gpu in self._watch.fit()}
        if what not in self._abilities and what not in gpus:
            return
        connected = self._connections()
        disproof: Disproof | None = Disproof("NO_ANSWER", f"not done within {_PATIENCE_S:g} s")
        try:
            with trio.move_on_after(_PATIENCE_S):
                disproof = await self._proved(what, gpus)
        except (EngineUnavailable, EngineLost) as error:
            _log.debug("%s: %s", what, error)
            self._proofs.undecided(what, self._now_ms())
            return
        except (EngineError, OSError) as error:
            disproof = Disproof("CONTAINER_REFUSED", str(error))
        except Exception as error:  # noqa: BLE001 - one trial's boundary: the others are tried, too
            _log.exception("a defect in the trial of %s", what)
            disproof = Disproof("CHECK_BROKEN", f"{type(error).__name__}: {error}")
        before = self._proofs.of(what)
        if disproof is not None:
            self._proofs.failed(what, disproof, self._now_ms())
            if disproof.message != before.message:
                _log.warning("not offered: %s: %s (%s)", what, disproof.message, disproof.code)
        elif connected != self._connections():
            # Tried partly before a restart, and partly after it.
            self._proofs.undecided(what, self._now_ms())
        else:
            self._proofs.passed(what, self._now_ms())
            if not before.is_proved:
                _log.info("proved: %s", what)
        await self._tell()

    async def _proved(self, what: str, gpus: dict[str, GpuState]) -> Disproof | None:
        if what in self._abilities:
            return await self._abilities[what].prove()
        # Not to be taken for somebody else's program.
        with self._watch.using([what]):
            return await self._prove_gpu(gpus[what])

    async def _tell(self) -> None:
        for what, ability in self._abilities.items():
            is_proved = self._proofs.is_proved(what)
            if is_proved is not self._told[what]:
                self._told[what] = is_proved
                await ability.tell(is_proved)
        proofs = self._proofs.all
        if proofs == self._saved:
            return
        self._saved = proofs
        await self._watch.proved()
        try:
            await trio.to_thread.run_sync(write_proofs, self._directory, proofs)
        except OSError as error:
            _log.warning("what was proved is not kept: %s", error)

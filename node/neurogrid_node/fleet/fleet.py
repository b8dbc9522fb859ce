"""Which machines of a fleet are offered: looked at every quarter of a minute, and put on trial when they
come or come back, ten minutes after they have failed, and once a day."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import trio

from neurogrid_marketplace.resources import Capacity
from neurogrid_node.container.errors import EngineError, MachineUnavailable
from neurogrid_node.files.workspace import Workspaces
from neurogrid_node.fleet.machines import FleetEngine, Machine, capacity, summary
from neurogrid_node.fleet.trial import trial

_log = logging.getLogger(__name__)

FLEET_FILE: Final = "fleet.json"
_INTERVAL_S: Final = 15.0
_AGAIN_S: Final = 600.0
_HOLDS_S: Final = 24 * 3600.0
# What a sentence about a machine may be long in the file.
_WORDS_MAX: Final = 1000

Changed = Callable[[Mapping[str, Capacity], str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Tried:
    version: str
    at_s: float
    failures: tuple[str, ...]


class Fleet:
    """See the module. One per daemon.

    Args:
        image: what a trial runs; with python3.
        most: what the owner lets one machine give, and the disk that all share.
        directory: the node's; what was found is written there, for people.
    """

    def __init__(
        self,
        engine: FleetEngine,
        workspaces: Workspaces,
        image: str,
        most: Capacity,
        directory: Path,
    ) -> None:
        self._engine = engine
        self._workspaces = workspaces
        self._image = image
        self._most = most
        self._directory = directory
        self._tried: dict[str, _Tried] = {}

    async def run(self, changed: Changed) -> None:
        """Look until this is cancelled; what is offered is told whenever it is another."""
        before: tuple[Mapping[str, Capacity], str] | None = None
        while True:
            try:
                found = await self.look()
                if found != before:
                    before = found
                    await changed(*found)
            except EngineError as error:
                # What was said last stands; a job that cannot be begun says so itself.
                _log.warning("the fleet's machines: %s", error)
            except Exception:  # noqa: BLE001 - the task's boundary: jobs run on without it
                _log.exception("the fleet's machines could not be looked at")
            await trio.sleep(_INTERVAL_S)

    async def look(self) -> tuple[Mapping[str, Capacity], str]:
        """What each machine that is offered offers, by its id; and a line for people.

        Raises:
            EngineError: the engine does not answer.
        """
        found = await self._engine.machines()
        async with trio.open_nursery() as nursery:
            for machine in found:
                if machine.is_ready and self._is_due(machine):
                    nursery.start_soon(self._try, machine)
        here = {machine.machine_id for machine in found}
        self._tried = {name: tried for name, tried in self._tried.items() if name in here}
        offered = {
            machine.machine_id: capacity(machine, self._most)
            for machine in found
            if machine.is_ready and self._has_passed(machine)
        }
        await self._write(found, offered)
        return offered, summary(found, offered)

    def _is_due(self, machine: Machine) -> bool:
        tried = self._tried.get(machine.machine_id)
        if tried is None or tried.version != machine.version:
            return True
        holds_s = _AGAIN_S if tried.failures else _HOLDS_S
        return trio.current_time() - tried.at_s > holds_s

    def _has_passed(self, machine: Machine) -> bool:
        tried = self._tried.get(machine.machine_id)
        return tried is not None and tried.version == machine.version and not tried.failures

    async def _try(self, machine: Machine) -> None:
        image = await self._engine.trial_image(self._image)
        if image is None:
            missing = (
                f"{self._image}, which tries a machine, is not here: bring it, or name another in [engine] trial_image "
                "(docs/fleet.md)"
            )
            failures: tuple[str, ...] = (missing,)
        else:
            try:
                failures = await trial(self._engine, self._workspaces, image, machine)
            except MachineUnavailable as error:
                # Full, mostly of jobs that an earlier life of this node has begun: nothing is known of it.
                _log.info("%s (%s) is not tried: %s", machine.name, machine.machine_id, error)
                return
        now_s = trio.current_time()
        self._tried[machine.machine_id] = _Tried(machine.version, now_s, failures)
        for failure in failures:
            _log.warning("%s (%s) is not offered: %s", machine.name, machine.machine_id, failure)

    async def _write(self, found: tuple[Machine, ...], offered: Mapping[str, Capacity]) -> None:
        document: list[dict[str, Any]] = []
        for machine in found:
            tried = self._tried.get(machine.machine_id)
            failures = tried.failures if tried is not None else ()
            document.append(
                asdict(machine)
                | {
                    "is_offered": machine.machine_id in offered,
                    "problems": [failure[:_WORDS_MAX] for failure in failures],
                }
            )
        text = json.dumps(document, indent=2)
        await trio.to_thread.run_sync(_replace, self._directory / FLEET_FILE, text)


def _replace(path: Path, text: str) -> None:
    written = path.with_suffix(".new")
    written.write_text(text)
    written.replace(path)

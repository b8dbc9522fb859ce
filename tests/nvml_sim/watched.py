"""A machine with simulated GPUs as a monitor reads it, from a thread."""

import json
import threading
from pathlib import Path

import msgspec

from neurogrid_node.machine.gpu_state import GpuReading, XidEvent
from nvml_sim.machine import Machine


class WatchedMachine(Machine):
    """One that is asked from a thread, which a test that ends leaves behind in its call."""

    def __init__(self, library: Path, directory: Path) -> None:
        super().__init__(library, directory)
        self.asking = threading.Lock()

    def close(self) -> None:
        with self.asking:
            super().close()


class ChildReader:
    """The `GpuReader` of the machine's child."""

    def __init__(self, machine: WatchedMachine) -> None:
        self._machine = machine

    def read(self) -> GpuReading:
        with self._machine.asking:
            return msgspec.json.decode(json.dumps(self._machine.read()), type=GpuReading)

    def wait(self, timeout_ms: int) -> tuple[XidEvent, ...]:
        with self._machine.asking:
            return tuple(XidEvent(**event) for event in self._machine.wait(timeout_ms))

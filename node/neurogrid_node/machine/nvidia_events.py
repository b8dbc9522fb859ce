"""What NVIDIA's driver reports by itself: errors with an XID number, through NVML's event set.

Not every driver and GPU can: then nothing is followed, and readings alone tell what is wrong.
"""

import ctypes
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import pynvml

from .gpu_state import XidEvent

# A driver in trouble may report without end; the rest comes with the next wait.
_EVENTS_MAX: Final = 64
_XID_MAX: Final = 100_000


class NvidiaEvents:
    """The event set of an open NVML. Not safe for threads: its reader's lock covers it."""

    def __init__(self) -> None:
        self._set: Any = None
        # The handle's address, as events carry it: a GPU that is gone does not tell its UUID.
        self._uuids: dict[int, str] = {}

    def follow(self, handles: Mapping[str, Any]) -> None:
        """Follow these GPUs, by UUID; nothing changes where they are followed already."""
        if set(handles) == set(self._uuids.values()):
            return
        self.close()
        try:
            self._set = pynvml.nvmlEventSetCreate()
        except pynvml.NVMLError:
            return
        for uuid, handle in handles.items():
            try:
                pynvml.nvmlDeviceRegisterEvents(
                    handle, pynvml.nvmlEventTypeXidCriticalError, self._set
                )
            except pynvml.NVMLError:
                continue
            self._uuids[_address(handle)] = uuid

    def wait(self, timeout_ms: int) -> tuple[XidEvent, ...]:
        """What is reported within this time, as soon as there is something."""
        found: list[XidEvent] = []
        while self._uuids and len(found) < _EVENTS_MAX:
            try:
                data = pynvml.nvmlEventSetWait(self._set, 0 if found else timeout_ms)
            except pynvml.NVMLError:
                # A timeout, or a GPU that is gone: the next reading tells.
                break
            xid = int(data.eventData)
            if data.eventType == pynvml.nvmlEventTypeXidCriticalError and 0 < xid <= _XID_MAX:
                found.append(XidEvent(self._uuids.get(_address(data.device), ""), xid))
        return tuple(found)

    def close(self) -> None:
        """Follow nothing."""
        if self._set is not None:
            # A driver that was unloaded has freed it.
            with suppress(pynvml.NVMLError):
                pynvml.nvmlEventSetFree(self._set)
        self._set = None
        self._uuids = {}


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0

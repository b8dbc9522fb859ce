"""kill -9 of a node's daemon at each step of its leases, as its journal knows them."""

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from acceptance.network import PATIENCE_S, Devnet
from neurogrid.models import Task
from neurogrid_marketplace.offer import LeasePhase


class Deaths:
    """One node, whose daemon dies at each step at which it has not died yet, once a job.

    Attributes:
        steps: where it did.
    """

    def __init__(self, devnet: Devnet, copies: Path) -> None:
        """
        Args:
            copies: an empty folder. A node has its journal to itself, so what it made durable is copied.
        """
        self.node, self.other = devnet.network.nodes
        self.steps: set[str] = set()
        self._devnet = devnet
        self._copies = copies
        folder = devnet.data / "nodes" / self.node.name.removeprefix("node-")
        self._journal = folder / "journal.db"
        self._log = folder / "journal.db-wal"

    def run(self, *command: str, cancelled: bool = False) -> Task:
        """One job on that node, from submission to its settlement.

        Args:
            cancelled: it is, once it runs.
        """
        # The daemon that has just been started again takes nothing before it has tried its machine.
        task = self._devnet.submit(
            *command, avoid={"nodes": [self.other.peer_id]}, wait_for_node=True
        )
        deadline = time.monotonic() + 2 * PATIENCE_S
        step, looked_at_ns = "", 0
        spared: set[LeasePhase] = set()
        while step or not self._devnet.client.tasks.get(task.id).settled:
            assert time.monotonic() < deadline, f"{task.id} is at {step or 'no step'} for ever"
            written_ns = self._log.stat().st_mtime_ns if self._log.exists() else 0
            pid = self._devnet.pid(self.node.name)
            if written_ns != looked_at_ns and pid:
                looked_at_ns = written_ns
                # It stands still while we look, so that it dies at the step that is seen.
                os.kill(pid, signal.SIGSTOP)
                # Its threads stand still a moment after the call.
                time.sleep(0.005)
                step = self._step()
                if step and step not in self.steps | spared:
                    self.steps.add(step)
                    spared = set(LeasePhase)
                    os.kill(pid, signal.SIGKILL)
                    self._devnet.until_restarted(self.node.name, pid)
                else:
                    os.kill(pid, signal.SIGCONT)
            if cancelled and step == LeasePhase.RUNNING:
                self._devnet.client.tasks.cancel(task.id)
                cancelled = False
            time.sleep(0.001)
        return self._devnet.until_settled(task.id)

    def _step(self) -> str:
        """Of the only lease; "" without one."""
        for file in (self._journal, self._log):
            (self._copies / file.name).write_bytes(file.read_bytes())
        with closing(sqlite3.connect(self._copies / self._journal.name)) as copied:
            row = copied.execute("select phase from lease").fetchone()
        for file in self._copies.iterdir():
            file.unlink()
        return str(row[0]) if row else ""

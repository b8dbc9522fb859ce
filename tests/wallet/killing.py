"""A ledger and a payer that are killed with SIGKILL, and started again."""

import os
import signal
import sys
from collections.abc import Sequence

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from contracts.ledger_process import LedgerProcess
from wallet.fake_rpc import serve
from wallet.lossy_line import Line

# Only ends what hangs.
PATIENCE_S = 600


class Scene:
    """The two processes.

    Attributes:
        killed: how often each was.
    """

    def __init__(self, ledger: LedgerProcess) -> None:
        self.ledger = ledger
        self.killed = {"payer": 0, "ledger": 0}
        self._payer: int | None = None
        self._ledger_lives = True
        self._ledger_died = anyio.Event()

    def ledger_url(self) -> str | None:
        """Where the ledger is; None while it is dead."""
        return self.ledger.url if self._ledger_lives else None

    def kill_payer(self) -> bool:
        """kill -9; False if it is dead already."""
        if self._payer is None:
            return False
        os.kill(self._payer, signal.SIGKILL)
        self._payer = None
        self.killed["payer"] += 1
        return True

    def kill_ledger(self) -> bool:
        """kill -9; False if it is dead already."""
        if not self._ledger_lives:
            return False
        self.ledger.kill()
        self._ledger_lives = False
        self._ledger_died.set()
        self.killed["ledger"] += 1
        return True

    async def live_through(self, line: Line, script: str, arguments: Sequence[str]) -> None:
        """Start the payer again and again, until one of them lives to see everything paid.

        Args:
            script: the file of a program that is led by ``lives.lead``; its first two arguments are
                the line's addresses, one for each endpoint.
        """
        async with (
            serve(line.carry) as url,
            serve(line.carry) as second_url,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(self._revive_ledger)
            command = [sys.executable, script, url, second_url, *arguments]
            # The tests' own folder is on their path, and has to be on the payer's.
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            async with await anyio.open_process(command, stderr=None, env=environment) as payers:
                assert payers.stdin is not None
                assert payers.stdout is not None
                said = BufferedByteReceiveStream(payers.stdout)
                exit_code = None
                with anyio.fail_after(PATIENCE_S):
                    while exit_code != 0:
                        await payers.stdin.send(b"go\n")
                        self._payer = int(await said.receive_until(b"\n", 20))
                        exit_code = int(await said.receive_until(b"\n", 20))
                        self._payer = None
                        assert exit_code in (0, -signal.SIGKILL), "the payer died of itself"
            tasks.cancel_scope.cancel()

    async def _revive_ledger(self) -> None:
        while True:
            await self._ledger_died.wait()
            self._ledger_died = anyio.Event()
            await anyio.to_thread.run_sync(self.ledger.start)
            self._ledger_lives = True

"""``neurogrid-contracts`` given to a real ledger process, with files in a folder."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from contracts.ledger_process import LedgerProcess
from contracts.stalling_proxy import StallingProxy
from neurogrid_contracts.cli.__main__ import main
from neurogrid_wallet.keys import KeyPair

SOL = 10**9


@dataclass
class Chain:
    """A ledger, and commands given to it with files in a folder."""

    ledger: LedgerProcess
    folder: Path

    def key(self, name: str, lamports: int = 10 * SOL) -> KeyPair:
        """A new key in a file, with SOL."""
        key = KeyPair.generate()
        key.write_solana_file(self.path(name))
        if lamports:
            self.ledger.call("requestAirdrop", key.address, lamports)
        return key

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def elf(self, content: bytes) -> str:
        path = self.folder / f"{hashlib.sha256(content).hexdigest()[:8]}.so"
        path.write_bytes(content)
        return str(path)

    def arguments(self, command: str, *rest: str, payer: str = "payer") -> list[str]:
        """A command that pays, with its usual options."""
        state = ["--state", str(self.folder / "state")]
        return [command, *rest, "--url", self.ledger.url, "--payer", str(self.path(payer)), *state]

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, arguments)

    def do(self, command: str, *rest: str, payer: str = "payer") -> dict[str, Any]:
        """Run a command that must succeed; its JSON."""
        result = self.run(*self.arguments(command, *rest, payer=payer), "--json")
        assert result.exit_code == 0, result.output
        answer = json.loads(result.stdout)
        assert isinstance(answer, dict)
        return answer

    def refused(self, exit_code: int, command: str, *rest: str) -> str:
        """Run a command that must fail, and spend nothing; its message."""
        before = self.lamports(KeyPair.read_solana_file(self.path("payer")).address)
        result = self.run(*self.arguments(command, *rest))
        assert result.exit_code == exit_code, result.output
        assert self.lamports(KeyPair.read_solana_file(self.path("payer")).address) == before
        return result.output

    def kill_within(self, command: list[str], *, answered: int) -> None:
        """Run a command whose endpoint falls silent after so many transactions, and kill it there.

        The transaction that is not answered runs all the same: its reply is lost.
        """
        with StallingProxy(self.ledger.port, answered=answered) as proxy:
            arguments = [proxy.url if part == self.ledger.url else part for part in command]
            process = subprocess.Popen(
                [sys.executable, "-m", "neurogrid_contracts.cli", *arguments],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            assert proxy.stalled.wait(60)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

    def verify(self, program: str, *rest: str) -> Result:
        return self.run("verify", program, "--url", self.ledger.url, *rest)

    def lamports(self, address: str) -> int:
        found = self.ledger.call("getBalance", address, {"commitment": "confirmed"})["value"]
        assert isinstance(found, int)
        return found

    def rent(self, data_bytes: int) -> int:
        found = self.ledger.call("getMinimumBalanceForRentExemption", data_bytes)
        assert isinstance(found, int)
        return found

"""The promise itself: a real SVM, a line that loses half of everything, a payer that is killed.

A quarter of all requests never arrive and a quarter of all replies are lost; some transactions are
dropped every time they are sent, until they expire; and the paying process is killed with SIGKILL
again and again, just before and just after its transactions reach the ledger. Every payment is made
once.
"""

import base64
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from solders.pubkey import Pubkey

from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import signature_of
from neurogrid_wallet.usdc import token_address, usdc_balance
from wallet import payer
from wallet.fake_rpc import LostReply, Refusal, serve

pytestmark = pytest.mark.processes

KILLS = 6
FUNDS_MICRO_USDC = 1_000_000
# A transaction that the line always drops expires 182 slots later: after 2 s.
SLOT_MS = 11
START_TIMEOUT_S = 30


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The local ledger, with fast slots; gives what its ``ledger.json`` says."""
    data = tmp_path_factory.mktemp("ledger")
    command = [sys.executable, "-m", "neurogrid_contracts.ledger", "start", "--data", str(data)]
    command += ["--port", "0", "--no-program", "--slot-ms", str(SLOT_MS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "ready" in process.stdout.readline()
            yield json.loads((data / "ledger.json").read_text())
        finally:
            process.terminate()
            process.wait(START_TIMEOUT_S)


class Line:
    """The line between payer and ledger: it loses a lot, and it kills.

    Attributes:
        payer: the id of the process to kill.
        kills: how often that was done.
        sent, dropped: the signatures that went over it, and those that it drops every time.
    """

    def __init__(self, ledger_url: str, seed: int) -> None:
        self.payer: int | None = None
        self.kills = 0
        self.sent: set[str] = set()
        self.dropped: set[str] = set()
        self._ledger_url = ledger_url
        self._random = random.Random(seed)
        self._sends_to_kill = 5
        self._late: list[list[Any]] = []

    def carry(self, method: str, params: list[Any]) -> Any:
        if method == "sendTransaction" and self._drops(signature_of(base64.b64decode(params[0]))):
            raise LostReply
        self._deliver_late()
        fate, kills = self._random.random(), self._sends_to_kill <= 0
        before_it_arrives = self._random.random() < 0.5
        if kills and before_it_arrives:
            self._kill()
        if fate < 0.25:
            if method == "sendTransaction":
                self._late.append(params)
            raise LostReply
        result = self._forward(method, params)
        if kills and not before_it_arrives:
            self._kill()
        if fate < 0.5:
            raise LostReply
        return result

    def _deliver_late(self) -> None:
        """What was lost may only have been slow, and may outlive the process that sent it."""
        if self._late and self._random.random() < 0.2:
            params = self._late.pop(self._random.randrange(len(self._late)))
            with contextlib.suppress(Refusal):
                self._forward("sendTransaction", params)

    def _drops(self, signature: str) -> bool:
        self._sends_to_kill -= 1
        if signature not in self.sent and self._random.random() < 0.1:
            self.dropped.add(signature)
        self.sent.add(signature)
        return signature in self.dropped

    def _kill(self) -> None:
        if self.payer is not None and self.kills < KILLS:
            os.kill(self.payer, signal.SIGKILL)
            self.payer = None
            self.kills += 1
        self._sends_to_kill = self._random.randint(3, 12)

    def _forward(self, method: str, params: list[Any]) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        request = urllib.request.Request(
            self._ledger_url, body.encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            answer = json.load(reply)
        if "error" in answer:
            raise Refusal(**answer["error"])
        return answer["result"]


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_every_payment_is_made_once(ledger: dict[str, Any], tmp_path: Path, backend: str) -> None:
    key = KeyPair.generate()
    anyio.run(_fund, ledger, key)
    line = Line(ledger["rpc_url"], seed=7)

    path = tmp_path / "outbox.sqlite"
    anyio.run(_pay_through, line, backend, path, key, ledger["usdc_mint"])

    assert line.kills == KILLS
    assert line.dropped, "nothing expired, so that nothing was signed again"
    anyio.run(_check, ledger, key)


async def _fund(ledger: dict[str, Any], key: KeyPair) -> None:
    async with Rpc(ledger["rpc_url"]) as rpc:
        await rpc.request_airdrop(Pubkey(key.public_key), 10**9)
        await rpc.call("neurogrid_requestUsdc", [key.address, FUNDS_MICRO_USDC])


async def _pay_through(line: Line, backend: str, path: Path, key: KeyPair, mint: str) -> None:
    """Start the payer again and again, until one of them lives to see everything paid."""
    async with serve(line.carry) as url:
        command = [sys.executable, payer.__file__, backend, url, str(path), key.seed.hex(), mint]
        async with await anyio.open_process(command, stderr=None) as payers:
            assert payers.stdin is not None
            assert payers.stdout is not None
            said = BufferedByteReceiveStream(payers.stdout)
            exit_code = None
            with anyio.fail_after(60):
                while exit_code != 0:
                    await payers.stdin.send(b"go\n")
                    line.payer = int(await said.receive_until(b"\n", 20))
                    exit_code = int(await said.receive_until(b"\n", 20))
                    assert exit_code in (0, -signal.SIGKILL), "the payer died of itself"


async def _check(ledger: dict[str, Any], key: KeyPair) -> None:
    mint = Pubkey.from_string(ledger["usdc_mint"])
    total = 0
    async with Rpc(ledger["rpc_url"]) as rpc:
        for number in range(payer.PAYMENTS + 1):
            times = payer.SAME_PAYMENTS if number == payer.PAYMENTS else 1
            recipient = payer.recipient(key, number)
            balance = await usdc_balance(rpc, mint, recipient)
            assert balance == times * payer.amount_micro_usdc(number)
            records = await rpc.signatures_for_address(token_address(recipient, mint), limit=100)
            assert [record.failure for record in records] == times * [None]
            total += balance
        assert await usdc_balance(rpc, mint, Pubkey(key.public_key)) == FUNDS_MICRO_USDC - total

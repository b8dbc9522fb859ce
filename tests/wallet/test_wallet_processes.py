"""`neurogrid wallet` as real processes: typed at a terminal, killed, two at a time."""

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from contracts.ledger_process import LedgerProcess
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.phrase import parse_phrase
from wallet.command_world import PASSPHRASE, MarketWorld, Shell
from wallet.fake_rpc import Refusal, serve
from wallet.terminal import Terminal

pytestmark = pytest.mark.processes

USDC = 1_000_000
COLD = KeyPair(b"c" * 32)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketWorld]:
    with LedgerProcess(
        tmp_path_factory.mktemp("ledger"), "--slot-ms", "50", "--no-fsync"
    ) as ledger:
        yield MarketWorld.create(ledger)


def _type_passphrase(terminal: Terminal, *passphrases: str) -> None:
    for prompt, passphrase in zip(("Keystore passphrase: ", "Again: "), passphrases, strict=False):
        terminal.expect(prompt)
        terminal.type(passphrase)


def _shown_words(terminal: Terminal, count: int) -> list[str]:
    last = terminal.expect(rf"{count}\. (\w+)")
    words = re.findall(r"\d+\. ([a-z]+)", terminal.screen[: last.end()])
    assert len(words) == count
    return words


def _answer(terminal: Terminal, words: list[str], asked: int) -> None:
    for _ in range(asked):
        number = int(terminal.expect(r"Word (\d+): ")[1])
        terminal.type(words[number - 1])


def test_a_wallet_is_made_at_a_terminal_and_its_words_are_asked_for(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    command, environment = shell.process("new", "main")
    del environment["NEUROGRID_PASSPHRASE"]
    with Terminal(command, environment) as terminal:
        _type_passphrase(terminal, PASSPHRASE, PASSPHRASE)
        words = _shown_words(terminal, 24)
        terminal.expect("written down")
        terminal.type("")
        number = int(terminal.expect(r"Word (\d+): ")[1])
        terminal.type("wrong" if words[number - 1] != "wrong" else "right")
        status, output = terminal.ended()
    assert (status, output) == (2, "")
    assert "neurogrid wallet backup" in terminal.screen
    # What was typed unseen is nowhere.
    assert PASSPHRASE not in terminal.screen

    # It is there, and refuses to be used until the words are right.
    assert shell.refused("address") == (3, "BACKUP_MISSING")
    command, environment = shell.process("backup")
    del environment["NEUROGRID_PASSPHRASE"]
    with Terminal(command, environment) as terminal:
        _type_passphrase(terminal, PASSPHRASE)
        assert _shown_words(terminal, 24) == words
        terminal.expect("written down")
        terminal.type("")
        # The screen was cleared before the question.
        terminal.expect(re.escape("\x1b[2J"))
        _answer(terminal, words, 3)
        status, output = terminal.ended()
    assert status == 0
    address = parse_phrase(" ".join(words)).key().address
    assert address in output
    # One of them alone may be a word of a sentence: the list of them has words like "use" and "open".
    assert not any(f"{one} {next_one}" in output for one, next_one in pairwise(words))
    assert not any(
        re.search(rf"\b{number}\W+{word}\b", output) for number, word in enumerate(words, 1)
    )
    assert shell.run("address") == {"address": address}


def test_a_wrong_passphrase_at_a_terminal_is_named_and_moves_nothing(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    wallet = shell.add("main", COLD)
    before = wallet.keystore_path.read_bytes()
    command, environment = shell.process("export", str(tmp_path / "key.json"), "--yes")
    del environment["NEUROGRID_PASSPHRASE"]
    with Terminal(command, environment) as terminal:
        _type_passphrase(terminal, "wrong")
        assert terminal.ended() == (3, "")
    assert "passphrase is wrong" in terminal.screen
    assert not (tmp_path / "key.json").exists()
    assert wallet.keystore_path.read_bytes() == before


def test_money_moves_after_a_yes_and_not_after_a_no(world: MarketWorld, tmp_path: Path) -> None:
    shell, key, to = world.shell(tmp_path), KeyPair.generate(), KeyPair.generate().address
    world.fund(key, 10 * USDC)
    shell.add("main", key)
    for answer, status, paid in (("n", 2, 0), ("y", 0, 4 * USDC)):
        with Terminal(*shell.process("send", to, "4")) as terminal:
            terminal.expect(f"send 4.00 USDC to {to}")
            terminal.expect("left in the wallet: 6.00 USDC")
            terminal.expect(r"Do it\? \[y/N\]: ")
            terminal.type(answer)
            assert terminal.ended()[0] == status
        assert world.usdc_of(to) == paid


Moment = Callable[[str, bool], bool]
"""Given a method and whether it has been answered, says whether this is the moment."""


class Killer:
    """Stands between a command and the ledger, and kills the command at one moment.

    Attributes:
        victim: the process to kill.
        moment: when.
    """

    def __init__(self, ledger_url: str, moment: Moment) -> None:
        self.victim: int | None = None
        self.moment = moment
        self._ledger_url = ledger_url

    def carry(self, method: str, params: list[Any]) -> Any:
        self._kill_if(method, answered=False)
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        request = urllib.request.Request(
            self._ledger_url, body.encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer = json.load(reply)
        self._kill_if(method, answered=True)
        if "error" in answer:
            raise Refusal(**answer["error"])
        return answer["result"]

    def _kill_if(self, method: str, answered: bool) -> None:
        if self.victim is not None and self.moment(method, answered):
            os.kill(self.victim, signal.SIGKILL)
            self.victim = None


async def _killed(world: MarketWorld, shell: Shell, words: list[str], moment: Moment) -> int | None:
    """Run a command that is killed at this moment; its exit status."""
    killer = Killer(world.ledger.url, moment)
    async with serve(killer.carry) as url:
        command, environment = shell.process(*words, "--yes", "--rpc-url", url)
        async with await anyio.open_process(
            command, env=environment, stdin=subprocess.DEVNULL, stderr=None
        ) as process:
            killer.victim = process.pid
            await process.wait()
            return process.returncode


def _nth(method: str, number: int, *, answered: bool) -> Moment:
    """The moment before a method is carried out for the ``number``-th time, or after it was."""
    calls = [number]

    def moment(called: str, is_answered: bool) -> bool:
        calls[0] -= (called, is_answered) == (method, answered)
        return calls[0] == 0

    return moment


@pytest.mark.parametrize(
    ("verb", "method", "number", "answered", "begun"),
    [
        # The one before the payment is stored.
        ("send", "simulateTransaction", 1, True, False),
        ("send", "sendTransaction", 1, False, True),
        ("send", "sendTransaction", 1, True, True),
        ("deposit", "sendTransaction", 1, True, True),
        # The first plans, the second is for telling the result.
        ("send", "getMultipleAccounts", 2, False, True),
    ],
)
def test_a_command_killed_anywhere_and_repeated_pays_once(
    world: MarketWorld,
    tmp_path: Path,
    verb: str,
    method: str,
    number: int,
    answered: bool,
    begun: bool,
) -> None:
    shell, key, to = world.shell(tmp_path), KeyPair.generate(), KeyPair.generate().address
    world.fund(key, 10 * USDC)
    shell.add("main", key)
    words = ["send", to, "10"] if verb == "send" else ["deposit", "10"]
    # The account is there: what is killed is the deposit itself.
    if verb == "deposit":
        world.fund(key, USDC)
        shell.run("deposit", "1")

    moment = _nth(method, number, answered=answered)
    assert anyio.run(_killed, world, shell, words, moment) == -signal.SIGKILL

    repeated = shell.run(*words)
    assert repeated["resumed"] == begun
    assert repeated["state"] == "finalized"
    assert repeated["wallet"]["USDC"] == "0.00"
    if verb == "send":
        assert world.usdc_of(to) == 10 * USDC
    else:
        assert repeated["client"]["available"] == "11.00"
    # Told once, it is over: the same again would be a second payment.
    assert shell.refused(*words) == (5, "INSUFFICIENT_FUNDS")


def test_what_was_interrupted_can_be_finished_without_being_repeated(
    world: MarketWorld, tmp_path: Path
) -> None:
    shell, key, to = world.shell(tmp_path), KeyPair.generate(), KeyPair.generate().address
    world.fund(key, 10 * USDC)
    shell.add("main", key)

    moment = _nth("sendTransaction", 1, answered=False)
    anyio.run(_killed, world, shell, ["send", to, "3"], moment)
    [finished] = shell.run("resume")
    assert finished["state"] == "finalized"
    assert world.usdc_of(to) == 3 * USDC
    assert shell.run("resume") == []


def test_two_processes_with_one_payment_make_it_once(world: MarketWorld, tmp_path: Path) -> None:
    shell, key, to = world.shell(tmp_path), KeyPair.generate(), KeyPair.generate().address
    world.fund(key, 10 * USDC)
    shell.add("main", key)
    command, environment = shell.process("send", to, "1", "--id", "rent", "--yes", "--json")
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [json.loads(process.communicate(timeout=300)[0]) for process in both]
    # Each found the other at work, made the payment, or found it made; which, is chance.
    states = {answer.get("state", answer.get("error", {}).get("code")) for answer in answers}
    assert states <= {"OUTBOX_IN_USE", "finalized"}
    assert shell.run("send", to, "1", "--id", "rent")["state"] == "finalized"
    assert world.usdc_of(to) == USDC

"""A provider's whole life: what `docs/provider-life.md` says to type, typed, and every balance after it."""

import os
import re
import signal
import string
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from solders.pubkey import Pubkey

from acceptance.network import neurogrid, until
from neurogrid import Client
from neurogrid.models import Task
from neurogrid_contracts.accounts import ClientAccount, EscrowAccount, ProviderAccount
from neurogrid_contracts.deployment import Market
from neurogrid_devnet.engine import remove_containers, unmount_below
from neurogrid_devnet.network_file import Network, read_network
from neurogrid_devnet.node_setup import peer_id_at
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_node.status import read_status
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.usdc import usdc_balance

pytestmark = [pytest.mark.processes, pytest.mark.engine]

PAGE = Path(__file__).parents[2] / "docs" / "provider-life.md"
USDC = 1_000_000
BOND, MAX_COST = USDC // 2, 6 * USDC
# Only ends what hangs.
_COMMAND_S = 600


@dataclass(frozen=True)
class Books:
    """Every balance, in micro-USDC. None of it is anywhere else."""

    wallet: int
    staked: int
    unbonding: int
    slashed: int
    available: int
    locked: int
    treasury: int

    def paid(self, amount: int) -> "Books":
        """After the client paid the provider so much; the fee is 2 %."""
        fee = amount * 2 // 100
        return replace(
            self,
            wallet=self.wallet + amount - fee,
            available=self.available - amount,
            treasury=self.treasury + fee,
        )


class Owner:
    """Somebody who types what the page says, in an empty folder."""

    def __init__(self, folder: Path, portal: BlockingPortal) -> None:
        self.folder = folder
        self.said = ""
        self.names: dict[str, str] = {}
        self._portal = portal
        self._lines = deque(re.findall(r"^\$ (.+)$", PAGE.read_text(), re.MULTILINE))
        self.daemon: subprocess.Popen[bytes] | None = None

    def types(self, beginning: str, *, refused: str = "") -> str:
        """Type the page's next line, which begins so; what it printed.

        Args:
            refused: what the refusal says; else it must succeed.
        """
        line = self._lines.popleft()
        assert line.startswith(beginning), f"the page goes on with: {line}"
        command = string.Template(line).substitute(self.names)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
        self.said = done.stdout + done.stderr
        assert (done.returncode != 0) == bool(refused), f"{command}\n{self.said}"
        assert refused in self.said, f"{command}\n{self.said}"
        return self.said

    def printed(self, pattern: str) -> str:
        """What the pattern's group found in what was printed last."""
        found = re.search(pattern, self.said, re.MULTILINE)
        assert found is not None, f"no {pattern} in {self.said}"
        return found[1]

    def starts(self, beginning: str) -> None:
        """Type a line that goes on in the background."""
        line = self._lines.popleft()
        assert line.startswith(beginning), f"the page goes on with: {line}"
        log = (self.folder / "machine.log").open("wb")
        with log:
            self.daemon = subprocess.Popen(
                ["bash", "-c", f"exec {line.removesuffix('&')}"],
                cwd=self.folder,
                env=self._environment(),
                stdout=log,
                stderr=log,
            )

    def ends_daemon(self) -> None:
        if self.daemon is not None:
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait(_COMMAND_S)
            self.daemon = None

    def assert_page_ends(self) -> None:
        assert not self._lines, f"the page goes on with: {self._lines[0]}"

    @property
    def network(self) -> Network:
        network = read_network(self.folder / "net" / "network.json")
        assert network is not None
        return network

    def books(self) -> Books:
        return self._portal.call(self._books)

    def escrow(self, address: str) -> EscrowAccount | None:
        return self._portal.call(self._escrow, address)

    def escrow_of(self, lease_id: str) -> str:
        owner = Pubkey.from_string(self.network.client_wallet)
        deployment = Market.load(Path(self.network.chain)).deployment
        return str(deployment.escrow(owner, escrow_job_id(lease_id)))

    async def _escrow(self, address: str) -> EscrowAccount | None:
        async with Rpc(self.network.ledger_url) as rpc:
            found = await rpc.get_account(Pubkey.from_string(address))
        return EscrowAccount.parse(found.data) if found else None

    async def _books(self) -> Books:
        network = self.network
        deployment = Market.load(Path(network.chain)).deployment
        owner = Pubkey.from_string(self.names["WALLET"])
        client_owner = Pubkey.from_string(network.client_wallet)
        async with Rpc(network.ledger_url) as rpc:
            provider_data, client_data = await rpc.get_accounts(
                [deployment.provider(owner), deployment.client(client_owner)]
            )
            wallet = await usdc_balance(rpc, deployment.usdc_mint, owner)
            treasury = await usdc_balance(
                rpc, deployment.usdc_mint, Pubkey.from_string(network.treasury_wallet)
            )
        assert client_data is not None
        client = ClientAccount.parse(client_data.data)
        provider = ProviderAccount.parse(provider_data.data) if provider_data else None
        return Books(
            wallet=wallet,
            staked=provider.staked_micro_usdc if provider else 0,
            unbonding=provider.unbonding_micro_usdc if provider else 0,
            slashed=provider.slashed_micro_usdc if provider else 0,
            available=client.available_micro_usdc,
            locked=client.locked_micro_usdc,
            treasury=treasury,
        )

    def _environment(self) -> dict[str, str]:
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": programs, "HOME": str(self.folder)}


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    with start_blocking_portal("trio") as portal:
        made = Owner(tmp_path, portal)
        try:
            yield made
        finally:
            made.ends_daemon()
            peer_id = peer_id_at(tmp_path / "machine")
            if peer_id is not None:
                problems = trio.run(remove_containers, [peer_id])
                assert not problems + unmount_below(tmp_path / "machine")
            stopped = neurogrid("devnet", "down", "--data", str(tmp_path / "net"))
            assert stopped.returncode == 0, stopped.stderr


@contextmanager
def client_of(owner: Owner) -> Iterator[Client]:
    with Client(network=owner.folder / "net" / "network.json") as client:
        yield client


def running(owner: Owner, client: Client) -> None:
    """Wait until the task that was just submitted runs; the page calls it and its escrow by name."""
    owner.names["TASK"] = owner.printed(r"(task_[0-9a-f]{32})")

    def look() -> Task | None:
        task = client.tasks.get(owner.names["TASK"])
        assert not task.ended, task.error
        return task if task.phase == "running" else None

    task = until(look, "the job runs")
    owner.names["ESCROW"] = owner.escrow_of(task.leases[0].id)


def settled(owner: Owner, client: Client) -> int:
    """Wait until the task's money has moved; what was paid, micro-USDC."""

    def look() -> Task | None:
        task = client.tasks.get(owner.names["TASK"])
        return task if task.settled else None

    paid = until(look, "the task is settled").leases[0].paid
    return int(paid * USDC)


def test_a_providers_whole_life(owner: Owner) -> None:
    owner.types("neurogrid devnet up")
    owner.names["COORDINATOR"] = owner.network.coordinator.p2p_address
    owner.types("neurogrid devnet lose")
    owner.types("neurogrid-node init")
    owner.names["WALLET"] = owner.printed(r"^wallet +(\S+)$")
    owner.types("neurogrid devnet fund")
    deposit = 10_000 * USDC
    books = Books(100 * USDC, 0, 0, 0, deposit, 0, 0)
    assert owner.books() == books

    owner.types("neurogrid-node register")
    assert owner.books() == books
    owner.types("neurogrid-node stake 20.00")
    books = replace(books, wallet=80 * USDC, staked=20 * USDC)
    assert owner.books() == books

    with client_of(owner) as client:
        owner.starts("neurogrid-node start")
        owner.types("neurogrid submit")
        owner.names["TASK"] = owner.printed(r"(task_[0-9a-f]{32})")
        earned = settled(owner, client)
        assert 0 < earned < MAX_COST
        books = books.paid(earned)
        assert owner.books() == books
        assert "in 1 job" in owner.types("neurogrid-node earnings")

        # The client is right: everything and its bond come back, and a part of the stake.
        owner.types("neurogrid submit")
        running(owner, client)
        assert owner.names["ESCROW"] in owner.types("neurogrid-node earnings")
        before = replace(books, available=books.available - MAX_COST, locked=MAX_COST)
        assert owner.books() == before
        owner.types("neurogrid-contracts dispute open")
        disputed = replace(before, available=before.available - BOND, locked=MAX_COST + BOND)
        assert owner.books() == disputed
        owner.types("echo")
        slash = "neurogrid-contracts dispute slash"
        owner.types(slash, refused="OVER_LIMIT: this dispute may take at most 4.00 USDC")
        owner.types(slash, refused="FAULT_NOT_PROVEN: node-lost happens to the honest too")
        assert owner.books() == disputed
        owner.types(slash)
        slashed = replace(
            disputed,
            staked=18 * USDC,
            slashed=2 * USDC,
            available=disputed.available + 2 * USDC,
        )
        assert owner.books() == slashed
        owner.types(slash, refused="WRONG_STATE: slashed already: 2.00 USDC")
        owner.types("neurogrid cancel")
        owner.types("neurogrid-contracts dispute resolve")
        books = replace(
            books, staked=18 * USDC, slashed=2 * USDC, available=books.available + 2 * USDC
        )
        assert owner.books() == books
        assert settled(owner, client) == 0
        assert "slashed   2.00 USDC" in owner.types("neurogrid-node earnings")

        # The client is wrong: the provider is paid, and gets the client's bond.
        owner.types("neurogrid submit")
        running(owner, client)
        owner.types("neurogrid-contracts dispute open")
        owner.types("neurogrid cancel")
        owner.types("neurogrid-contracts dispute resolve")
        books = books.paid(MAX_COST)
        books = replace(books, wallet=books.wallet + BOND, available=books.available - BOND)
        assert owner.books() == books
        assert settled(owner, client) == MAX_COST
        owner.types("neurogrid-node earnings")

    owner.types("neurogrid-node unstake 18.00")
    books = replace(books, staked=0, unbonding=18 * USDC)
    assert owner.books() == books

    owner.types("neurogrid-node withdraw", refused="STILL_UNBONDING: 18.00 USDC")

    def noticed() -> bool:
        status = read_status(owner.folder / "machine")
        return status is not None and not status["accepting"]

    until(noticed, "the node notices that its stake is gone")
    assert "no new work: 0.00 USDC are staked" in owner.types("neurogrid-node status")
    owner.types("neurogrid-node rebond 8.00")
    assert owner.books() == replace(books, staked=8 * USDC, unbonding=10 * USDC)
    owner.types("neurogrid-node unstake 8.00")
    assert owner.books() == books
    owner.types("neurogrid-node close", refused="STAKE_LEFT: 0.00 USDC are staked and 18.00")
    owner.types("neurogrid devnet warp")
    owner.types("neurogrid-node withdraw")
    books = replace(books, unbonding=0, wallet=books.wallet + 18 * USDC)
    assert owner.books() == books
    owner.types("neurogrid-node close")
    # Its account is gone, with the record of what was slashed.
    books = replace(books, slashed=0)
    assert owner.books() == books
    owner.assert_page_ends()
    # Nobody gained or lost but by what is written above.
    assert books.wallet + books.available + books.treasury == 100 * USDC + deposit

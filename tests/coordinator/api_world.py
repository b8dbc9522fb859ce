"""The api as tests see it: the real application and store, and a market and a chain that do as told.

What nodes and the orchestrator would do to a task is done here by the real rules (`steps`).
"""

import asyncio
import base64
import hashlib
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from coordinator.api_lives import TaskLives
from coordinator.api_loops import Loops
from coordinator.api_surroundings import FakeChain, FakeMarket, Web
from coordinator.catalogue import CATALOGUE
from coordinator.fake_wallet_chain import FakeWalletChain
from coordinator.places import place_in
from coordinator.records import NOW_MS, node_id, wallet
from neurogrid_coordinator.api.app import create_app
from neurogrid_coordinator.api.collaborators import Collaborators, Settings
from neurogrid_coordinator.batches.batch_runner import BatchRunner
from neurogrid_coordinator.batches.scheduler import Scheduler
from neurogrid_coordinator.files.artifacts import BlobStore, LeaseTokens
from neurogrid_coordinator.files.disk_blobs import DiskBlobs
from neurogrid_coordinator.files.uploads import Uploads
from neurogrid_coordinator.files.url_fetch import UrlFetcher
from neurogrid_coordinator.market.errors import MarketAway
from neurogrid_coordinator.market.job_stream import JobStream
from neurogrid_coordinator.market.reports import NodeView, Traffic
from neurogrid_coordinator.money.client_funds import ClientFunds
from neurogrid_coordinator.money.vouchers import VoucherDesk
from neurogrid_coordinator.services.artifacts import Limits
from neurogrid_coordinator.services.mailboxes import OpenStream
from neurogrid_coordinator.services.models import ModelSettings
from neurogrid_coordinator.services.nodes import Nodes
from neurogrid_coordinator.services.operations import OperationSettings
from neurogrid_coordinator.services.pulse import Pulse
from neurogrid_coordinator.services.submission import Terms
from neurogrid_coordinator.services.task_changes import TaskChanges
from neurogrid_coordinator.store import accounts
from neurogrid_coordinator.store.accounts import USUAL_ROLES, Account
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.feed import Feed
from neurogrid_coordinator.tasks import steps
from neurogrid_coordinator.trust.spot_checks import SpotChecks
from neurogrid_marketplace.checkpoint import CHECKPOINT_RUNTIME
from neurogrid_marketplace.gang import GANG_RUNTIME
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.request_signing import SIGNATURE_HEADER, TIMESTAMP_HEADER, request_text
from neurogrid_marketplace.resources import Capacity, Gpu
from neurogrid_marketplace.standing import Standing
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.task_events import CancelRequested, KeySent
from neurogrid_wallet.keys import KeyPair

OpenJobStream = Callable[[str], Awaitable[JobStream]]

GIB = 1024**3
USDC = 1_000_000
SCOPES = ("read", "write")
NETWORK = "ng-0123456789abcdef"
TERMS = Terms(
    bid_window_ms=250,
    voucher_interval_s=30,
    dead_after_s=45,
    queue_timeout_s=600,
    timeout_s_max=7 * 24 * 3600,
)


def keys_of(name: str) -> KeyPair:
    """Of the wallet that the customer of this name has."""
    return KeyPair(hashlib.sha256(f"wallet of {name}".encode()).digest())


def node_view(name: str, **changes: Any) -> NodeView:
    """A node with four cores and one GPU, asking 0.10 USDC per core and 1.00 per GPU."""
    total = Capacity(4000, 8 * GIB, 100 * GIB, (Gpu("GPU-1", "NVIDIA L4", 24 * GIB, "8.9"),))
    values: dict[str, Any] = {
        "node_id": node_id(name),
        "wallet": wallet(name),
        "software": "neurogrid/0.1.0",
        "region": "eu-west",
        "total": total,
        "free": total,
        "prices": PriceList(cpu_core_micro_usdc_per_hour=USDC // 10, gpu_micro_usdc_per_hour=USDC),
        "summary": "a test machine",
        "runtimes": (GANG_RUNTIME, CHECKPOINT_RUNTIME),
    }
    return NodeView(Offer(**(values | changes)), NOW_MS, NOW_MS + 90_000, ())


@dataclass(frozen=True)
class Customer:
    """An account with a key, a client that sends it, and the key pair of its wallet."""

    account: Account
    key: str
    http: httpx.AsyncClient
    wallet: KeyPair

    def signed(
        self, method: str, target: str, body: bytes = b"", timestamp_s: int | None = None
    ) -> dict[str, str]:
        """The headers with the wallet's signature of a request; now, if no other time is given."""
        at_s = int(time.time()) if timestamp_s is None else timestamp_s
        text = request_text(
            network=NETWORK,
            method=method,
            target=target,
            timestamp_s=at_s,
            body_sha256=hashlib.sha256(body).hexdigest(),
        )
        signature = base64.b64encode(self.wallet.sign(text.encode())).decode()
        return {SIGNATURE_HEADER: signature, TIMESTAMP_HEADER: str(at_s)}


class World(TaskLives):
    """One coordinator's api with everything behind it."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        settings: Settings,
        open_job_stream: OpenJobStream,
        blobs: BlobStore | None,
    ) -> None:
        super().__init__(database, Feed())
        self.settings = settings
        self.limits = settings.limits
        self.market = FakeMarket([node_view("one"), node_view("two")])
        self.chain = FakeChain()
        self.wallets = FakeWalletChain(self.chain.funds_of)
        self.web = Web()
        self.standings: dict[str, Standing] = {}
        self.nodes = Nodes(database, self.standings.get, challenges_scored=False)
        self.blobs_folder = folder / "artifacts"
        disk = DiskBlobs(self.blobs_folder, free_bytes_min=0)
        disk.prepare()
        self.blobs = blobs or disk
        self.tokens = LeaseTokens(b"t" * 32)
        self.uploads = folder / "uploads"
        self.uploads.mkdir(exist_ok=True)
        self.stopping = asyncio.Event()
        # The market's ends of streams of nodes that speak through the api.
        self.mail: list[socket.socket] = []
        self.open_mailbox_stream: OpenStream = self._mailbox_stream
        # Their loops do not run here, and pass for ones that do.
        self.orchestrator, self.scheduler_pulse = Pulse(), Pulse()
        self.orchestrator.beat()
        self.scheduler_pulse.beat()
        self.woken: list[str] = []
        self.collaborators = Collaborators(
            database=database,
            feed=self.feed,
            blobs=self.blobs,
            tokens=self.tokens,
            fetcher=UrlFetcher(self.web.outbound()),
            webhook_outbound=self.web.outbound(),
            uploads=Uploads(self.uploads, writable=True),
            nodes=self.nodes,
            commitments=SpotChecks(
                b"s" * 32, challenges_scored=False, now_ms=lambda: self.now_ms
            ).commitments,
            explain=self.market.explain,
            market_is_up=lambda: not self.market.away,
            traffic=lambda: Traffic(3, 2, {"denied": 1}),
            funds=self.chain.funds,
            wallet_chain=self.wallets,
            transfer_submitted=lambda: None,
            voucher=VoucherDesk(KeyPair(b"v" * 32), 7).voucher,
            wake=lambda state: self.woken.append(state.task.task_id),
            request_cancel=self.request_cancel,
            request_cancel_all=self._request_cancel_all,
            send_key=self._send_key,
            open_job_stream=open_job_stream,
            open_mailbox_stream=lambda *wanted: self.open_mailbox_stream(*wanted),
            orchestrator=self.orchestrator,
            scheduler=self.scheduler_pulse,
            stopping=self.stopping,
        )
        self.app: FastAPI = create_app(settings, self.collaborators)

    def task_changes(self, database: Any = None, *, deciding_s: float = 0) -> TaskChanges:
        """What changes tasks, with this database."""
        return Loops(self, database or self.database).task_changes(deciding_s)

    def batch_runner(self, database: Database | None = None) -> BatchRunner:
        """What moves batches, with this database: tests call its `look`."""
        return Loops(self, database or self.database).batch_runner()

    def scheduler(self, database: Database | None = None) -> Scheduler:
        """What runs schedules, with this database: tests call its `look`."""
        return Loops(self, database or self.database).scheduler()

    async def customer(
        self,
        name: str,
        *,
        deposit: int = 100 * USDC,
        scopes: tuple[str, ...] = SCOPES,
        roles: tuple[str, ...] = USUAL_ROLES,
    ) -> Customer:
        """A new account with a deposit on the chain."""
        keys = keys_of(name)
        account = await self.database.write(
            lambda conn: accounts.create(conn, name, keys.address, NOW_MS, roles)
        )
        self.chain.funds_of[account.wallet] = ClientFunds(deposit, 0, deposit, 5 * USDC)
        return Customer(account, *await self.key_of(account, scopes), keys)

    async def key_of(
        self,
        account: Account,
        scopes: tuple[str, ...] = SCOPES,
        expires_at_ms: int | None = None,
        roles: tuple[str, ...] | None = None,
    ) -> tuple[str, httpx.AsyncClient]:
        """A key and a client that sends it; ``roles``: None for its account's."""
        issued = await self.database.write(
            lambda conn: accounts.issue_key(
                conn,
                account.id,
                "test",
                scopes,
                NOW_MS,
                expires_at_ms,
                roles=account.roles if roles is None else roles,
            )
        )
        return issued.secret, self.client(issued.secret)

    def client(self, key: str = "") -> httpx.AsyncClient:
        """A client with this key; "" for none."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers)

    async def upload(self, task_id: str, path: str, data: bytes) -> OutputFile:
        """The node of the task's lease puts an output."""
        digest = hashlib.sha256(data).hexdigest()
        lease = (await self.state(task_id)).lease
        assert lease is not None
        node = self.client(self.tokens.token(lease.lease_id))
        answer = await node.put(f"/api/v1/artifacts/{digest}", content=data)
        assert answer.status_code == 201, answer.text
        return OutputFile(path, digest, len(data))

    async def request_cancel(self, task_id: str) -> Phase:
        return (await self.step(task_id, CancelRequested())).phase

    def _mailbox_stream(self, node_id: str, mailbox: str, is_lease: bool) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.mail.append(theirs)
        return ours

    async def _send_key(self, task_id: str, key: KeySent) -> None:
        await self.step(task_id, key)

    async def _request_cancel_all(self, task_ids: Sequence[str]) -> None:
        await self.database.write(steps.take_all, task_ids, CancelRequested(), self.now_ms)


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


async def _no_job_stream(node_id: str) -> JobStream:
    raise MarketAway("this test has no jobs")


@asynccontextmanager
async def open_world(
    folder: Path,
    open_job_stream: OpenJobStream | None = None,
    blobs: BlobStore | None = None,
    **changes: Any,
) -> AsyncGenerator[World]:
    """A world with its database in ``folder``, and its files too; ``changes`` are of its `Settings`."""
    values: dict[str, Any] = {
        "network": NETWORK,
        "terms": TERMS,
        "limits": Limits(file_bytes=1_000_000, account_bytes=3_000_000),
        # Tests that read whole answers read streams, too.
        "event_stream_s": 0.2,
        # Nobody runs tasks here by itself, so who waits for one waits in vain.
        "operations": OperationSettings(wait_s=1),
        "models": ModelSettings(CATALOGUE, wait_s=1),
    }
    async with Database.open(place_in(_made(folder))) as database:
        settings = Settings(**(values | changes))
        world = World(database, folder, settings, open_job_stream or _no_job_stream, blobs)
        for view in world.market.views:
            await world.nodes.on_node(view.offer.node_id, "joined", view)
        yield world
        for theirs in world.mail:
            theirs.close()
        # Until who reads has seen it, and closed as well.
        for _ in range(5):
            await asyncio.sleep(0)


TASK = {
    "name": "Resize images",
    "type": "cpu",
    "resource_requirements": {"cpu_cores": 2, "ram_gb": 1, "storage_gb": 5},
    "docker_image": "neurogrid/job:1",
    "command": ["python", "resize.py"],
    "max_price_per_hour": "10.00",
    "timeout_seconds": 3600,
    "priority": "high",
}

# As document 004 prints it; natively it has a kind beside it.
OPERATION = {
    "operation": "matrix_multiply",
    "parameters": {"size": 1000, "iterations": 10},
    "device_preference": "auto",
    "priority": 1,
}

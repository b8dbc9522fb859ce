"""A market on the machines of a topology: a chain, two coordinators and a node, each a real process.

public   the ledger; the coordinator `near`, which also relays
office   behind a NAT: the coordinator `far`, which nodes reach through near's relay
garage   behind another: the node, which serves both, and direct clients through near's relay
meadow   on the public network: a node that lists no coordinator, and runs where a test has it run
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import trio
from solders.pubkey import Pubkey

from acceptance.network import JOB_IMAGE, MAX_PRICE, PATIENCE_S, until
from netns.topology import PUBLIC, PUBLIC_IP, Topology, command_in, inside_of, topology
from neurogrid import Client
from neurogrid.errors import ConnectionFailed
from neurogrid.models import Task
from neurogrid_coordinator.setup import initialise as make_coordinator
from neurogrid_devnet.engine import remove_containers, unmount_below
from neurogrid_devnet.layout import Layout
from neurogrid_devnet.market_setup import (
    Keys,
    LedgerInfo,
    load_keys,
    open_chain,
    read_ledger_info,
    write_chain_file,
)
from neurogrid_devnet.terms import Terms
from neurogrid_node.key_files import forgo_backup
from neurogrid_node.setup import initialise as make_node
from neurogrid_p2p.address import through_relay
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.usdc import usdc_balance

OFFICE, GARAGE, MEADOW = "office", "garage", "meadow"
_HTTP_PORT, _P2P_PORT, _DISCOVERY_PORT, _LEDGER_PORT = 8080, 4001, 4003, 8899
# Beyond this a connection counts as dead, both ways; 45 s unless it is set.
SILENCE_S = 10
# And beyond this a lease would be given up.
DEAD_AFTER_S = 120
_SETTINGS: dict[str, str | int | Sequence[str]] = {
    "timers.silence_s": SILENCE_S,
    "timers.dead_after_s": DEAD_AFTER_S,
    "timers.voucher_interval_s": 2,
    "timers.bid_window_ms": 1000,
    # Tests look again and again whether something has happened.
    "requests.default_tier": "",
    "requests.per_address_per_minute": 0,
}


@dataclass(frozen=True)
class Coordinator:
    """A coordinator, and a client of its own beside it on the same machine."""

    name: str
    place: str
    data: Path
    operator: str
    node_address: str
    url: str
    client_wallet: KeyPair


class World:
    """The running market. Made by `running`."""

    def __init__(self, topology: Topology, folder: Path) -> None:
        self.topology = topology
        self._folder = folder
        self._layout = Layout(folder / "chain")
        self._processes = ExitStack()
        self.clients: dict[str, Client] = {}
        self.near: Coordinator
        self.far: Coordinator
        self.node_id = ""
        self._finders: list[str] = []
        self.direct_wallet = folder / "direct-wallet.json"
        self._node_wallet = ""
        self._ledger: LedgerInfo

    def start(self) -> None:
        """Bring everything up; returns when the node has reached both coordinators."""
        self._layout.make_folders()
        self._start_ledger()
        keys = load_keys(self._layout)
        write_chain_file(self._layout, self._ledger, keys.admin)
        self.near = self._make_near(keys.client)
        self.far = self._make_far(KeyPair.generate())
        made = make_node(
            self._folder / "node",
            coordinators=(self.near.node_address, self.far.node_address),
            chain_file=self._layout.chain,
            region="local",
            encrypted=False,
            passphrase_file=None,
            back_up=forgo_backup,
            settings={
                "silence_s": SILENCE_S,
                "offer.memory_gib": 1,
                "offer.disk_gib": 1,
                "relays": [self.near.node_address],
                "direct.serve": True,
            },
        )
        self.node_id, self._node_wallet = made.peer_id, made.wallet
        with inside_of(PUBLIC):
            trio.run(self._fund, keys)
        for coordinator in (self.near, self.far):
            self._start_coordinator(coordinator)
        self._start_process(
            "node", GARAGE, "neurogrid_node", "start", "--data", str(made.config.parent)
        )
        for coordinator in (self.near, self.far):
            until(partial(self._is_reached_by, coordinator), f"the node reaches {coordinator.name}")

    def stop(self) -> None:
        """End every process and remove the node's containers."""
        for client in self.clients.values():
            client.close()
        self._processes.close()
        node_ids = [each for each in (self.node_id, *self._finders) if each]
        if node_ids:
            assert trio.run(remove_containers, node_ids) == []
            assert unmount_below(self._folder) == []

    def ask(self, coordinator: Coordinator, question: Callable[[Client], Any]) -> Any:
        """What a client on the coordinator's own machine hears."""
        with inside_of(coordinator.place):
            return question(self.clients[coordinator.name])

    def submit(self, coordinator: Coordinator, *command: str, region: str | None = None) -> Task:
        """A small job without files; of a node in ``region``, if that is named."""
        task = self.ask(
            coordinator,
            lambda client: client.tasks.create(
                docker_image=JOB_IMAGE,
                command=command,
                max_price_per_hour=MAX_PRICE,
                timeout_seconds=300,
                regions=(region,) if region else (),
                resource_requirements={"cpu_cores": 0.2, "ram_gb": 0.1, "storage_gb": 0.05},
            ),
        )
        assert isinstance(task, Task)
        return task

    def until_task(
        self, coordinator: Coordinator, task_id: str, condition: Callable[[Task], bool], what: str
    ) -> Task:
        """The task once it is as it should be."""

        def look() -> Task | None:
            task = self.task(coordinator, task_id)
            return task if condition(task) else None

        task = until(look, f"{task_id} {what}")
        assert isinstance(task, Task)
        return task

    def earned_micro_usdc(self) -> int:
        """What is in the node's wallet."""
        with inside_of(PUBLIC):
            return trio.run(self._usdc_of_node)

    @property
    def meeting_place(self) -> str:
        """Where near is announced, and is a rendezvous point and a node of the DHT."""

        def look() -> str:
            info = json.loads((self.near.data / "coordinator.json").read_text())
            return str(next(iter(info["discovery_addresses"]), ""))

        return str(until(look, "near is announced"))

    def make_finder(self) -> "Finder":
        """A node in the meadow that lists no coordinator; it does not run yet."""
        self.topology.add_public(MEADOW)
        finder = Finder(self, self._folder / MEADOW)
        finder.configure({"discovery.mdns": True})
        self._finders.append(finder.node_id)
        with inside_of(PUBLIC):
            trio.run(self._fund_node, finder.wallet)
        return finder

    @property
    def chain_file(self) -> Path:
        """Which market on which chain."""
        return self._layout.chain

    @property
    def node_address(self) -> str:
        """Where the node is reached by who cannot be reached either."""
        return through_relay(self.near.node_address, self.node_id)

    def misses_node(self, coordinator: Coordinator) -> bool:
        """Whether the node's connection there is over."""
        node = self.ask(coordinator, lambda client: client.nodes.get(self.node_id))
        return bool(node.status == "offline")

    def task(self, coordinator: Coordinator, task_id: str) -> Task:
        """A task now."""
        task = self.ask(coordinator, lambda client: client.tasks.get(task_id))
        assert isinstance(task, Task)
        return task

    def log(self, coordinator: Coordinator, task_id: str) -> str:
        """What a job has printed."""
        return str(self.ask(coordinator, lambda client: client.tasks.get_logs(task_id)))

    def _is_reached_by(self, coordinator: Coordinator) -> bool:
        try:
            nodes = self.ask(coordinator, lambda client: client.nodes.list().nodes)
        except ConnectionFailed:
            return False
        return any(node.status == "online" for node in nodes)

    def _start_ledger(self) -> None:
        where = ("--host", PUBLIC_IP, "--port", str(_LEDGER_PORT), "--data")
        data = str(self._layout.ledger)
        self._start_process("ledger", PUBLIC, "neurogrid_contracts.ledger", "start", *where, data)
        info = until(lambda: read_ledger_info(self._layout), "the ledger runs")
        assert isinstance(info, LedgerInfo)
        self._ledger = info

    def _make_near(self, client: KeyPair) -> Coordinator:
        listen = f"/ip4/{PUBLIC_IP}/tcp/{_P2P_PORT}"
        data = self._folder / "near"
        made = make_coordinator(
            data,
            chain_file=self._layout.chain,
            http_listen=f"{PUBLIC_IP}:{_HTTP_PORT}",
            p2p_listen=(listen,),
            settings={
                **_SETTINGS,
                "relay.serve": True,
                "discovery.listen": [f"/ip4/{PUBLIC_IP}/tcp/{_DISCOVERY_PORT}"],
                "discovery.mdns": True,
                "discovery.serve": True,
                # As far as the internet goes, nobody is at 198.51.100.0/24 (RFC 5737).
                "discovery.private": True,
            },
        )
        url = f"http://{PUBLIC_IP}:{_HTTP_PORT}"
        address = f"{listen}/p2p/{made.peer_id}"
        return Coordinator("near", PUBLIC, data, made.operator, address, url, client)

    def _make_far(self, client: KeyPair) -> Coordinator:
        data = self._folder / "far"
        made = make_coordinator(
            data,
            chain_file=self._layout.chain,
            http_listen=f"127.0.0.1:{_HTTP_PORT}",
            p2p_listen=(f"/ip4/127.0.0.1/tcp/{_P2P_PORT}",),
            settings={**_SETTINGS, "p2p.relays": [self.near.node_address]},
        )
        url = f"http://127.0.0.1:{_HTTP_PORT}"
        address = through_relay(self.near.node_address, made.peer_id)
        return Coordinator("far", OFFICE, data, made.operator, address, url, client)

    def _start_coordinator(self, coordinator: Coordinator) -> None:
        key = _api_key(coordinator)
        self.clients[coordinator.name] = Client(key, coordinator.url, retries_max=0)
        module = ("neurogrid_coordinator", "start", "--data", str(coordinator.data))
        self._start_process(coordinator.name, coordinator.place, *module)

    def _start_process(self, name: str, place: str, *module: str) -> None:
        log = self._processes.enter_context((self._folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command_in(place, sys.executable, "-m", *module), stdout=log, stderr=log
        )
        self._processes.callback(_end, process)

    async def _fund(self, keys: Keys) -> None:
        async with open_chain(self._layout, keys, self._ledger) as chain:
            await chain.create_market(Terms())
            await chain.fund_provider(self._node_wallet)
            await chain.fund_operator(self.near.operator)
            await chain.fund_operator(self.far.operator)
            await chain.open_client(keys.client, self.near.operator)
        # A client account has one operator, so the other coordinator has another client.
        direct = KeyPair.generate()
        direct.write_solana_file(self.direct_wallet)
        for name, wallet in (("second", self.far.client_wallet), ("direct", direct)):
            layout = Layout(self._folder / name)
            layout.make_folders()
            others = replace(keys, client=wallet)
            async with open_chain(layout, others, self._ledger) as chain:
                await chain.open_client(others.client, self.far.operator)

    async def _fund_node(self, wallet: str) -> None:
        async with open_chain(self._layout, load_keys(self._layout), self._ledger) as chain:
            await chain.fund_provider(wallet)

    async def _usdc_of_node(self) -> int:
        async with Rpc(self._ledger.rpc_url) as rpc:
            mint = Pubkey.from_string(self._ledger.usdc_mint)
            return await usdc_balance(rpc, mint, Pubkey.from_string(self._node_wallet))


class Finder:
    """A node that has to find its coordinators. Made by `World.make_finder`."""

    def __init__(self, world: World, data: Path) -> None:
        self.data = data
        self.node_id = self.wallet = ""
        self._world = world

    def configure(self, found_by: Mapping[str, str | int | Sequence[str]]) -> None:
        """Give it another node.toml; it keeps its keys."""
        (self.data / "node.toml").unlink(missing_ok=True)
        made = make_node(
            self.data,
            coordinators=(),
            chain_file=self._world.chain_file,
            region=MEADOW,
            encrypted=False,
            passphrase_file=None,
            back_up=forgo_backup,
            settings={
                "offer.memory_gib": 1,
                "offer.disk_gib": 1,
                "discovery.join": [self._world.near.node_address.rpartition("/")[2]],
                "discovery.private": True,
                "discovery.interval_s": 2,
                **found_by,
            },
        )
        self.node_id, self.wallet = made.peer_id, made.wallet

    @contextmanager
    def running(self) -> Iterator[int]:
        """Run it for the length of the block; its process id."""
        with (self.data / "log").open("ab") as log:
            process = subprocess.Popen(self.command("start"), stdout=log, stderr=log, cwd=self.data)
            try:
                yield process.pid
            finally:
                _end(process)

    def command(self, *words: str) -> list[str]:
        """One of its commands, as its owner types it."""
        return command_in(
            MEADOW, sys.executable, "-m", "neurogrid_node", *words, "--data", str(self.data)
        )

    def is_joined(self) -> bool:
        """Whether near has it."""
        nodes = self._world.ask(self._world.near, lambda client: client.nodes.list().nodes)
        return any(node.id == self.node_id and node.status == "online" for node in nodes)


def _api_key(coordinator: Coordinator) -> str:
    """The key of a new account for the coordinator's client."""
    wallet = coordinator.client_wallet.address
    done = subprocess.run(
        [
            *(sys.executable, "-m", "neurogrid_coordinator", "account", "create", "--json"),
            *("--data", str(coordinator.data), "--name", "client", "--wallet", wallet),
        ],
        check=True,
        capture_output=True,
    )
    return str(json.loads(done.stdout)["api_key"])


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def running(folder: Path) -> Iterator[World]:
    """The whole market; at the end nothing is left."""
    with topology() as network:
        network.add_behind_nat(OFFICE)
        network.add_behind_nat(GARAGE)
        world = World(network, folder)
        try:
            world.start()
            yield world
        finally:
            world.stop()

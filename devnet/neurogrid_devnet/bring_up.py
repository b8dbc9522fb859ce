"""From nothing to a market that takes jobs. The order is what depends on what, and no more:

ledger -> market on chain -> coordinator's and nodes' keys -> money for them
                                    -> coordinator, nodes -> the client's account -> ready
"""

import http.client
import json
import os
import sys
from dataclasses import asdict

import trio

from .coordinator_setup import (
    CoordinatorIdentity,
    api_key,
    make_coordinator,
    read_coordinator_info,
)
from .engine import check_engine
from .errors import StartFailed
from .layout import COORDINATOR, HOST, LEDGER, Layout, Settings, count_nodes, node_name
from .market_setup import (
    Chain,
    Keys,
    LedgerInfo,
    load_keys,
    open_chain,
    read_ledger_info,
    write_chain_file,
)
from .network_file import CoordinatorEntry, Network, NodeEntry
from .node_setup import NodeIdentity, make_node
from .supervisor import Service, Supervisor

_LOOK_INTERVAL_S = 0.05
# On two idle cores a devnet of three nodes is ready in under ten seconds; a busy machine may take
# several times as long.
_READY_TIMEOUT_S = 120.0
_ACCEPTING_INTERVAL_S = 0.1
_ANSWER_TIMEOUT_S = 5.0


class Devnet:
    """A devnet that is coming up, or is up."""

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        supervisor: Supervisor,
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._supervisor = supervisor
        self._keys: Keys | None = None
        self._ledger: LedgerInfo | None = None
        self._coordinator: CoordinatorIdentity | None = None
        self._nodes: list[NodeIdentity] = []
        self._api_key = ""
        self._provider_api_key = ""
        self._operator_api_key = ""

    async def bring_up(self) -> None:
        """Start everything; returns when a job can be placed.

        Raises:
            DevnetError: what is missing, and what to do.
        """
        with trio.move_on_after(_READY_TIMEOUT_S) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(check_engine)
                nursery.start_soon(self._start_all)
            return
        assert scope.cancelled_caught
        raise StartFailed(
            f"the devnet is not ready after {_READY_TIMEOUT_S:g} s; its logs are in "
            f"{self._layout.logs}"
        )

    async def _start_all(self) -> None:
        layout, settings = self._layout, self._settings
        self._supervisor.say("starting the ledger")
        self._supervisor.start(_ledger_service(layout, settings))
        self._keys = keys = await trio.to_thread.run_sync(load_keys, layout)
        self._ledger = ledger = await self._ledger_ready()
        write_chain_file(layout, ledger, keys.admin)
        async with open_chain(layout, keys, ledger) as chain:
            self._supervisor.say("creating the market")
            await chain.create_market(settings.terms)
            coordinator = await trio.to_thread.run_sync(
                make_coordinator, layout, settings, keys.client.address, keys.models.address
            )
            self._coordinator = coordinator
            await chain.fund_operator(coordinator.operator)
            self._supervisor.say(f"starting the coordinator and {count_nodes(settings.nodes)}")
            self._supervisor.start(_coordinator_service(layout))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._get_api_keys, keys)
                await self._start_nodes(chain, coordinator)
                await chain.open_client(keys.client, coordinator.operator)
                await chain.open_client(keys.models, coordinator.operator)
        await self._until_accepting()

    async def _ledger_ready(self) -> LedgerInfo:
        while True:
            info = read_ledger_info(self._layout)
            # The file may be the one of a process that was killed.
            if info is not None and info.pid == self._supervisor.pid(LEDGER):
                return info
            await trio.sleep(_LOOK_INTERVAL_S)

    async def _start_nodes(self, chain: Chain, coordinator: CoordinatorIdentity) -> None:
        of = self._settings.nodes
        for number in range(1, of + 1):
            node = await trio.to_thread.run_sync(
                make_node, self._layout, number, of, coordinator.p2p_address
            )
            self._nodes.append(node)
            await chain.fund_provider(node.wallet)
            self._supervisor.start(_node_service(self._layout, node))
        if self._nodes:
            owner, path = self._nodes[0].wallet, self._layout.provider_api_key
            self._provider_api_key = await api_key(
                self._layout, "provider", owner, path, ("provider",)
            )

    async def _get_api_keys(self, keys: Keys) -> None:
        layout = self._layout
        self._api_key = await api_key(layout, "devnet", keys.client.address, layout.api_key)
        await api_key(layout, "models", keys.models.address, layout.models_api_key)
        self._operator_api_key = await api_key(
            layout, "operator", keys.treasury.address, layout.operator_api_key, ("operator",)
        )

    async def _until_accepting(self) -> None:
        """Wait until the api answers and every node takes work."""
        expected = {node.peer_id for node in self._nodes if self._may_run(node)}
        while True:
            info = read_coordinator_info(self._layout)
            if info is not None and info.api_pid == self._supervisor.pid(COORDINATOR):
                accepting = await trio.to_thread.run_sync(
                    _accepting_nodes, self._settings.api_port, self._api_key
                )
                if expected <= accepting:
                    return
            await trio.sleep(_ACCEPTING_INTERVAL_S)

    def _may_run(self, node: NodeIdentity) -> bool:
        return not self._layout.lost_mark(node.number).exists()

    def network(self) -> Network:
        """What network.json says, as of now."""
        assert self._keys is not None, "the devnet is up"
        assert self._ledger is not None, "the devnet is up"
        assert self._coordinator is not None, "the devnet is up"
        layout = self._layout
        info = read_coordinator_info(layout)
        api_pid = self._supervisor.pid(COORDINATOR)
        is_current = info is not None and info.api_pid == api_pid
        api_url = f"http://{HOST}:{self._settings.api_port}"
        return Network(
            api_url=api_url,
            api_key=self._api_key,
            ledger_url=self._ledger.rpc_url,
            client_keypair=str(layout.client_key),
            nodes=[
                NodeEntry(
                    peer_id=node.peer_id,
                    wallet=node.wallet,
                    pid=self._supervisor.pid(node_name(node.number)),
                    name=node_name(node.number),
                    data=str(node.data),
                )
                for node in self._nodes
            ],
            coordinator=CoordinatorEntry(
                api_pid=api_pid,
                market_pid=info.market_pid if info is not None and is_current else 0,
                data=str(layout.coordinator),
                operator=self._coordinator.operator,
                p2p_address=self._coordinator.p2p_address,
            ),
            dashboard_url=f"{api_url}/dashboard",
            ledger_pid=self._supervisor.pid(LEDGER),
            supervisor_pid=os.getpid(),
            client_wallet=self._keys.client.address,
            treasury_wallet=self._keys.treasury.address,
            admin_keypair=str(layout.admin_key),
            arbiter_keypair=str(layout.arbiter_key),
            terms=asdict(self._settings.terms),
            chain=str(layout.chain),
            data=str(layout.root),
            provider_api_key=self._provider_api_key,
            operator_api_key=self._operator_api_key,
        )


def _accepting_nodes(port: int, api_key: str) -> set[str]:
    """The nodes that take work, by peer id; none while the api does not answer."""
    # Not httpx: it would be half of what this process loads.
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWER_TIMEOUT_S)
    try:
        connection.request(
            "GET", "/api/v1/nodes?limit=100", headers={"Authorization": f"Bearer {api_key}"}
        )
        nodes = json.loads(connection.getresponse().read())["data"]["nodes"]
        return {node["id"] for node in nodes if node["accepting"] and node["status"] != "offline"}
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return set()
    finally:
        connection.close()


def _ledger_service(layout: Layout, settings: Settings) -> Service:
    command = (sys.executable, "-m", "neurogrid_contracts.ledger", "start")
    where = ("--data", str(layout.ledger), "--port", str(settings.ledger_port))
    return Service(LEDGER, (*command, *where), layout.log(LEDGER))


def _coordinator_service(layout: Layout) -> Service:
    command = (sys.executable, "-m", "neurogrid_coordinator", "start")
    where = ("--data", str(layout.coordinator))
    return Service(COORDINATOR, (*command, *where), layout.log(COORDINATOR))


def _node_service(layout: Layout, node: NodeIdentity) -> Service:
    mark = layout.lost_mark(node.number)
    name = node_name(node.number)
    command = (sys.executable, "-m", "neurogrid_node", "start", "--data", str(node.data))
    return Service(name, command, layout.log(name), may_run=lambda: not mark.exists())

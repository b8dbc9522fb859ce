"""The composition root of the api process: builds everything, supervises it, says where it is."""

import asyncio
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MappingProxyType

import uvicorn
from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import ConfigAccount
from neurogrid_contracts.chain_payments import open_outbox
from neurogrid_marketplace.envelope import Envelope, network_id
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.messages import FILES_OVER_CONNECTION, Message
from neurogrid_marketplace.money import parse_usdc
from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import signers_from

from .api.app import API, Collaborators, Settings, create_app
from .artifacts import BlobStore, LeaseTokens
from .attendance import Attendance
from .chain import Chain
from .challenger import Challenger
from .comparisons import Comparisons
from .config import CONFIG_NAME, Config, ConfigError, P2pConfig, load_config
from .evidence import ReceiptDesk
from .gpu_sightings import GpuSightings
from .market.client import MarketClient
from .market.deliveries import NodeChange
from .market.reports import NodeView
from .market.settings import MarketSettings, NodeLimits
from .market_terms import load_terms
from .node_desk import NodeDesk
from .orchestrator import Orchestrator
from .outgoing import Outgoing
from .outputs import OutputCheck
from .reconciler import Reconciler
from .services.artifacts import Limits
from .services.balances import Balances
from .services.nodes import Nodes
from .services.submission import Terms
from .services.tasks import Tasks
from .settler import Settler
from .setup import DATABASE_FILE, IDENTITY_FILE, INFO_FILE, Keys
from .spot_checks import SpotChecks
from .standings import Standings
from .starts import StartDesk
from .store.database import Database
from .store.feed import Feed
from .verifier import Verifier
from .vouchers import VoucherDesk

_log = logging.getLogger(__name__)

# Open answers (streams, websockets) end on their own when they are told to; this is for the rest.
_SHUTDOWN_S = 2
_INFO_INTERVAL_S = 0.1
_CHAIN_RETRY_S = 1.0
# A payment that is forgotten could be made again: far longer than any lease may last.
_PAYMENTS_KEPT_S = 90 * 86_400
_FORGET_INTERVAL_S = 3600


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the API is reached: by others, and from this machine."""

    listener: socket.socket
    url: str
    local: str


async def run(
    config: Config, directory: Path, keys: Keys, told: Mapping[str, object] = MappingProxyType({})
) -> None:
    """Run the coordinator until SIGTERM or SIGINT.

    Args:
        told: what else coordinator.json says.

    Raises:
        OutboxInUse: another coordinator runs on this directory.
        OSError: an address is taken.
    """
    chain_config = config.chain
    network = network_id(chain_config.genesis_hash, chain_config.program_id)
    operator = Pubkey.from_bytes(keys.operator.public_key)
    stopping = asyncio.Event()
    place = _listen(config)
    blobs = BlobStore(directory / "artifacts")
    await asyncio.to_thread(blobs.prepare)
    async with (
        Database.open(
            directory / DATABASE_FILE, queue_max=config.limits.database_queue
        ) as database,
        open_outbox(chain_config, directory / "payments.db", signers_from([keys.operator])) as (
            rpc,
            outbox,
        ),
    ):
        terms = await _terms(rpc, config, directory)
        chain = Chain(
            rpc=rpc,
            outbox=outbox,
            deployment=chain_config.deployment,
            operator=operator,
            terms=terms,
        )
        feed = Feed()
        vouchers = VoucherDesk(keys.session, terms.domain)
        tokens = LeaseTokens(keys.session.derive(b"artifact tokens").seed)
        starts = StartDesk(
            vouchers=vouchers,
            tokens=tokens,
            artifacts_url=lambda: (
                FILES_OVER_CONNECTION if config.p2p.files else f"{place.url}{API}/artifacts"
            ),
            addresses_of=lambda node_id: (
                offer.addresses if (offer := market.offer(node_id)) is not None else ()
            ),
        )
        attendance = Attendance(_now_ms())
        task_terms = Terms(
            bid_window_ms=config.timers.bid_window_ms,
            voucher_interval_s=config.timers.voucher_interval_s,
            dead_after_s=config.timers.dead_after_s,
            queue_timeout_s=config.timers.queue_timeout_s,
            timeout_s_max=chain.timeout_s_max,
        )

        # The market calls those who call the market: the desk is there before the first message.
        async def on_message(node_id: str, envelope: Envelope, message: Message) -> None:
            await desk.on_message(node_id, envelope, message)

        async def on_node(node_id: str, change: NodeChange, view: NodeView) -> None:
            await nodes.on_node(node_id, change, view)
            await standings.on_node(node_id, change, view)
            await gpus.on_node(node_id, change, view)
            await desk.on_node(node_id, change, view)

        market = MarketClient(
            MarketSettings(
                key_file=str(directory / IDENTITY_FILE),
                network=network,
                listen=config.p2p.listen,
                limits=_node_limits(config.p2p),
                dial=config.p2p.dial,
                files=place.local if config.p2p.files else "",
                silence_s=config.timers.silence_s,
                min_stake_micro_usdc=parse_usdc(config.trust.min_stake_usdc),
                relays=config.p2p.relays,
                relay=config.relay.limits,
                announcement=config.discovery.announcement,
            ),
            on_message,
            on_node,
        )
        market.admit(config.peers.lists)
        standings = Standings(
            database=database,
            stakes=chain.stakes,
            tell=market.set_standings,
            challenges_scored=config.trust.score_challenges,
            now_ms=_now_ms,
        )
        nodes = Nodes(database, standings.of, challenges_scored=config.trust.score_challenges)
        gpus = GpuSightings(database=database, found_out=standings.changed, now_ms=_now_ms)
        spot_checks = SpotChecks(
            keys.session.derive(b"spot checks").seed,
            challenges_scored=config.trust.score_challenges,
            now_ms=_now_ms,
        )
        verifier = Verifier(
            database=database,
            funds=chain.funds.get,
            comparisons=Comparisons(blobs),
            is_checked=spot_checks.is_checked,
            now_ms=_now_ms,
        )
        outgoing = Outgoing(market)
        orchestrator = Orchestrator(
            database=database,
            feed=feed,
            market=market,
            outgoing=outgoing,
            attendance=attendance,
            settle=lambda lease_id: settler.changed(lease_id),
            start_of=starts.start_of,
            check_outputs=OutputCheck(database, blobs),
            found_out=standings.changed,
            look_at_group=verifier.look,
            now_ms=_now_ms,
            turns_max=config.limits.steps,
        )
        settler = Settler(
            database=database,
            feed=feed,
            chain=chain,
            vouchers=vouchers,
            receipts=ReceiptDesk(
                sign=keys.identity.sign,
                network=network,
                coordinator=peer_id_of(keys.identity.public_key),
                deployment=chain_config.deployment,
                vouchers=vouchers,
            ),
            tell=outgoing.tell,
            follow=orchestrator.follow,
            now_ms=_now_ms,
        )
        reconciler = Reconciler(
            database=database,
            rpc=rpc,
            deployment=chain_config.deployment,
            operator=operator,
            voucher_signer=lambda lease_id: vouchers.signer(lease_id).address,
            undecided=outbox.undecided_ids,
            now_ms=_now_ms,
        )
        desk = NodeDesk(
            database=database,
            feed=feed,
            orchestrator=orchestrator,
            attendance=attendance,
            outgoing=outgoing,
            vouchers=vouchers,
            settle=settler.changed,
            found_out=standings.changed,
            now_ms=_now_ms,
        )
        tasks = Tasks(
            database=database,
            feed=feed,
            terms=task_terms,
            explain=market.explain,
            may_return=nodes.may_return,
            balances=Balances(database, chain.funds.get),
            wake=orchestrator.wake,
            request_cancel=orchestrator.request_cancel,
        )
        challenger = Challenger(
            config.trust.challenges,
            database=database,
            tasks=tasks,
            blobs=blobs,
            offer_of=nodes.offer,
            connected=nodes.connected_ids,
            secret=keys.session.derive(b"challenges").seed,
            sign=keys.identity.sign,
            network=network,
            coordinator=peer_id_of(keys.identity.public_key),
            found_out=standings.changed,
            now_ms=_now_ms,
        )
        app = create_app(
            Settings(
                network=network,
                terms=task_terms,
                limits=Limits(config.limits.artifact_bytes, config.limits.account_artifact_bytes),
                public_url=place.url,
                requests_per_minute=config.http.requests_per_minute,
            ),
            Collaborators(
                database=database,
                feed=feed,
                blobs=blobs,
                tokens=tokens,
                nodes=nodes,
                commitments=spot_checks.commitments,
                explain=market.explain,
                market_is_up=lambda: market.pid is not None,
                traffic=lambda: market.traffic,
                funds=chain.funds.get,
                wake=orchestrator.wake,
                request_cancel=orchestrator.request_cancel,
                request_cancel_all=orchestrator.request_cancel_all,
                send_key=orchestrator.send_key,
                stopping=stopping,
            ),
        )
        server = _Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=_SHUTDOWN_S,
                ws_max_size=64 * 1024,
            ),
            stopping,
        )
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(outbox.run(), name="outbox"),
                group.create_task(orchestrator.run(), name="orchestrator"),
            ]
            # Nobody tells the orchestrator anything before it knows its tasks.
            await orchestrator.ready.wait()
            background += [
                group.create_task(settler.run(), name="settler"),
                group.create_task(
                    reconciler.run(config.timers.reconcile_interval_s), name="reconciler"
                ),
                group.create_task(_keep(market), name="market"),
                group.create_task(follow_lists(directory, market), name="peers"),
                group.create_task(standings.run(), name="standings"),
                group.create_task(challenger.run(), name="challenger"),
                group.create_task(_forget_payments(outbox), name="payments"),
                group.create_task(
                    _say_where(
                        directory, place, market, {**told, "operator": keys.operator.address}
                    ),
                    name="info",
                ),
            ]
            # The API does not wait for the market process, which takes seconds to start.
            await server.serve(sockets=[place.listener])
            for task in background:
                task.cancel()
        await outgoing.aclose()
        (directory / INFO_FILE).unlink(missing_ok=True)


def _node_limits(p2p: P2pConfig) -> NodeLimits:
    return NodeLimits(
        nodes=p2p.nodes,
        connections_per_host=p2p.connections_per_host,
        connections_per_network=p2p.connections_per_network,
        handshakes_per_network=p2p.handshakes_per_network,
        handshake_s=p2p.handshake_s,
        leases_per_node=p2p.leases_per_node,
        messages_per_s=p2p.messages_per_s,
        bytes_per_s=p2p.bytes_per_s,
    )


async def follow_lists(directory: Path, market: MarketClient) -> None:
    """Read the lists of peers again at every SIGHUP."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    while True:
        await asked.wait()
        asked.clear()
        try:
            lists = load_config(directory / CONFIG_NAME).peers.lists
        except ConfigError as error:
            _log.error("the lists of peers stay as they are: %s", error)
            continue
        market.admit(lists)
        _log.info("peers: %d allowed, %d denied", len(lists.allow), len(lists.deny))


async def _keep(market: MarketClient) -> None:
    """Have the market process running until this is cancelled."""
    async with market:
        await asyncio.Event().wait()


async def _forget_payments(outbox: Outbox) -> None:
    """Drop payments that were decided long ago."""
    while True:
        forgotten = await outbox.forget_decided(time.time() - _PAYMENTS_KEPT_S)
        if forgotten:
            _log.info("forgot %d old payments", forgotten)
        await asyncio.sleep(_FORGET_INTERVAL_S)


class _Server(uvicorn.Server):
    """A server that tells long answers to end when it is told to stop."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._loop = asyncio.get_running_loop()
        # uvicorn raises the signal again when it has stopped; ours must not end the process before
        # everything else has stopped too.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        super().handle_exit(sig, frame)


def _listen(config: Config) -> _Place:
    family = socket.AF_INET6 if ":" in config.http.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((config.http.host, config.http.port))
    # Where it listens everywhere, and nobody said how others reach it, it is reached from here.
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.http.host, config.http.host)
    host = f"[{local}]" if family == socket.AF_INET6 else local
    url = config.http.public_url.rstrip("/") or f"http://{host}:{listener.getsockname()[1]}"
    return _Place(listener, url, f"{host}:{listener.getsockname()[1]}")


async def _terms(rpc: Rpc, config: Config, directory: Path) -> ConfigAccount:
    """The market's terms, waiting for a chain that is away at the very first start."""
    complained = False
    while True:
        try:
            return await load_terms(rpc, config.chain.deployment, directory / "market.terms")
        except RpcError as error:
            if not complained:
                _log.warning("waiting for the chain at %s: %s", config.chain.rpc_url, error)
            complained = True
            await asyncio.sleep(_CHAIN_RETRY_S)


async def _say_where(
    directory: Path, place: _Place, market: MarketClient, told: Mapping[str, object]
) -> None:
    """Keep coordinator.json true: the market's pid changes when it is restarted."""
    written: dict[str, object] = {}
    while True:
        info: dict[str, object] = {
            "api_url": place.url,
            "api_pid": os.getpid(),
            "market_pid": market.pid,
            "peer_id": market.peer_id,
            "p2p_addresses": list(market.addresses),
            "discovery_addresses": list(market.discovery_addresses),
            **told,
        }
        if market.pid is not None and info != written:
            await asyncio.to_thread(_replace, directory / INFO_FILE, info)
            written = info
        await asyncio.sleep(_INFO_INTERVAL_S)


def _replace(path: Path, document: dict[str, object]) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(document, indent=2) + "\n")
    partial.replace(path)

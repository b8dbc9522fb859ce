"""The composition root of neurogrid-node: builds everything and runs it in one nursery."""

import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio
from solders.pubkey import Pubkey

from neurogrid_marketplace import __version__
from neurogrid_marketplace.envelope import Envelope, network_id
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import Message
from neurogrid_marketplace.money import parse_usdc
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.resources import Capacity
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.session import Party
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import signers_from

from .artifacts import http_client
from .bidder import Policy
from .config import Config
from .container import Engine, connect_engine
from .earnings import Earnings
from .executor import LeaseRunner
from .inventory import Inventory, take_inventory
from .journal import Journal
from .network import CoordinatorLink
from .provider import Provider
from .reservations import Reservations
from .sandbox import Sandbox
from .setup import Keys
from .status import CoordinatorStatus, LeaseLine, NodeStatus, write_status
from .workspace import Workspaces

_log = logging.getLogger(__name__)

_STATUS_INTERVAL_S = 1.0
# A tag may move and an image be removed, so what is known of images is looked up again after this.
_IMAGE_KNOWN_S = 10.0
_IMAGES_KNOWN_MAX = 512
_GIB = 1024**3


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def run(config: Config, directory: Path, keys: Keys) -> None:
    """Run the node until SIGTERM or SIGINT. Its containers run on and are adopted at the next start.

    Raises:
        EngineUnavailable: no container engine answers; the message says what to do.
        JournalError: another node runs on this directory.
    """
    peer_id = peer_id_of(keys.identity.public_key)
    chain = config.chain
    deployment = chain.deployment()
    wallet = Pubkey.from_bytes(keys.wallet.public_key)
    party = Party(
        peer_id, network_id(chain.genesis_hash, chain.program_id), keys.identity.sign, _now_ms
    )
    async with (
        connect_engine(peer_id) as engine,
        Rpc(chain.rpc_url) as rpc,
        Outbox(directory / "payments.db", rpc=rpc, signers=signers_from([keys.wallet])) as outbox,
        open_host(keys.identity.seed, config.listen) as host,
        http_client() as http,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
        nursery.start_soon(outbox.run)
        journal = Journal(directory / "journal.db")
        slot = trio.CapacityLimiter(1)
        earnings = Earnings(rpc, outbox, deployment, wallet)
        workspaces = await Workspaces.open(directory / "workspaces")
        inventory = await take_inventory(directory, gpus=config.offer.gpus)
        reservations = Reservations(_capacity(inventory, config))
        sandbox = Sandbox(
            engine=engine,
            workspaces=workspaces,
            earnings=earnings,
            journal=journal,
            journal_slot=slot,
            http=http,
            logs=_made(directory / "logs"),
            held=reservations.held,
            pids=config.offer.pids,
            may_pull=config.images.pull,
            stall_timeout_s=config.images.stall_timeout_s,
            now_ms=_now_ms,
        )
        links: dict[str, CoordinatorLink] = {}

        def start_runner(lease: NodeLease, *, resumed: bool = False) -> LeaseRunner:
            runner = LeaseRunner(
                lease,
                journal=journal,
                journal_slot=slot,
                sandbox=sandbox,
                earnings=earnings,
                link=links.get(lease.coordinator) or _Nobody(),
                now_ms=_now_ms,
                started=provider.started_in,
                forget=provider.forget,
            )
            nursery.start_soon(lambda: runner.run(resumed=resumed))
            return runner

        provider = Provider(
            Offer(
                node_id=peer_id,
                wallet=str(wallet),
                software=f"neurogrid-node/{__version__}",
                region=config.region,
                total=reservations.total,
                free=reservations.total,
                prices=config.prices.price_list(),
                enforcement=workspaces.enforcement,
                engine=f"docker {engine.info.version}",
                summary=inventory.summary,
            ),
            policy=Policy(
                prices=config.prices.price_list(),
                wallet=str(wallet),
                max_timeout_s=config.risk.max_timeout_s,
                may_pull=config.images.pull,
                allowed_image_prefixes=config.images.allow,
            ),
            max_unpaid_ms=config.risk.max_unpaid_s * 1000,
            reservations=reservations,
            journal=journal,
            journal_slot=slot,
            has_image=_image_lookup(engine),
            start_runner=start_runner,
            now_ms=_now_ms,
        )
        for address in config.coordinators:
            link = _link(host, address, party, provider)
            links[link.coordinator] = provider.links[link.coordinator] = link
        for lease, held in journal.load():
            reservations.restore(lease.lease_id, held)
            provider.runners[lease.lease_id] = start_runner(lease, resumed=True)
        await sandbox.sweep(set(provider.runners))
        for link in links.values():
            nursery.start_soon(link.run)
        nursery.start_soon(_open_for_business, provider, earnings, config)
        nursery.start_soon(_show_status, directory, provider, reservations, earnings, journal, slot)
        _log.info("%s is up: %s", peer_id, inventory.summary)


def _capacity(inventory: Inventory, config: Config) -> Capacity:
    """What of the machine is offered."""
    offer = config.offer
    cores = min(offer.cpu_cores or inventory.cpu_cores, inventory.cpu_cores)
    memory = min(offer.memory_gib * _GIB or inventory.memory_bytes, inventory.memory_bytes)
    disk = min(offer.disk_gib * _GIB or inventory.disk_free_bytes, inventory.disk_free_bytes)
    return Capacity(cores * 1000, memory, disk, inventory.offered_gpus())


def _link(host: Host, address: str, party: Party, provider: Provider) -> CoordinatorLink:
    async def received(link: CoordinatorLink, envelope: Envelope, message: Message) -> None:
        await provider.received(link, envelope, message)

    return CoordinatorLink(
        host,
        address,
        party,
        hello=provider.hello,
        heartbeat=provider.heartbeat,
        joined=provider.joined,
        received=received,
    )


class _Nobody:
    """The link of a lease whose coordinator is no longer in the configuration."""

    def is_connected(self) -> bool:
        return False

    async def send(self, message: Message) -> None:
        return None

    def beat_soon(self) -> None:
        return None


def _image_lookup(engine: Engine) -> Callable[[str], Awaitable[bool]]:
    known: dict[str, tuple[float, bool]] = {}

    async def has_image(reference: str) -> bool:
        found = known.get(reference)
        if found is None or trio.current_time() - found[0] > _IMAGE_KNOWN_S:
            if len(known) >= _IMAGES_KNOWN_MAX:
                known.clear()
            there = await engine.image(reference) is not None
            known[reference] = found = (trio.current_time(), there)
        return found[1]

    return has_image


async def _open_for_business(provider: Provider, earnings: Earnings, config: Config) -> None:
    """Accept work once the stake is in place: nobody's escrow would open before."""
    await earnings.ensure_provider(parse_usdc(config.risk.stake_usdc))
    provider.accepting = True
    for link in provider.links.values():
        link.beat_soon()


async def _show_status(
    directory: Path,
    provider: Provider,
    reservations: Reservations,
    earnings: Earnings,
    journal: Journal,
    slot: trio.CapacityLimiter,
) -> None:
    while True:
        paid = await trio.to_thread.run_sync(journal.earnings, limiter=slot)
        free = reservations.free(_now_ms())
        offer = provider.offer
        status = NodeStatus(
            pid=os.getpid(),
            peer_id=offer.node_id,
            wallet=offer.wallet,
            region=offer.region,
            summary=offer.summary,
            accepting=provider.accepting,
            staked_micro_usdc=earnings.staked_micro_usdc,
            earned_micro_usdc=paid.micro_usdc,
            leases_paid=paid.leases,
            cpu_millis_free=free.cpu_millis,
            cpu_millis_total=offer.total.cpu_millis,
            memory_bytes_free=free.memory_bytes,
            memory_bytes_total=offer.total.memory_bytes,
            gpus=tuple(gpu.model for gpu in offer.total.gpus),
            coordinators=tuple(
                CoordinatorStatus(link.coordinator, link.is_connected())
                for link in provider.links.values()
            ),
            leases=tuple(
                LeaseLine(
                    runner.lease.lease_id,
                    runner.lease.phase.value,
                    runner.status().metered_ms,
                    runner.status().progress_permille,
                    runner.lease.award.price_micro_usdc_per_hour,
                )
                for runner in provider.runners.values()
            ),
            updated_at_ms=_now_ms(),
        )
        await trio.to_thread.run_sync(write_status, directory, status)
        await trio.sleep(_STATUS_INTERVAL_S)


async def _stop_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            _log.info("stopping on %s; jobs run on", signal.Signals(number).name)
            scope.cancel()
            return


def _made(path: Path) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    return path

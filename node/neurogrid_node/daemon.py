"""The composition root of neurogrid-node: builds everything and runs it in one nursery."""

import logging
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import trio
from solders.pubkey import Pubkey

from neurogrid_contracts.chain_payments import open_outbox
from neurogrid_marketplace import __version__
from neurogrid_marketplace.envelope import network_id
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.input_seal import SEALED_INPUTS
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import DIRECT_PROTOCOL_ID
from neurogrid_marketplace.money import parse_usdc
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.resources import Capacity
from neurogrid_p2p.address import parse_address
from neurogrid_p2p.errors import AddressInvalid
from neurogrid_p2p.gate import Limits as HostLimits
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.relay_reservation import RelayReservations
from neurogrid_p2p.session import Party
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.transactions import signers_from

from .artifacts import http_client
from .bidder import Policy
from .chain import Market
from .config import CONFIG_NAME, Config, ConfigError, load_config
from .container import Engine, connect_engine
from .container_errors import EngineError, EngineUnavailable
from .direct import DirectClients
from .discovery import FoundCoordinators
from .earnings import Earnings
from .earnings_check import EarningsCheck
from .executor import LeaseRunner, Reports
from .file_streams import FileStreams, OpenBytes
from .found import Rules
from .gang_offer import offer_gangs
from .gangs import Gangs, with_gangs
from .images import Images
from .inventory import Inventory, take_inventory
from .journal import Journal, JournalThread
from .lease_stream import LeaseStream, NoStream
from .left_market import has_left
from .network import CoordinatorLink
from .preparation import Limits, Preparation
from .provider import Provider
from .reclaiming import follow_requests
from .reservations import Reservations
from .sandbox import Sandbox
from .setup import Keys
from .staking import Staking
from .status_file import show_status
from .watching import Watcher
from .workspace import Enforcement, Workspaces

_log = logging.getLogger(__name__)

# Whoever may ask for a payment again (a lease in the journal) is over long before.
_PAYMENTS_KEPT_S = 30 * 24 * 3600
_HOUSEKEEPING_S = 3600
# How soon coordinators hear of an image that a job has brought.
_IMAGES_S = 15
_GIB = 1024**3
_BYTES_PER_MBIT = 125_000


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def run(config: Config, directory: Path, keys: Keys) -> None:
    """Run the node until SIGTERM or SIGINT. Its containers run on and are adopted at the next start.

    Raises:
        EngineError: no container engine answers, or it cannot hold jobs; the message says what to do.
        JournalError: another node runs on this directory.
    """
    # First of all: it is what keeps a second daemon out.
    journal = Journal(directory / "journal.db")
    try:
        await _run(config, directory, keys, journal)
    finally:
        journal.close()


async def _run(config: Config, directory: Path, keys: Keys, opened: Journal) -> None:
    peer_id = peer_id_of(keys.identity.public_key)
    chain = config.chain
    wallet = Pubkey.from_bytes(keys.wallet.public_key)
    party = Party(
        peer_id, network_id(chain.genesis_hash, chain.program_id), keys.identity.sign, _now_ms
    )
    policy = Policy(
        prices=config.prices.price_list(),
        wallet=str(wallet),
        region=config.region,
        max_timeout_s=config.risk.max_timeout_s,
        may_pull=config.images.pull,
        allowed_image_prefixes=config.images.allow,
        conditions=config.conditions.clauses(),
        spot=config.spot.terms(),
        displaces=config.spot.take and config.spot.displace,
    )
    links: dict[str, CoordinatorLink] = {}

    def stream_to(coordinator: str) -> OpenBytes | None:
        link = links.get(coordinator)
        return link.open_bytes if link is not None else None

    async with (
        connect_engine(peer_id) as engine,
        open_outbox(chain, directory / "payments.db", signers_from([keys.wallet])) as (rpc, outbox),
        open_host(keys.identity.seed, config.listen, with_gangs(HostLimits())) as host,
        http_client(streams=FileStreams(stream_to)) as http,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
        host.admit(config.peers.lists())
        nursery.start_soon(follow_lists, directory, host)
        nursery.start_soon(outbox.run)
        _check_engine(engine)
        journal = JournalThread(opened)
        market = Market(rpc, chain.deployment(), wallet, chain.genesis_hash)
        account = market.deployment.provider(wallet)
        staking = Staking(market, outbox, has_left=lambda: has_left(directory, account))
        earnings = Earnings(market, outbox, _now_ms)
        workspaces = await Workspaces.open(directory / "workspaces")
        inventory = await take_inventory(directory, gpus=config.offer.gpus)
        leases = await journal.call(Journal.load)
        # What is free does not count the disks that leases have already.
        is_hard = workspaces.enforcement is Enforcement.HARD
        in_use = sum(held.need.disk_bytes for _, held in leases) if is_hard else 0
        reservations = Reservations(_capacity(inventory, config, in_use))
        own_hosts = _own_hosts(config, links)
        relayed = RelayReservations(host, config.relays)
        gangs = Gangs(
            engine,
            host,
            relayed,
            _relays(config).get,
            _made(directory / "gangs"),
            config.gang.mbit_per_s * _BYTES_PER_MBIT,
            nursery,
        )
        sandbox = Sandbox(
            engine=engine,
            workspaces=workspaces,
            preparation=Preparation(
                engine=engine,
                workspaces=workspaces,
                earnings=earnings,
                gangs=gangs,
                journal=journal,
                http=http,
                policy=policy,
                limits=Limits(config.offer.pids, config.images.stall_timeout_s),
                held=reservations.held,
                own_hosts=own_hosts,
                now_ms=_now_ms,
                make_room=lambda lease_id: provider.make_room(lease_id),
            ),
            watcher=Watcher(engine, workspaces, gangs, config.offer.pids),
            gangs=gangs,
            journal=journal,
            http=http,
            logs=_made(directory / "logs"),
            own_hosts=own_hosts,
            now_ms=_now_ms,
        )

        def start_runner(lease: NodeLease, *, resumed: bool = False) -> LeaseRunner:
            link = links.get(lease.coordinator)
            runner = LeaseRunner(
                lease,
                journal=journal,
                sandbox=sandbox,
                earnings=earnings,
                link=LeaseStream(lease.lease_id, link) if link else NoStream(),
                now_ms=_now_ms,
                reports=Reports(provider.started, provider.cleared, provider.forgotten),
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
                prices=policy.prices,
                enforcement=workspaces.enforcement,
                engine=f"docker {engine.info.version}",
                images=await engine.images(),
                summary=inventory.summary,
                privacy=(SEALED_INPUTS,),
                gpu_driver=inventory.driver_version,
                runtimes=engine.info.job_runtimes,
                spot=policy.spot,
            ),
            policy=policy,
            max_unpaid_ms=config.risk.max_unpaid_s * 1000,
            reservations=reservations,
            journal=journal,
            image_bytes=Images(engine).size_bytes,
            start_runner=start_runner,
            now_ms=_now_ms,
            starts=await journal.call(Journal.starts),
        )

        def link_to(address: str) -> CoordinatorLink:
            return CoordinatorLink(
                host,
                address,
                party,
                hello=provider.hello,
                heartbeat=provider.heartbeat,
                received=provider.received,
                silence_limit_s=config.silence_s,
            )

        provider.links = links
        for address in config.coordinators:
            link = link_to(address)
            links[link.coordinator] = link
        dialled = list(links.values())
        finder = FoundCoordinators(
            directory,
            Rules(config.discovery, party.network, frozenset(links), host.refusal),
            link_to,
            links,
            provider.has_leases_of,
            _now_ms,
        )
        finder.restore({lease.coordinator for lease, _ in leases}.__contains__)
        clients = DirectClients(config.direct, link_to, links, provider.has_leases_of)
        if config.direct.serve:
            for lease, _ in leases:
                clients.expect(lease.coordinator)
        for lease, held in leases:
            reservations.restore(lease.lease_id, held)
            await gangs.restore(lease)
            provider.runners[lease.lease_id] = start_runner(lease, resumed=True)
        for lease_id in provider.runners:
            # Whoever was to make room for it may not have heard of it before we were killed.
            provider.make_room(lease_id)
        await sandbox.sweep(set(provider.runners))
        for link in dialled:
            nursery.start_soon(link.run)
        nursery.start_soon(finder.run)
        if config.direct.serve:
            host.serve(DIRECT_PROTOCOL_ID, clients.serve)
        nursery.start_soon(relayed.run)
        nursery.start_soon(offer_gangs, gangs, host, config, provider)
        stake = parse_usdc(config.risk.stake_usdc)
        nursery.start_soon(_open_for_business, provider, staking, stake)
        earnings_check = EarningsCheck(journal, market)
        nursery.start_soon(earnings_check.run)
        nursery.start_soon(
            show_status,
            directory,
            provider,
            reservations,
            staking,
            journal,
            earnings_check,
            lambda: finder.sources,
        )
        nursery.start_soon(_follow_images, engine, provider)
        nursery.start_soon(_keep_house, outbox)
        nursery.start_soon(follow_requests, directory, provider.reclaim)
        _log.info("%s is up: %s", peer_id, inventory.summary)


def _check_engine(engine: Engine) -> None:
    for advice in engine.info.advice:
        _log.warning("%s", advice)
    if engine.info.unenforced:
        raise EngineUnavailable(
            "the container engine cannot keep jobs within their limits, so none may run here: "
            + "; ".join(engine.info.unenforced)
        )


def _capacity(inventory: Inventory, config: Config, disk_in_use_bytes: int) -> Capacity:
    """What of the machine is offered."""
    offer = config.offer
    disk_there = inventory.disk_free_bytes + disk_in_use_bytes
    cores = min(offer.cpu_cores or inventory.cpu_cores, inventory.cpu_cores)
    memory = min(offer.memory_gib * _GIB or inventory.memory_bytes, inventory.memory_bytes)
    disk = min(offer.disk_gib * _GIB or disk_there, disk_there)
    return Capacity(cores * 1000, memory, disk, inventory.offered_gpus())


def _own_hosts(
    config: Config, links: Mapping[str, CoordinatorLink]
) -> Callable[[str], Sequence[str]]:
    """By coordinator, the machines on private networks that its files may be on."""

    def hosts(coordinator: str) -> Sequence[str]:
        link = links.get(coordinator)
        try:
            address = parse_address(link.address) if link else None
        except AddressInvalid:
            address = None  # a direct client's: it is not dialled
        # The host of a relayed address is the relay's, which has no files for us.
        if address is None or address.relay_id:
            return config.file_hosts
        return (address.host, *config.file_hosts)

    return hosts


def _relays(config: Config) -> dict[str, str]:
    """By coordinator, where its relay is, should it have one: we get there as to itself."""
    addresses = [parse_address(text) for text in config.coordinators]
    return {str(address.peer_id): str(address) for address in addresses if address.relay_id is None}


async def _open_for_business(provider: Provider, staking: Staking, stake_micro_usdc: int) -> None:
    """Accept work while the stake is in place: otherwise nobody's escrow would open."""

    def changed(may_work: bool) -> None:
        provider.accepting = may_work
        for link in provider.links.values():
            link.beat_soon()

    await staking.ensure(stake_micro_usdc)
    await staking.follow(changed)


async def _follow_images(engine: Engine, provider: Provider) -> None:
    """Tell coordinators which images need no pull: jobs bring some, owners remove some."""
    while True:
        await trio.sleep(_IMAGES_S)
        try:
            images = await engine.images()
        except EngineError as error:
            # What was said last stands; a bid says again whether its image is here.
            _log.debug("images: %s", error)
        else:
            await provider.found_images(images)


async def _keep_house(outbox: Outbox) -> None:
    """Forget payments that nobody can ask for any more."""
    while True:
        forgotten = await outbox.forget_decided(time.time() - _PAYMENTS_KEPT_S)
        if forgotten:
            _log.info("forgot %d payments of a month ago", forgotten)
        await trio.sleep(_HOUSEKEEPING_S)


async def _stop_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            _log.info("stopping on %s; jobs run on", signal.Signals(number).name)
            scope.cancel()
            return


async def follow_lists(directory: Path, host: Host) -> None:
    """Read the lists of peers again at every SIGHUP."""
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        async for _ in signals:
            try:
                lists = load_config(directory / CONFIG_NAME).peers.lists()
            except ConfigError as error:
                _log.error("the lists of peers stay as they are: %s", error)
                continue
            host.admit(lists)
            _log.info("peers: %d allowed, %d denied", len(lists.allow), len(lists.deny))


def _made(path: Path) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    return path

"""The composition root of neurogrid-node: builds everything and runs it in one nursery."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import trio
from solders.pubkey import Pubkey

from neurogrid_contracts.chain_payments import open_outbox
from neurogrid_marketplace import __version__
from neurogrid_marketplace.addresses import Surroundings
from neurogrid_marketplace.envelope import network_id
from neurogrid_marketplace.fields import MAX_TEXT_CHARS
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.input_seal import SEALED_INPUTS
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import DIRECT_PROTOCOL_ID
from neurogrid_marketplace.money import parse_usdc
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.registry_auth import REGISTRY_AUTH
from neurogrid_marketplace.resources import Capacity
from neurogrid_p2p.host import open_host
from neurogrid_p2p.interfaces import networks_near
from neurogrid_p2p.relay_reservation import RelayReservations
from neurogrid_p2p.session import Party
from neurogrid_telemetry.log_lines import named
from neurogrid_telemetry.traces import Traces
from neurogrid_telemetry.tracing import open_traces
from neurogrid_wallet.transactions import signers_from

from .access.door import JobDoor
from .config import Config
from .container.image_cache import ImageCache
from .container.image_disk import cache_limit_bytes, image_free_bytes
from .container.image_store import ImageStore
from .container.images import Images
from .container.ports import may_enter
from .container.processes import may_signal
from .container.pulls import Pulls
from .container.registry import Registries
from .container.user_namespaces import ROOT
from .control.answers import Answers
from .control.door import serve_owner
from .egress.jobs import JobNetworks
from .ending import end_when_asked
from .engines import files_root, fleet_of, open_engine
from .files.artifacts import http_client
from .files.file_streams import FileStreams, OpenBytes
from .files.scratch import remove_forsaken
from .files.weights import Weights, weights_limit_bytes
from .files.workspace import WEIGHTS, Enforcement, Workspaces
from .from_config import capacity, host_limits, own_hosts_of, policy_of, relays_of
from .gang.gangs import Gangs
from .gang.offer import gang_addresses
from .housekeeping import follow_images, follow_lists, follow_stake, keep_house
from .journal import Journal, JournalThread
from .key_files import Keys
from .lease.checkpoints import Checkpoints
from .lease.executor import LeaseRunner, Reports
from .lease.gpus import LeaseGpus
from .lease.preparation import Preparation
from .lease.sandbox import Sandbox
from .lease.scrubbing import Overwriter, Scrubber
from .lease.stream import LeaseStream, NoStream
from .lease.watching import Watcher
from .log_events import NodeEvent
from .machine.clock import now_ms, read_boot
from .machine.gpu import GpuReader
from .machine.gpu_use import gpu_use
from .machine.host import cpu_model
from .machine.inventory import take_inventory
from .machine.monitor import Monitor
from .machine.proof_file import read_proofs
from .machine.proofs import Proofs
from .machine.prover import Prover
from .machine.trials import Trials
from .market.abilities import abilities
from .market.direct import DirectClients
from .market.discovery import FoundCoordinators
from .market.found import Rules
from .market.network import CoordinatorLink
from .market.opening import Opening
from .market.provider import Provider
from .market.reconciling import Reconciler
from .market.reservations import Reservations
from .metrics.watching import Watched, show_metrics
from .money.chain import Market
from .money.earnings import Earnings
from .money.earnings_check import EarningsCheck
from .money.left_market import has_left
from .money.staking import Staking
from .status_file import show_status
from .use.door import UseDoor
from .use.losses import Losses
from .use.place import UsePlace

_log = logging.getLogger(__name__)

_BYTES_PER_MBIT = 125_000


async def run(config: Config, directory: Path, keys: Keys) -> None:
    """Run the node until SIGTERM, SIGINT or its owner's word. Its containers run on and are adopted at the next start.

    Raises:
        EngineError: no container engine answers, or it cannot hold jobs; the message says what to do.
        JournalError: another node runs on this directory.
    """
    # First of all: it is what keeps a second daemon out.
    journal = Journal(directory / "journal.db")
    try:
        peer_id = peer_id_of(keys.identity.public_key)
        traces = open_traces(config.traces, "neurogrid-node", peer_id, __version__)
        await _run(config, directory, keys, journal, traces)
        traces.close()
    finally:
        journal.close()


async def _run(
    config: Config, directory: Path, keys: Keys, opened: Journal, traces: Traces
) -> None:
    peer_id = peer_id_of(keys.identity.public_key)
    chain = config.chain
    wallet = Pubkey.from_bytes(keys.wallet.public_key)
    party = Party(
        peer_id, network_id(chain.genesis_hash, chain.program_id), keys.identity.sign, now_ms
    )
    policy = policy_of(config, str(wallet))
    links: dict[str, CoordinatorLink] = {}

    def stream_to(coordinator: str) -> OpenBytes | None:
        link = links.get(coordinator)
        return link.open_bytes if link is not None else None

    async with (
        open_engine(config.engine, peer_id, longest_job_s=config.risk.max_timeout_s) as engine,
        open_outbox(chain, directory / "payments.db", signers_from([keys.wallet])) as (rpc, outbox),
        open_host(keys.identity.seed, config.listen, host_limits()) as host,
        http_client(streams=FileStreams(stream_to)) as http,
        http_client() as to_registries,
        trio.open_nursery() as nursery,
    ):
        stopping = trio.Event()

        async def goodbye() -> None:
            if links:
                await opening.goodbye()

        await nursery.start(end_when_asked, stopping, goodbye, nursery.cancel_scope)
        host.admit(config.peers.lists())
        nursery.start_soon(follow_lists, directory, host)
        nursery.start_soon(outbox.run)
        journal = JournalThread(opened)
        market = Market(rpc, chain.deployment(), wallet, chain.genesis_hash)
        account = market.deployment.provider(wallet)
        staking = Staking(market, outbox, has_left=lambda: has_left(directory, account))
        earnings = Earnings(market, outbox, now_ms)
        able = engine.abilities
        files = files_root(config.engine, directory, peer_id)
        await trio.to_thread.run_sync(remove_forsaken, directory)
        workspaces = await Workspaces.open(
            files, may_mount=able.hard_disk, root_ids=engine.info.root_ids or ROOT
        )
        gpus_offered = config.offer.gpus and able.gpus
        reader = GpuReader() if gpus_offered else None
        inventory = await take_inventory(files, gpus=gpus_offered, reader=reader)
        leases = await journal.call(Journal.load)
        # Beside the jobs' files, so that they can be linked there.
        weights = Weights(files / WEIGHTS, weights_limit_bytes(config.models.weights_gib, files))
        # What is free does not count the disks that leases have already.
        is_hard = workspaces.enforcement is Enforcement.HARD
        in_use = sum(held.need.disk_bytes for _, held in leases) if is_hard else 0
        reservations = Reservations(capacity(inventory, config, in_use))
        fleet = fleet_of(
            engine,
            workspaces,
            config.engine,
            config.offer,
            reservations.total.disk_bytes,
            directory,
        )
        for lease, held in leases:
            reservations.restore(lease.lease_id, held)
        # A GPU that a job has cannot be tried: what was proved of it stands.
        leased = reservations.leased_gpus
        proofs = Proofs(proof for proof in read_proofs(directory) if proof.what in leased())
        monitor = Monitor(reader, inventory, directory, now_ms, leased, proofs)
        summary = monitor.inventory.summary
        if fleet is None:
            reservations.total = replace(reservations.total, gpus=monitor.inventory.offered_gpus())
        else:
            # None is offered before it was tried, and adopting what runs does not wait for that.
            reservations.machines, summary = {}, "a fleet that is being tried"
        scrubber = Scrubber(monitor, Overwriter(engine).overwrite)
        gpus = LeaseGpus(monitor, reservations.held, scrubber.scrub)
        own_hosts = own_hosts_of(config, links)
        relayed = RelayReservations(host, config.relays)
        gangs = Gangs(
            engine,
            host,
            relayed,
            relays_of(config).get,
            _made(directory / "gangs"),
            config.gang.mbit_per_s * _BYTES_PER_MBIT,
            nursery,
        )
        checkpoints = Checkpoints(
            engine=engine, workspaces=workspaces, http=http, own_hosts=own_hosts
        )
        egress = config.egress
        networks = JobNetworks(
            engine,
            _made(directory / "egress"),
            egress.caps(),
            lambda: Surroundings(networks_near(), egress.denied(), egress.pinned()),
            nursery,
        )
        cache = ImageCache(
            ImageStore(directory),
            engine,
            now_ms,
            limit_bytes=cache_limit_bytes(config.images.cache_gib, engine.info.data_root),
        )
        await cache.restore()
        pulls = Pulls(
            engine,
            Registries(to_registries, engine.info.architecture, policy.registries.names),
            cache,
            nursery,
            stall_timeout_s=config.images.stall_timeout_s,
            free_bytes=lambda: image_free_bytes(engine.info.data_root),
        )
        sandbox = Sandbox(
            engine=engine,
            workspaces=workspaces,
            preparation=Preparation(
                engine=engine,
                images=cache,
                pulls=pulls,
                workspaces=workspaces,
                weights=weights,
                earnings=earnings,
                gangs=gangs,
                checkpoints=checkpoints,
                networks=networks,
                journal=journal,
                http=http,
                policy=policy,
                pids=config.offer.pids,
                held=reservations.held,
                devices=monitor.devices,
                own_hosts=own_hosts,
                now_ms=now_ms,
                make_room=lambda lease_id: provider.displacing.make_room(lease_id),
            ),
            watcher=Watcher(engine, workspaces, gangs, networks, gpus, config.offer.pids),
            gangs=gangs,
            gpus=gpus,
            checkpoints=checkpoints,
            networks=networks,
            journal=journal,
            http=http,
            logs=_made(directory / "logs"),
            own_hosts=own_hosts,
            now_ms=now_ms,
        )

        def lease_of(lease_id: str) -> NodeLease | None:
            runner = provider.runners.get(lease_id)
            return runner.lease if runner is not None else None

        enters = able.links and may_enter(engine.info.job_runtimes)
        uses = UsePlace(
            lease_of,
            earnings.await_escrow,
            now_ms,
            Losses(
                await journal.call(Journal.unpaid_use),
                lambda lost: journal.call(Journal.add_unpaid_use, lost),
            ),
            policy.models.ahead_micro_usdc if policy.models is not None else 0,
        )
        job_door = JobDoor(
            engine,
            lease_of,
            config.exec,
            config.services,
            may_end=may_signal(),
            may_enter=enters,
        )
        use_door = UseDoor(
            engine,
            lease_of,
            uses,
            requests=config.models.requests,
            idle_s=config.services.idle_s,
            may_enter=enters and config.services.allow,
        )
        models = policy.models if job_door.takes_connections else None

        def start_runner(lease: NodeLease, *, resumed: bool = False) -> LeaseRunner:
            link = links.get(lease.coordinator)
            runner = LeaseRunner(
                lease,
                journal=journal,
                sandbox=sandbox if lease.use is None else uses,
                earnings=earnings,
                link=LeaseStream(lease.lease_id, link) if link else NoStream(),
                now_ms=now_ms,
                boot=read_boot,
                reports=Reports(provider.started, provider.cleared, provider.forgotten),
                traces=traces,
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
                engine=f"{config.engine.kind} {engine.info.version}",
                images=await cache.offered(await engine.images()),
                summary=summary,
                cpu_model=cpu_model()[:MAX_TEXT_CHARS] if fleet is None else "",
                privacy=(SEALED_INPUTS, *([REGISTRY_AUTH] if able.logins else [])),
                gpu_driver=monitor.inventory.driver_version,
                runtimes=engine.info.offered,
                spot=policy.spot,
                access=job_door.ways,
                serving=models.offered if models is not None else None,
            ),
            policy=policy,
            max_unpaid_ms=config.risk.max_unpaid_s * 1000,
            reservations=reservations,
            journal=journal,
            image_bytes=Images(cache).size_bytes,
            weights_bytes=weights.here_bytes,
            start_runner=start_runner,
            now_ms=now_ms,
            starts=await journal.call(Journal.starts),
            may_pause=able.freeze,
            gpus=lambda: [gpu_use(gpu) for gpu in monitor.inventory.gpus],
        )

        opening = Opening(provider, journal, await journal.call(Journal.word), stopping, now_ms)

        async def fleet_found(machines: Mapping[str, Capacity], line: str) -> None:
            await provider.found_machines(machines, line)
            await opening.container_seen(bool(machines))

        trials = Trials(engine, workspaces=workspaces)
        prover = Prover(
            proofs,
            abilities(
                *(engine, trials, config, provider, gangs, networks),
                lambda: gang_addresses(host, config.relays),
                opening.container_seen if fleet is None else None,
            ),
            trials.gpu,
            monitor,
            leased=leased,
            connections=lambda: engine.connections,
            directory=directory,
            now_ms=now_ms,
        )
        if fleet is None:
            monitor.changed = provider.found_gpus

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
            now_ms,
            config.log.beside("discovery"),
        )
        finder.restore({lease.coordinator for lease, _ in leases}.__contains__)
        clients = DirectClients(config.direct, link_to, links, provider.has_leases_of)
        if config.direct.serve:
            for lease, _ in leases:
                clients.expect(lease.coordinator)
        for lease, _ in leases:
            await gangs.restore(lease)
            await networks.restore(lease)
            provider.runners[lease.lease_id] = start_runner(lease, resumed=True)
        for lease_id in provider.runners:
            # Whoever was to make room for it may not have heard of it before we were killed.
            provider.displacing.make_room(lease_id)
        await sandbox.sweep(set(provider.runners))
        jobs = [lease.lease_id for lease, _ in leases if lease.use is None]
        nursery.start_soon(job_door.open_on, host, jobs)
        await nursery.start(use_door.run, host)
        for link in dialled:
            nursery.start_soon(link.run)
        nursery.start_soon(finder.run)
        if config.direct.serve:
            host.serve(DIRECT_PROTOCOL_ID, clients.serve)
        nursery.start_soon(relayed.run)
        nursery.start_soon(prover.run)
        if fleet is not None:
            # Not before the sweep, which would take a trial's files for forgotten.
            nursery.start_soon(fleet.run, fleet_found)
        stake = parse_usdc(config.risk.stake_usdc)
        nursery.start_soon(follow_stake, staking, stake, opening.stake_seen)
        nursery.start_soon(opening.run)
        await nursery.start(serve_owner, directory, Answers(provider, opening, journal))
        earnings_check = EarningsCheck(journal, market)
        nursery.start_soon(earnings_check.run)
        reconciler = Reconciler(provider, reservations, journal, engine, workspaces, now_ms)
        nursery.start_soon(
            show_status,
            directory,
            provider,
            reservations,
            staking,
            opening,
            journal,
            earnings_check,
            lambda: finder.sources,
            monitor,
            lambda: (*host.addresses, *relayed.addresses),
            prover.unproved,
            reconciler.mended,
            networks.use,
        )
        nursery.start_soon(follow_images, engine, cache, provider)
        nursery.start_soon(cache.run, lambda: frozenset(provider.runners))
        nursery.start_soon(weights.run)
        nursery.start_soon(monitor.run)
        nursery.start_soon(scrubber.run)
        nursery.start_soon(reconciler.run)
        nursery.start_soon(keep_house, outbox)
        nursery.start_soon(
            show_metrics,
            config.metrics,
            Watched(
                provider,
                reservations,
                staking,
                journal,
                monitor,
                earnings_check,
                {link.coordinator for link in dialled},
                now_ms,
            ),
        )
        _log.info("%s is up: %s", peer_id, summary, extra=named(NodeEvent.UP))


def _made(path: Path) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    return path

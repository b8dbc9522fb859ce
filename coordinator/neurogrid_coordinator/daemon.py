"""The composition root of the api process: builds everything, supervises it, says where it is."""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from types import MappingProxyType

from solders.pubkey import Pubkey

from neurogrid_contracts.chain_payments import outbox_policy
from neurogrid_marketplace import __version__
from neurogrid_marketplace.envelope import Envelope, network_id
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.messages import FILES_OVER_CONNECTION, Message
from neurogrid_marketplace.standing import Standing
from neurogrid_telemetry.tracing import open_traces

from .api.app import create_app
from .api.collaborators import Collaborators
from .api.event_views import node_status_body, webhook_body
from .api.native.batch_sources import BatchSources
from .api.native.batch_views import results_file
from .api.native.schedule_requests import Templates
from .api.native.task_kinds import ByName, task_reader
from .api.paths import API
from .batches.batch_runner import BatchRunner
from .batches.scheduler import Scheduler
from .books import open_books
from .config import Config, model_settings
from .files.artifacts import LeaseTokens
from .files.blob_stores import open_blobs
from .files.checkpoints import BlobSweeper, CheckpointDesk
from .files.outputs import OutputCheck
from .files.uploads import Uploads
from .files.url_fetch import UrlFetcher
from .info_file import say_where
from .market.client import MarketClient
from .market.deliveries import NodeChange
from .market.reports import NodeView
from .market_settings import market_settings
from .metrics.reading import MarketReading, PassedOn, Reading
from .metrics.serving import serve_metrics
from .model_checks.checker import ModelChecker
from .money.chain import Chain
from .money.evidence import ReceiptDesk
from .money.invoicing import keep_invoicing
from .money.market_terms import wait_for_terms
from .money.payment_upkeep import forget_payments, stay_owner
from .money.reconciler import Reconciler
from .money.settler import Settler
from .money.transfer_follower import TransferFollower
from .money.vouchers import VoucherDesk
from .money.wallet_chain import WalletChain
from .outbound import Outbound
from .paid_use.ended_keys import EndedKeys
from .paid_use.leases import UseLeases
from .paid_use.notes import UseNotes
from .peer_lists import follow_lists
from .price_telling import tell_prices
from .replicas.serving import serving_of
from .replicas.upkeep import ReplicaUpkeep
from .request_writing import RequestWriter
from .restored import let_go_if_restored
from .retention import forget
from .server.api_server import ApiServer
from .services.artifacts import Artifacts, Limits
from .services.balances import Balances
from .services.batch_intake import BatchIntake
from .services.batch_tasks import BatchTasks
from .services.batches import Batches
from .services.models import Models
from .services.nodes import Nodes
from .services.overview import Overview
from .services.tasks import Tasks
from .setup import (
    INFO_FILE,
    TERMS_FILE,
    Keys,
    database_place,
)
from .sharing.between import Leading, token_of
from .sharing.ground import Ground, Stopped
from .sharing.hearing import move_others_tasks
from .sharing.waiting_to_lead import waiting_to_lead
from .store import lead_url
from .store.feed import Feed
from .store.places import Server as ServerPlace
from .store.size import size_bytes
from .tasks.attendance import Attendance
from .tasks.node_desk import NodeDesk
from .tasks.orchestrator import Orchestrator
from .tasks.outgoing import Outgoing
from .tasks.starts import StartDesk
from .trust.challenger import Challenger
from .trust.comparisons import Comparisons
from .trust.gpu_sightings import GpuSightings
from .trust.spot_checks import SpotChecks
from .trust.standings import Standings
from .trust.verifier import Verifier
from .unit_counting import keep_counting
from .webhooks.delivery import WebhookDelivery
from .webhooks.nodes import keep_node_status
from .webhooks.sender import WebhookSender

# So many new objects before the collector looks at them; Python's own 700 are what three requests need.
_YOUNG_OBJECTS = 10_000


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def run(
    config: Config, directory: Path, keys: Keys, told: Mapping[str, object] = MappingProxyType({})
) -> None:
    """Run the coordinator until SIGTERM or SIGINT.

    Args:
        told: what else coordinator.json says.

    Raises:
        OutboxInUse: another coordinator runs on this directory.
        OSError: an address is taken.
        ExceptionGroup: of `LeadLost`, where another coordinator has taken over; of `DiskFailed`, where the database's disk has.
        ConfigError, Overloaded, DatabaseInUse, ServerUnfit: of the database, as of `Database.open`.
    """
    try:
        await _run(config, directory, keys, told)
    except Stopped:
        (directory / INFO_FILE).unlink(missing_ok=True)


async def _run(config: Config, directory: Path, keys: Keys, told: Mapping[str, object]) -> None:
    """Lead, once nobody else does."""
    chain_config = config.chain
    network = network_id(chain_config.genesis_hash, chain_config.program_id)
    operator = Pubkey.from_bytes(keys.operator.public_key)
    models = model_settings(config.models, directory)
    stopping = asyncio.Event()
    feed = Feed()
    traces = open_traces(
        config.traces.settings,
        "neurogrid-coordinator",
        peer_id_of(keys.identity.public_key),
        __version__,
    )
    blobs = await open_blobs(config.artifacts, directory)
    server = ApiServer(config.http, stopping)
    ground = Ground(config, directory, keys, told, server, feed, blobs, stopping, traces)
    async with (
        aclosing(server),
        open_books(config, directory, keys, waiting_to_lead(ground)) as (rpc, outbox, database),
    ):
        place = server.listen()
        await let_go_if_restored(directory, database, _now_ms())
        terms = await wait_for_terms(
            rpc,
            chain_config.deployment,
            directory / TERMS_FILE,
            rpc_url=chain_config.rpc_url,
        )
        chain = Chain(
            rpc=rpc,
            outbox=outbox,
            deployment=chain_config.deployment,
            operator=operator,
            terms=terms,
        )
        wallet_chain = WalletChain(
            rpc, chain_config.deployment, operator, outbox_policy(chain_config).fees
        )
        task_terms = ground.task_terms(terms)
        follower = TransferFollower(database, wallet_chain, chain.funds.changed, _now_ms)
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

        # The market calls those who call the market: the desk is there before the first message.
        async def on_message(node_id: str, envelope: Envelope, message: Message) -> None:
            await desk.on_message(node_id, envelope, message)

        async def on_node(node_id: str, change: NodeChange, view: NodeView) -> None:
            await nodes.on_node(node_id, change, view)
            await standings.on_node(node_id, change, view)
            await gpus.on_node(node_id, change, view)
            await desk.on_node(node_id, change, view)

        def tell_standings(known: Mapping[str, Standing]) -> None:
            # In this order: who is auctioned because of it is auctioned by what the market knows then.
            market.set_standings(known)
            orchestrator.nodes_stand(known)

        market = MarketClient(
            market_settings(config, directory, network, place),
            on_message,
            on_node,
        )
        market.admit(config.peers.lists)
        standings = Standings(
            database=database,
            stakes=chain.stakes,
            tell=tell_standings,
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
            traces=traces,
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
            starts=starts,
            tell=outgoing.tell,
            follow=orchestrator.follow,
            now_ms=_now_ms,
            traces=traces,
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
            checkpoints=CheckpointDesk(blobs),
            settle=settler.changed,
            found_out=standings.changed,
            now_ms=_now_ms,
        )
        balances = Balances(database, chain.funds.get)
        tasks = Tasks(
            database=database,
            feed=feed,
            terms=task_terms,
            explain=market.explain,
            may_return=nodes.may_return,
            balances=balances,
            wake=orchestrator.wake,
            request_cancel=orchestrator.request_cancel,
        )
        limits = Limits(config.limits.artifact_bytes, config.limits.account_artifact_bytes)
        artifacts = Artifacts(database=database, blobs=blobs, tokens=tokens, limits=limits)
        asked_of_models = Models(
            database=database,
            feed=feed,
            blobs=blobs,
            artifacts=artifacts,
            tasks=tasks,
            settings=models,
            stopping=stopping,
        )
        read_task = task_reader(ByName(config.operations.settings, models))
        batch_tasks = BatchTasks(database, tasks, read_task, asked_of_models.keep)
        batch_runner = BatchRunner(
            database=database,
            feed=feed,
            tasks=tasks,
            batch_tasks=batch_tasks,
            balances=balances,
            request_cancel=orchestrator.request_cancel,
            now_ms=_now_ms,
        )
        batches = Batches(database, feed)
        uploads = Uploads(config.uploads.folder, writable=config.uploads.write)
        scheduler = Scheduler(
            database=database,
            feed=feed,
            intake=BatchIntake(database=database, feed=feed, tasks=batch_tasks),
            read_template=Templates(BatchSources(artifacts, blobs, uploads)).read,
            results=lambda account, batch_id: results_file(
                batches.results(account, batch_id), "csv", place.url
            ),
            artifacts=artifacts,
            blobs=blobs,
            uploads=uploads,
            now_ms=_now_ms,
        )
        replica_settings = config.models.replica_settings(
            models.catalogue, task_terms.timeout_s_max
        )
        notes = UseNotes(database, _now_ms)
        use_leases = UseLeases(
            config.models.use_settings(replica_settings),
            database=database,
            feed=feed,
            tasks=tasks,
            balances=balances,
            notes=notes,
            now_ms=_now_ms,
        )
        ended_keys = EndedKeys(use_leases, database, orchestrator.request_cancel)
        serving = serving_of(replica_settings, market.open_use_stream, _now_ms, use_leases)
        replicas = ReplicaUpkeep(
            replica_settings,
            serving,
            database=database,
            feed=feed,
            tasks=tasks,
            request_cancel=orchestrator.request_cancel,
            connected=nodes.connected_ids,
            offers=nodes.offers,
            is_well=lambda lease: nodes.is_ready(lease.node_id, lease.lease_id),
            now_ms=_now_ms,
        )
        checker = ModelChecker(
            config.models.check_settings(),
            serving,
            database=database,
            secret=keys.session.derive(b"model checks").seed,
            found_out=standings.changed,
            now_ms=_now_ms,
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
        webhook_outbound = (
            # A name server that does not answer must not hold up other accounts' webhooks.
            Outbound(config.webhooks.surroundings, lookups_at_once=64)
            if config.webhooks.serve
            else None
        )
        app = create_app(
            ground.api_settings(terms),
            Collaborators(
                database=database,
                feed=feed,
                blobs=blobs,
                tokens=tokens,
                fetcher=(
                    UrlFetcher(Outbound(config.fetch.surroundings)) if config.fetch.serve else None
                ),
                webhook_outbound=webhook_outbound,
                uploads=uploads,
                nodes=nodes,
                commitments=spot_checks.commitments,
                explain=market.explain,
                market_is_up=lambda: market.pid is not None,
                traffic=lambda: market.traffic,
                funds=chain.funds.get,
                wallet_chain=wallet_chain,
                transfer_submitted=follower.submitted,
                voucher=vouchers.voucher,
                wake=orchestrator.wake,
                request_cancel=orchestrator.request_cancel,
                request_cancel_all=orchestrator.request_cancel_all,
                send_key=orchestrator.send_key,
                open_job_stream=market.open_job_stream,
                open_mailbox_stream=market.open_mailbox_stream,
                orchestrator=orchestrator.pulse,
                scheduler=scheduler.pulse,
                stopping=stopping,
                traces=traces,
                chain_slot=lambda: rpc.block_height(),
                api_connections=lambda: len(server.connections),
                counts=ground.counts,
                serving=serving if replica_settings.models else None,
                answer_checks=checker,
            ),
        )
        overview = Overview(database)
        pruned: Counter[str] = Counter()

        async def read_numbers() -> Reading:
            return Reading(
                peer_id=peer_id_of(keys.identity.public_key),
                version=__version__,
                market=MarketReading(
                    tally=orchestrator.tally,
                    is_up=market.pid is not None,
                    nodes=nodes.connected_count(),
                    traffic=market.traffic,
                    payments_undecided=await outbox.undecided(),
                    pruned=pruned,
                ),
                tasks=await overview.tasks_by_phase(),
                books_differ=await overview.differences(),
                database_bytes=await database.read(size_bytes),
                api_connections=len(server.connections),
                passed_on=PassedOn(),
                models=[
                    (status, serving.pools[status.model_id].tally) for status in serving.status()
                ],
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
                group.create_task(tell_prices(database, market.set_prices, _now_ms), name="prices"),
                group.create_task(challenger.run(), name="challenger"),
                group.create_task(notes.run(), name="notes of use"),
                group.create_task(ended_keys.run(), name="leases of ended keys"),
                group.create_task(replicas.run(), name="replicas"),
                group.create_task(checker.run(), name="checks of models"),
                group.create_task(batch_runner.run(), name="batches"),
                group.create_task(scheduler.run(), name="schedules"),
                group.create_task(follower.run(), name="transfers"),
                group.create_task(keep_invoicing(database, _now_ms), name="invoices"),
                group.create_task(
                    RequestWriter(
                        database=database,
                        feed=feed,
                        blobs=blobs,
                        artifacts=artifacts,
                        follow=orchestrator.follow,
                        now_ms=_now_ms,
                    ).run(),
                    name="requests to models",
                ),
                group.create_task(keep_counting(database, feed, blobs), name="unit counts"),
                group.create_task(BlobSweeper(database, blobs).run(), name="unneeded blobs"),
                group.create_task(
                    forget(database, config.retention, _now_ms, pruned), name="retention"
                ),
                group.create_task(forget_payments(outbox), name="payments"),
                group.create_task(stay_owner(outbox), name="owner"),
                group.create_task(database.failing(), name="disk"),
                group.create_task(
                    say_where(
                        directory, place, market, {**told, "operator": keys.operator.address}
                    ),
                    name="info",
                ),
            ]
            others = database_place(directory, config.database)
            if isinstance(others, ServerPlace):
                # The driver is an extra (`Database`).
                from .sharing.counting import count_together
                from .store.hints import hints

                background.append(
                    group.create_task(count_together(others, ground.counts), name="counts")
                )
                background.append(
                    group.create_task(
                        move_others_tasks(
                            hints(others), database, feed, orchestrator, follower.submitted
                        ),
                        name="others' tasks",
                    )
                )
            if webhook_outbound is not None:
                delivery = WebhookDelivery(
                    database=database,
                    feed=feed,
                    sender=WebhookSender(webhook_outbound),
                    body_of=webhook_body,
                    now_ms=_now_ms,
                )
                background += [
                    group.create_task(delivery.run(), name="webhooks"),
                    group.create_task(
                        keep_node_status(database, nodes, feed, node_status_body, _now_ms),
                        name="webhooks' nodes",
                    ),
                ]
            if config.metrics.listen:
                background.append(
                    group.create_task(
                        serve_metrics(config.metrics.host, config.metrics.port, read_numbers),
                        name="metrics",
                    )
                )
            # What is there now stays: the collector need not go through all of it again, which takes a tenth of a second.
            gc.collect()
            gc.freeze()
            # What requests under way need would else be gone through again and again, and pass for what stays.
            gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
            # The API does not wait for the market process, which takes seconds to start.
            server.answer_with(
                Leading(
                    app,
                    token=token_of(keys.session),
                    explain=market.explain,
                    nodes=nodes,
                    serving=serving,
                ),
                task_terms,
            )
            if isinstance(others, ServerPlace):
                await database.write(lead_url.save, ground.internal_url)
            await server.ended()
            for task in background:
                task.cancel()
        await use_leases.aclose()
        await outgoing.aclose()
        traces.close()
        (directory / INFO_FILE).unlink(missing_ok=True)


async def _keep(market: MarketClient) -> None:
    """Have the market process running until this is cancelled."""
    async with market:
        await asyncio.Event().wait()

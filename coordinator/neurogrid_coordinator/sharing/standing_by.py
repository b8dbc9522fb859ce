"""Standing by: answering clients beside the coordinator that leads, until none does."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import ConfigAccount
from neurogrid_contracts.chain_payments import outbox_policy
from neurogrid_marketplace import __version__
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_wallet.rpc import Rpc

from ..api.app import create_app
from ..api.collaborators import Collaborators
from ..files.artifacts import LeaseTokens
from ..files.uploads import Uploads
from ..files.url_fetch import UrlFetcher
from ..info_file import write_info
from ..market.reports import Traffic
from ..metrics.reading import PassedOn, Reading
from ..metrics.serving import serve_metrics
from ..money.client_funds import FundsReader
from ..money.vouchers import VoucherDesk
from ..money.wallet_chain import WalletChain
from ..outbound import Outbound
from ..services.overview import Overview
from ..services.pulse import Pulse
from ..store.away import DatabaseAway
from ..store.database import Database
from ..store.hints import hints
from ..store.lead import Lead
from ..store.places import Server
from ..store.size import size_bytes
from ..trust.spot_checks import SpotChecks
from .between import token_of
from .counting import count_together
from .following import NodesElsewhere, StepsHandedOver, no_job_stream, no_mailbox_stream
from .ground import Ground, Stopped
from .hearing import tell_listeners
from .leader import Leader
from .passing_on import Following

_log = logging.getLogger(__name__)

# How soon somebody who stands by notices that nobody leads.
_LOOK_S = 0.5


@asynccontextmanager
async def standing_by(
    ground: Ground,
    load_terms: Callable[[Rpc], Awaitable[ConfigAccount]],
    database: Database,
    place: Server,
) -> AsyncGenerator[Lead]:
    """Answer clients until nobody else leads, and then lead.

    What was begun before goes on to its end meanwhile, with what it needs.

    Args:
        load_terms: the market's, from this endpoint.

    Raises:
        Stopped: it never came to that.
    """
    async with AsyncExitStack() as stack:
        lead = await _take(place)
        if lead is None:
            _log.info("another coordinator leads on this database: standing by")
            rpc = await stack.enter_async_context(Rpc(ground.config.chain.rpc_url))
            http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
            lead = await _follow(ground, load_terms, database, place, rpc, http)
        if lead is None:
            raise Stopped
        _log.info("leading on this database, term %d", lead.term)
        await database.fence(lead.term)
        yield lead


async def _follow(
    ground: Ground,
    load_terms: Callable[[Rpc], Awaitable[ConfigAccount]],
    database: Database,
    place: Server,
    rpc: Rpc,
    http: httpx.AsyncClient,
) -> Lead | None:
    """Serve until nobody else leads; None where it was told to stop."""
    counts = PassedOn()

    async def serve() -> None:
        terms = await load_terms(rpc)
        _answer(ground, terms, database, rpc, http, counts)
        await asyncio.to_thread(
            write_info,
            ground.directory,
            {
                "api_url": ground.server.listen().url,
                "api_pid": os.getpid(),
                "leads": False,
                **ground.told,
            },
        )
        await ground.server.ended()

    overview = Overview(database)

    async def read_numbers() -> Reading:
        return Reading(
            peer_id=peer_id_of(ground.keys.identity.public_key),
            version=__version__,
            market=None,
            tasks=await overview.tasks_by_phase(),
            books_differ=await overview.differences(),
            database_bytes=await database.read(size_bytes),
            api_connections=len(ground.server.connections),
            passed_on=counts,
        )

    async with asyncio.TaskGroup() as group:
        hearing = group.create_task(tell_listeners(hints(place), database, ground.feed))
        leading = group.create_task(_until_none_leads(place))
        serving = group.create_task(serve())
        background = [hearing, group.create_task(count_together(place, ground.counts))]
        metrics = ground.config.metrics
        if metrics.listen:
            background.append(
                group.create_task(serve_metrics(metrics.host, metrics.port, read_numbers))
            )
        await asyncio.wait({leading, serving}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*background, leading, serving):
            task.cancel()
    return None if leading.cancelled() else leading.result()


def _answer(
    ground: Ground,
    terms: ConfigAccount,
    database: Database,
    rpc: Rpc,
    http: httpx.AsyncClient,
    counts: PassedOn,
) -> None:
    """Answer clients from now on, beside who leads."""
    config, keys = ground.config, ground.keys
    operator = Pubkey.from_bytes(keys.operator.public_key)
    leader = Leader(database, token_of(keys.session), http)
    steps = StepsHandedOver(database, ground.feed)
    spot_checks = SpotChecks(
        keys.session.derive(b"spot checks").seed,
        challenges_scored=config.trust.score_challenges,
        now_ms=_now_ms,
    )
    app = create_app(
        ground.api_settings(terms),
        Collaborators(
            database=database,
            feed=ground.feed,
            blobs=ground.blobs,
            tokens=LeaseTokens(keys.session.derive(b"artifact tokens").seed),
            fetcher=(
                UrlFetcher(Outbound(config.fetch.surroundings)) if config.fetch.serve else None
            ),
            webhook_outbound=(
                Outbound(config.webhooks.surroundings) if config.webhooks.serve else None
            ),
            uploads=Uploads(config.uploads.folder, writable=config.uploads.write),
            nodes=NodesElsewhere(database, leader),
            commitments=spot_checks.commitments,
            explain=leader.explain,
            # Asked only where nobody who leads says it (`Following`).
            market_is_up=lambda: False,
            traffic=Traffic,
            funds=FundsReader(rpc, config.chain.deployment, operator).get,
            wallet_chain=WalletChain(
                rpc, config.chain.deployment, operator, outbox_policy(config.chain).fees
            ),
            transfer_submitted=lambda: None,
            voucher=VoucherDesk(keys.session, terms.domain).voucher,
            wake=lambda _: None,
            request_cancel=steps.request_cancel,
            request_cancel_all=steps.request_cancel_all,
            send_key=steps.send_key,
            open_job_stream=no_job_stream,
            open_mailbox_stream=no_mailbox_stream,
            orchestrator=Pulse(),
            scheduler=Pulse(),
            stopping=ground.stopping,
            traces=ground.traces,
            chain_slot=lambda: rpc.block_height(),
            api_connections=lambda: len(ground.server.connections),
            counts=ground.counts,
        ),
        lambda app, forms: Following(
            *(app, leader, config.http.proxies, forms, counts),
            keeps_replicas=config.models.replicas,
        ),
    )
    ground.server.answer_with(app, ground.task_terms(terms))


async def _until_none_leads(place: Server) -> Lead:
    while True:
        await asyncio.sleep(_LOOK_S)
        lead = await _take(place)
        if lead is not None:
            return lead


async def _take(place: Server) -> Lead | None:
    try:
        return await asyncio.to_thread(Lead.take, place)
    except DatabaseAway as error:
        _log.info("%s", error)
        return None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

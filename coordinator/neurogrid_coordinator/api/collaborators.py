"""What the application is made with: what the operator sets, and who it works with."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.explain import Explanation
from neurogrid_marketplace.messages import VoucherMessage
from neurogrid_marketplace.spreading import Barred
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.task_events import KeySent
from neurogrid_telemetry.traces import OFF, Traces

from ..files.artifacts import BlobStore, LeaseTokens
from ..files.uploads import Uploads
from ..files.url_fetch import UrlFetcher
from ..market.job_stream import JobStream
from ..market.reports import Traffic
from ..model_checks.delivered import Tell
from ..money.client_funds import ClientFunds
from ..money.wallet_chain import TransferChain
from ..outbound import Outbound
from ..replicas.serving import ModelServing
from ..server.request_rules import UNLIMITED, RequestRules
from ..services.artifacts import Limits
from ..services.mailboxes import OpenStream
from ..services.models import ModelSettings
from ..services.nodes import Nodes
from ..services.operations import OperationSettings
from ..services.parts import no_slot
from ..services.pulse import Pulse
from ..services.submission import Terms
from ..store.database import Database
from ..store.feed import Feed
from ..store.leases import LeaseRow
from ..store.tasks import TaskState
from ..trust.spot_checks import Commitment
from .client_address import NO_PROXIES, Proxies
from .request_limits import RequestCounts


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator sets.

    Attributes:
        network: the market's tag (marketplace `network_id`).
        public_url: how clients reach us, without a slash at the end; "" for relative links.
        event_stream_s: how long a stream of events lasts, until its client has to come back.
        fetch_s: how long the files may take that one request names by URL.
        repeats_kept_s: how long a request with an idempotency key is answered as before.
        requests: how many requests are taken, from whom.
        proxies: who may say whose request it is.
        cors_origins: of web pages whose scripts may call.
        sockets_per_address: WebSockets without a key from one address.
        operations: their image, and what holds of those who do not say.
        models: which there are.
        anonymous_account: see `Clients`.
        dashboard: whether pages for people are served.
    """

    network: str
    terms: Terms
    limits: Limits
    public_url: str = ""
    fetch_s: int = 300
    repeats_kept_s: int = 24 * 3600
    event_stream_s: float = 3600
    requests: RequestRules = UNLIMITED
    proxies: Proxies = NO_PROXIES
    cors_origins: Sequence[str] = ()
    sockets_per_address: int = 10
    operations: OperationSettings = field(default_factory=OperationSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
    anonymous_account: str = ""
    dashboard: bool = True


@dataclass(frozen=True, slots=True)
class Collaborators:
    """Who the api works with; see the services for what each call means.

    Attributes:
        nodes: told by the market's `on_node`.
        fetcher: of files that requests name by URL; None where none are fetched.
        webhook_outbound: where webhooks may be reached; None where none are told.
        uploads: files of clients on the operator's disk.
        commitments: to the secrets that spot checks are drawn with.
        explain, market_is_up, traffic, open_job_stream, open_mailbox_stream: of the market client.
        funds: of the chain.
        wallet_chain: what wallets have, and transactions for them.
        transfer_submitted: tells who sends what was signed.
        voucher: the last one of a lease that is over.
        wake, request_cancel, request_cancel_all, send_key: of the orchestrator.
        orchestrator, scheduler: their loops' pulses.
        stopping: set when the coordinator stops: long answers end then.
        traces: where submissions are recorded.
        chain_slot: where the chain is now; raises where it is away.
        api_connections: how many there are to the api now.
        counts: of requests.
        serving: replicas of models; None where none are kept, or another coordinator has them.
        answer_checks: checks replicas' answers that their clients have got; None: nobody does.
    """

    database: Database
    feed: Feed
    blobs: BlobStore
    tokens: LeaseTokens
    fetcher: UrlFetcher | None
    webhook_outbound: Outbound | None
    uploads: Uploads
    nodes: Nodes
    commitments: Callable[[], list[Commitment]]
    explain: Callable[[Demand, Barred], Awaitable[Explanation]]
    market_is_up: Callable[[], bool]
    traffic: Callable[[], Traffic]
    funds: Callable[[str], Awaitable[ClientFunds]]
    wallet_chain: TransferChain
    transfer_submitted: Callable[[], None]
    voucher: Callable[[LeaseRow], VoucherMessage]
    wake: Callable[[TaskState], None]
    request_cancel: Callable[[str], Awaitable[Phase]]
    request_cancel_all: Callable[[Sequence[str]], Awaitable[None]]
    send_key: Callable[[str, KeySent], Awaitable[None]]
    open_job_stream: Callable[[str], Awaitable[JobStream]]
    open_mailbox_stream: OpenStream
    orchestrator: Pulse
    scheduler: Pulse
    stopping: asyncio.Event
    traces: Traces = OFF
    chain_slot: Callable[[], Awaitable[int]] = no_slot
    api_connections: Callable[[], int] = lambda: 0
    counts: RequestCounts = field(default_factory=RequestCounts)
    serving: ModelServing | None = None
    answer_checks: Tell | None = None

"""What a coordinator has whether it leads or not, and what its api is told of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neurogrid_contracts.accounts import ConfigAccount
from neurogrid_marketplace.envelope import network_id
from neurogrid_telemetry.traces import Traces

from ..api.collaborators import Settings
from ..api.request_limits import RequestCounts
from ..config import Config, model_settings
from ..files.artifacts import BlobStore
from ..money.chain import timeout_s_max
from ..server.api_server import ApiServer
from ..services.artifacts import Limits
from ..services.submission import Terms
from ..setup import Keys
from ..store.feed import Feed


class Stopped(Exception):
    """It was told to stop before it led."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Of one process.

    Attributes:
        told: what else coordinator.json says.
        stopping: set when it was told to stop.
    """

    config: Config
    directory: Path
    keys: Keys
    told: Mapping[str, object]
    server: ApiServer
    feed: Feed
    blobs: BlobStore
    stopping: asyncio.Event
    traces: Traces
    counts: RequestCounts = field(default_factory=RequestCounts)

    @property
    def network(self) -> str:
        """The market's tag."""
        return network_id(self.config.chain.genesis_hash, self.config.chain.program_id)

    @property
    def internal_url(self) -> str:
        """Where other coordinators of the database reach this one."""
        return self.config.http.internal_url.rstrip("/") or f"http://{self.server.listen().local}"

    def task_terms(self, terms: ConfigAccount) -> Terms:
        """What holds of every task in a market with these terms."""
        timers = self.config.timers
        return Terms(
            bid_window_ms=timers.bid_window_ms,
            voucher_interval_s=timers.voucher_interval_s,
            dead_after_s=timers.dead_after_s,
            queue_timeout_s=timers.queue_timeout_s,
            timeout_s_max=timeout_s_max(terms),
        )

    def api_settings(self, terms: ConfigAccount) -> Settings:
        """What the operator says of the api."""
        config = self.config
        return Settings(
            network=self.network,
            terms=self.task_terms(terms),
            limits=Limits(config.limits.artifact_bytes, config.limits.account_artifact_bytes),
            public_url=self.server.listen().url,
            requests=config.requests.rules,
            proxies=config.http.proxies,
            cors_origins=config.http.cors_origins,
            sockets_per_address=config.http.websockets_per_address,
            fetch_s=config.fetch.timeout_s,
            repeats_kept_s=config.retention.idempotency_hours * 3600,
            operations=config.operations.settings,
            models=model_settings(config.models, self.directory),
            anonymous_account=config.dialects.anonymous_account,
            dashboard=config.dashboard.enabled,
        )

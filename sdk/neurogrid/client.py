# Made from aio/client.py by scripts/unasync.py: change that one, and run it.
"""The client: one coordinator, one key, and a room for each kind of thing."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from .api_keys import ApiKeys
from .applications import Applications
from .artifacts import Artifacts
from .asking import Models
from .audit import Audit
from .batches import Batches
from .billing import Billing
from .error_log import ErrorLog
from .events import Events
from .figures import Analytics, Limits
from .models import (
    Account,
    Estimate,
    Explanation,
    MarketPrices,
    NodeEvidence,
    NodeEvidenceList,
    NodeInfo,
    NodePage,
    NodeReputation,
)
from .models.status import (
    ConstraintAttribute,
    ConstraintAttributes,
    CoordinatorStatus,
    DrawingDay,
    DrawingDays,
    ServiceStatus,
)
from .operations import Operations
from .pages import each
from .profile import find_profile
from .provider import ProviderAccount
from .providers import Providers
from .schedules import Schedules
from .sealed import Keys
from .task_body import Where, task_body
from .tasks import Tasks
from .transport import Transport
from .wallet import Wallet
from .webhooks import Webhooks
from .workflows import Workflows


class Nodes:
    """The market's nodes."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        status: str | None = None,
        region: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> NodePage:
        """Nodes known now, filtered by status (online, offline, busy) and region."""
        params: dict[str, str | int] = {"limit": limit, "offset": offset}
        if status is not None:
            params["status"] = status
        if region is not None:
            params["region"] = region
        return self._transport.call(NodePage, "GET", "/nodes", params=params)

    def iterate(
        self, *, status: str | None = None, region: str | None = None, page_size: int = 100
    ) -> Generator[NodeInfo]:
        """All nodes known now that fit, each once, however many there are; ``page_size``: how many one request asks for."""
        return each(partial(self.list, status=status, region=region), page_size)

    def get(self, node_id: str) -> NodeInfo:
        """One node.

        Raises:
            NotFoundError: no such node is known.
        """
        return self._transport.call(NodeInfo, "GET", f"/nodes/{node_id}")

    def reputation(self, node_id: str, *, limit: int = 50) -> NodeReputation:
        """A node's score, with what each of its newest findings does to it.

        Raises:
            NotFoundError: nothing is known of such a node.
        """
        params: dict[str, str | int] = {"limit": limit}
        path = f"/nodes/{node_id}/reputation"
        return self._transport.call(NodeReputation, "GET", path, params=params)

    def evidence(self, node_id: str, *, limit: int = 50) -> Sequence[NodeEvidence]:
        """What was found out about a node's hardware, newest first; empty if nothing was."""
        params: dict[str, str | int] = {"limit": limit}
        path = f"/nodes/{node_id}/evidence"
        return (self._transport.call(NodeEvidenceList, "GET", path, params=params)).evidence

    def challenge_evidence(self, challenge_id: str) -> bytes:
        """The signed file of a challenge, byte for byte; `neurogrid verify-evidence` checks it offline.

        Raises:
            NotFoundError: there is none, or none any more: the newest of each node are kept.
        """
        return (self._transport.send("GET", f"/challenges/{challenge_id}/evidence")).content


class Client:
    """A connection to one coordinator in the name of one account.

    Safe to use from several threads, or tasks of one event loop. Close it, or use it in an ``with`` block.

    Args:
        api_key: begins with ``ng_``; default NEUROGRID_API_KEY. Without one, an application's NEUROGRID_CLIENT_ID and
            NEUROGRID_CLIENT_SECRET.
        base_url: of the coordinator; default NEUROGRID_API_URL.
        network: a devnet's network.json, in place of both; default NEUROGRID_NETWORK.
        profile: the name of one that `neurogrid configure` wrote, in place of both; default NEUROGRID_PROFILE, or the current
            one, where nothing else names an address and a key.
        wallet: the key file of the account's wallet, in Solana's format; default NEUROGRID_WALLET_KEY. It signs requests
            that have to be signed, and with ``market`` transactions (`Wallet.carry_out`).
        market: the market's chain.json, by which each transaction is read before it is signed; default NEUROGRID_CHAIN.
            Have it from somebody else than the coordinator.
        timeout_s: the longest silence on one request.
        retries_max: how often a failed request is repeated, with growing pauses.
        keys_directory: where keys to sealed inputs are kept; default ~/.local/state/neurogrid.
        transport: httpx transport, for tests and proxies.

    Raises:
        ConfigurationError: there is no address or no key.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        network: str | PathLike[str] | None = None,
        profile: str | None = None,
        wallet: str | PathLike[str] | None = None,
        market: str | PathLike[str] | None = None,
        timeout_s: float = 30.0,
        retries_max: int = 4,
        keys_directory: str | PathLike[str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        found = find_profile(
            base_url=base_url,
            api_key=api_key,
            network=None if network is None else Path(network),
            profile=profile,
        )
        if wallet is not None:
            found = replace(found, wallet_key=Path(wallet))
        if market is not None:
            found = replace(found, chain=Path(market))
        self._transport = Transport(
            found, timeout_s=timeout_s, retries_max=retries_max, http=transport
        )
        self.artifacts = Artifacts(self._transport)
        self.keys = Keys(self._transport, None if keys_directory is None else Path(keys_directory))
        self.tasks = Tasks(self._transport, self.artifacts, self.keys)
        self.workflows = Workflows(self._transport, self.tasks)
        self.batches = Batches(self._transport, self.artifacts)
        self.schedules = Schedules(self._transport)
        self.nodes = Nodes(self._transport)
        self.models = Models(self._transport, self.artifacts, self.tasks)
        self.providers = Providers(self._transport)
        self.provider = ProviderAccount(self._transport)
        self.api_keys = ApiKeys(self._transport)
        self.events = Events(self._transport)
        self.webhooks = Webhooks(self._transport)
        self.operations = Operations(self._transport, self.tasks)
        self.wallet = Wallet(self._transport, found.wallet_key, found.chain)
        self.billing = Billing(self._transport)
        self.analytics = Analytics(self._transport)
        self.limits = Limits(self._transport)
        self.audit = Audit(self._transport)
        self.error_log = ErrorLog(self._transport)
        self.applications = Applications(self._transport)

    @property
    def dashboard_url(self) -> str:
        """Where the coordinator's dashboard is, for browsers."""
        return f"{self._transport.profile.base_url}/dashboard"

    def sign_with(self, wallet_key: str | PathLike[str]) -> None:
        """Sign requests that the coordinator wants signed with this key file, in place of NEUROGRID_WALLET_KEY's."""
        self._transport.sign_with(Path(wallet_key))

    def account(self) -> Account:
        """Who the key belongs to, and its money.

        >>> account = client.account()
        >>> account.currency, account.balance.available > 0
        ('USDC', True)
        """
        return self._transport.call(Account, "GET", "/account")

    def sign_writes(self, signs: bool) -> Account:
        """Have the coordinator take changes of this account only with its wallet's signature, or end that.

        Raises:
            AuthenticationError: ending it needs that signature, and the key is not here.
            PermissionDeniedError: the client's key lacks the scope ``keys``.
        """
        return self._transport.call(Account, "PATCH", "/account", json={"signs_writes": signs})

    def status(self) -> CoordinatorStatus:
        """How the coordinator is.

        >>> (client.status()).status
        'ok'
        """
        return self._transport.call(CoordinatorStatus, "GET", "/status")

    def service_status(self, service: str) -> ServiceStatus:
        """How a part of the coordinator is; `status` names them.

        Raises:
            NotFoundError: there is no such part.
        """
        return self._transport.call(ServiceStatus, "GET", f"/status/services/{service}")

    def constraints(self) -> Sequence[ConstraintAttribute]:
        """What conditions on nodes (``where``) may name.

        >>> [each.example for each in client.constraints() if each.name == "gpu.vendor"]
        ['amd']
        """
        found = self._transport.call(ConstraintAttributes, "GET", "/constraints")
        return found.attributes

    def drawing_days(self) -> Sequence[DrawingDay]:
        """What spot checks are drawn with, so that anybody can check who was drawn."""
        path = "/verification/commitments"
        return (self._transport.call(DrawingDays, "GET", path)).days

    def explain(
        self,
        *,
        type: str = "cpu",
        resource_requirements: Mapping[str, Any] | None = None,
        docker_image: str,
        max_price_per_hour: str,
        timeout_seconds: int = 3600,
        regions: Sequence[str] = (),
        where: Where = "",
        reveal_wallet: bool = False,
        preemptible: bool = False,
        reclaim_window_seconds: int = 0,
        interactive: bool = False,
        max_total_cost: str | None = None,
        gang: Mapping[str, Any] | None = None,
        network: Mapping[str, Sequence[str]] | None = None,
    ) -> Explanation:
        """How such a task would meet the market now. Nothing is stored and nothing is paid."""
        body = task_body(
            type=type,
            resource_requirements=resource_requirements,
            docker_image=docker_image,
            max_price_per_hour=max_price_per_hour,
            timeout_seconds=timeout_seconds,
            regions=regions,
            constraints=where,
            reveal_wallet=reveal_wallet,
            preemptible=preemptible,
            reclaim_window_seconds=reclaim_window_seconds or None,
            interactive=interactive,
            max_total_cost=max_total_cost,
            gang=gang,
            network=network,
        )
        return self._transport.call(Explanation, "POST", "/match/explain", json=body)

    def estimate(
        self,
        *,
        type: str = "cpu",
        resource_requirements: Mapping[str, Any] | None = None,
        docker_image: str,
        max_price_per_hour: str,
        timeout_seconds: int = 3600,
        regions: Sequence[str] = (),
        where: Where = "",
        preemptible: bool = False,
        reclaim_window_seconds: int = 0,
        interactive: bool = False,
        max_total_cost: str | None = None,
        gang: Mapping[str, Any] | None = None,
        network: Mapping[str, Sequence[str]] | None = None,
    ) -> Estimate:
        """What such a task would likely cost, when it would start, and whether you can pay.

        Nothing is stored and nothing is paid; the auction decides.
        """
        body = task_body(
            type=type,
            resource_requirements=resource_requirements,
            docker_image=docker_image,
            max_price_per_hour=max_price_per_hour,
            timeout_seconds=timeout_seconds,
            regions=regions,
            constraints=where,
            preemptible=preemptible,
            reclaim_window_seconds=reclaim_window_seconds or None,
            interactive=interactive,
            max_total_cost=max_total_cost,
            gang=gang,
            network=network,
        )
        return self._transport.call(Estimate, "POST", "/match/estimate", json=body)

    def prices(self, *, hours: int = 24, name: str | None = None) -> MarketPrices:
        """What awards cleared at, by the model of the GPU (or ``cpu``).

        Args:
            hours: how far back, a month at most.
            name: only this class, with each of its hours.
        """
        params: dict[str, str | int] = {"hours": hours}
        if name is not None:
            params["class"] = name
        return self._transport.call(MarketPrices, "GET", "/market/prices", params=params)

    def __repr__(self) -> str:
        return f"Client({self._transport.profile.base_url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

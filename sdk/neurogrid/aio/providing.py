"""A provider's program in an event loop. Its machines go on in threads: they bid and heartbeat whatever the loop does.

    async with neurogrid.AsyncProvider(wallet="wallet.json") as provider:
        resource = await provider.resources.create(resource_type="cpu", pricing={"per_hour": "0.10"})
        async for task in provider.tasks.offers():
            await provider.tasks.accept(task.id, resource_id=resource.id)
            job = await provider.tasks.wait_for_job(task.id)
            ...                                              # run job.docker_image
            await provider.tasks.start(task.id, container_id="...")
            await provider.tasks.complete(task.id, outputs="outputs")

docs/providers.md has the whole of it; what a method says and raises is said by the same one of `neurogrid.Provider`.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

import httpx
from anyio import CancelScope, CapacityLimiter, to_thread

from ..machine.offering import ResourceType
from ..models import Account
from ..models.earnings import Transfer
from ..models.held_tasks import HeldTask, TaskJob
from ..models.resources import Resource
from ..provider_resources import RunningResources as ThreadedResources
from ..provider_tasks import LOOK_S
from ..provider_tasks import RunningTasks as ThreadedTasks
from ..providing import Provider
from .provider import (
    ProviderEarnings,
    ProviderPayouts,
    ProviderResources,
    ProviderStaking,
    ProviderTasks,
)
from .runtime import blocking, sleep
from .transport import Transport

T = TypeVar("T")
# Tasks that are waited for at once, each by a thread; more wait for one of them.
_WAITING_MAX = 500


class RunningResources(ProviderResources):
    """The account's machines, of which this program runs those that it has made."""

    def __init__(self, transport: Transport, threaded: ThreadedResources) -> None:
        super().__init__(transport)
        self._threaded = threaded

    async def create(
        self,
        resource_type: ResourceType = "cpu",
        specifications: Mapping[str, object] | None = None,
        pricing: Mapping[str, object] | None = None,
        *,
        status: Literal["available", "paused"] = "available",
        region: str = "local",
        name: str | None = None,
        images: Sequence[str] = (),
        cached_images: Sequence[str] = (),
        max_timeout_seconds: int = 86_400,
        start_seconds: float = 1.0,
        max_unpaid_seconds: int = 300,
    ) -> Resource:
        """Bring a machine into the market, and keep it there: it bids from now on."""
        work = partial(
            self._threaded.create,
            resource_type,
            specifications,
            pricing,
            status=status,
            region=region,
            name=name,
            images=images,
            cached_images=cached_images,
            max_timeout_seconds=max_timeout_seconds,
            start_seconds=start_seconds,
            max_unpaid_seconds=max_unpaid_seconds,
        )
        return await blocking(work)

    async def update(
        self,
        resource_id: str,
        *,
        pricing: Mapping[str, object] | None = None,
        status: Literal["available", "paused"] | None = None,
        specifications: Mapping[str, object] | None = None,
        resource_type: ResourceType = "cpu",
    ) -> Resource:
        """Offer it otherwise from the next auction on. ``paused``: no new tasks; those that run go on."""
        work = partial(
            self._threaded.update,
            resource_id,
            pricing=pricing,
            status=status,
            specifications=specifications,
            resource_type=resource_type,
        )
        return await blocking(work)

    async def delete(self, resource_id: str) -> Resource:
        """Take it out of the market; it is offline then."""
        return await blocking(self._threaded.delete, resource_id)


class RunningTasks(ProviderTasks):
    """What the account's machines do; those of this program's machines are done by it."""

    def __init__(self, transport: Transport, threaded: ThreadedTasks) -> None:
        super().__init__(transport)
        self._threaded = threaded
        self._waiting = CapacityLimiter(_WAITING_MAX)

    async def offers(self, *, timeout_seconds: float | None = None) -> AsyncGenerator[HeldTask]:
        """Tasks that this program's machines were awarded, as they come, each once: `accept` it within two seconds."""
        shown: dict[str, None] = {}
        waiting_since_s = time.monotonic()
        while timeout_seconds is None or time.monotonic() - waiting_since_s < timeout_seconds:
            for task in await blocking(self._threaded.new_offers, shown):
                yield task
                waiting_since_s = time.monotonic()
            await sleep(LOOK_S)

    async def held(self) -> list[HeldTask]:
        """What this program's machines have accepted and are not paid for yet, also before it was started anew."""
        return await blocking(self._threaded.held)

    async def get(self, task_id: str) -> HeldTask:
        """One that is offered, held, or over not long ago."""
        return await blocking(self._threaded.get, task_id)

    async def accept(self, task_id: str, *, resource_id: str) -> HeldTask:
        """Take a task that was awarded; it is on disk before the coordinator hears of it. Again, it changes nothing."""
        return await blocking(partial(self._threaded.accept, task_id, resource_id=resource_id))

    async def wait_for_job(self, task_id: str, *, timeout_seconds: float = 600) -> TaskJob:
        """What is to be run, once its escrow is open."""
        waiting = partial(self._threaded.wait_for_job, task_id, timeout_seconds=timeout_seconds)
        return await self._wait(waiting)

    async def download_inputs(self, task_id: str, directory: str | PathLike[str]) -> list[Path]:
        """Write a task's inputs below a directory, which belongs at ``/inputs``; each is checked against its hash."""
        return await blocking(self._threaded.download_inputs, task_id, directory)

    async def start(
        self,
        task_id: str,
        *,
        container_id: str = "",
        resource_usage: Mapping[str, object] | None = None,
    ) -> HeldTask:
        """The job runs: from now on it is paid. Again, it changes nothing."""
        work = partial(
            self._threaded.start, task_id, container_id=container_id, resource_usage=resource_usage
        )
        return await blocking(work)

    async def update_progress(
        self,
        task_id: str,
        progress: float,
        metrics: Mapping[str, object] | None = None,
        message: str = "",
    ) -> HeldTask:
        """Let the client see how far it is. The answer says whether it has to stop: ``status``, ``stop_reason``."""
        return await blocking(self._threaded.update_progress, task_id, progress, metrics, message)

    async def log(self, task_id: str, text: str) -> None:
        """Write on in a task's log, which its client reads as it grows; the first 16 MiB of it."""
        await blocking(self._threaded.log, task_id, text)

    async def complete(
        self,
        task_id: str,
        result_hash: str | None = None,
        result_storage_url: str | None = None,
        execution_time_seconds: float | None = None,
        *,
        outputs: str | PathLike[str] | None = None,
    ) -> HeldTask:
        """The job has ended well: its outputs are uploaded, and then its end is told. Again, it changes nothing."""
        work = partial(
            self._threaded.complete,
            task_id,
            result_hash,
            result_storage_url,
            execution_time_seconds,
            outputs=outputs,
        )
        return await blocking(work)

    async def fail(
        self,
        task_id: str,
        error_code: str = "EXECUTION_ERROR",
        error_message: str = "",
        *,
        exit_code: int = 1,
    ) -> HeldTask:
        """The job has not ended well."""
        work = partial(self._threaded.fail, task_id, error_code, error_message, exit_code=exit_code)
        return await blocking(work)

    async def wait_until_paid(self, task_id: str, *, timeout_seconds: float = 300) -> HeldTask:
        """The task once its escrow is closed and its machine free of it."""
        waiting = partial(self._threaded.wait_until_paid, task_id, timeout_seconds=timeout_seconds)
        return await self._wait(waiting)

    async def _wait(self, work: Callable[[], T]) -> T:
        # Whoever is cancelled leaves a thread that only looks, and ends with its time.
        return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._waiting)


class AsyncProvider:
    """An account with the role ``provider``, the key of its wallet, and the machines that this program runs.

    Close it, or use it in an ``async with`` block; see `neurogrid.Provider`, whose arguments it has.

    Args:
        transport: httpx transport of its requests, for tests and proxies.
        machine_transport: of those of its machines, which are in threads.

    Raises:
        ConfigurationError: there is no address, no API key or no wallet.
    """

    def __init__(
        self,
        api_key: str | None = None,
        wallet: str | PathLike[str] | None = None,
        base_url: str | None = None,
        *,
        network: str | PathLike[str] | None = None,
        state_directory: str | PathLike[str] | None = None,
        program: tuple[str, str] | None = None,
        rpc_url: str | None = None,
        timeout_s: float = 30.0,
        retries_max: int = 4,
        transport: httpx.AsyncBaseTransport | None = None,
        machine_transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._threaded = threaded = Provider(
            api_key,
            wallet,
            base_url,
            network=network,
            state_directory=state_directory,
            program=program,
            rpc_url=rpc_url,
            timeout_s=timeout_s,
            retries_max=retries_max,
            transport=machine_transport,
        )
        self.wallet = threaded.wallet
        self._transport = Transport(
            threaded.profile, timeout_s=timeout_s, retries_max=retries_max, http=transport
        )

        async def move(
            path: str, body: dict[str, str] | None, idempotency_key: str | None
        ) -> Transfer:
            return await blocking(threaded.move, path, body, idempotency_key)

        self.resources = RunningResources(self._transport, threaded.resources)
        self.tasks = RunningTasks(self._transport, threaded.tasks)
        self.earnings = ProviderEarnings(self._transport, move)
        self.payouts = ProviderPayouts(self._transport, move)
        self.staking = ProviderStaking(self._transport, move)

    async def account(self) -> Account:
        """Who the key belongs to."""
        return await self._transport.call(Account, "GET", "/account")

    async def get_transfer(self, transfer_id: str) -> Transfer:
        """What became of something that moved money.

        Raises:
            NotFoundError: the account has no such transfer.
        """
        return await self._transport.call(Transfer, "GET", f"/wallet/transfers/{transfer_id}")

    async def aclose(self) -> None:
        """Have every machine leave. Tasks that run go on to be this program's when it makes its resources again."""
        with CancelScope(shield=True):
            await blocking(self._threaded.close)
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

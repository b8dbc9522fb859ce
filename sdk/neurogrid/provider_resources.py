"""The machines that a provider's program runs: made, changed, taken away. `neurogrid.provider` has what is only looked at."""

import os
import re
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from neurogrid_marketplace.offer import Offer

from .errors import ConfigurationError, NotFoundError
from .machine.bidding import Policy
from .machine.escrows import Escrows
from .machine.journal import Journal
from .machine.keys import Key
from .machine.machine import Machine, conflict
from .machine.offering import Host, ResourceType, capacity_of, offer_of, prices_of
from .machine.own_wallet import OwnWallet
from .machine.running import Look, Running
from .models.resources import Resource
from .provider import ProviderResources
from .transport import Transport

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z", re.ASCII)
# A coordinator shows a machine a moment after it has heard it.
_SHOWN_PATIENCE_S = 10.0
_LOOK_S = 0.1


class RunningResources(ProviderResources):
    """The account's machines, of which this program runs those that it has made.

    Args:
        key: the wallet's, from which each machine's follows.
        directory: of this wallet's machines.
        escrows: the chain to look at; None: the coordinator is believed.
    """

    def __init__(
        self,
        transport: Transport,
        key: Key,
        own: OwnWallet,
        directory: Path,
        escrows: Escrows | None,
    ) -> None:
        super().__init__(transport)
        self._key = key
        self._own = own
        self._escrows = escrows
        self._directory = directory
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Machine, Running]] = {}

    def create(
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
        """Bring a machine into the market, and keep it there: it bids from now on.

        Its id follows from wallet and name, and what it has accepted before is gone on with.

        Args:
            specifications: see `machine.offering.capacity_of`.
            pricing: see `machine.offering.prices_of`.
            name: of this machine among the wallet's; default: the resource type. Two at once need two names.
            images: prefixes of images that may run; empty: all.
            cached_images: images that need not be fetched.
            max_timeout_seconds: the longest task that is taken.
            start_seconds: how long it takes to start a container here, as likely less as more; the market counts it.
            max_unpaid_seconds: work without a voucher for so long ends a task.

        Raises:
            ValueError: the specifications, the pricing or the name are none.
            ConfigurationError: the chain is to be looked at, and the market's program is not known.
            ConflictError: another program runs this machine, or the account has too many mailboxes.
            ApiError, ConnectionFailed: it can't be connected.
        """
        name = resource_type if name is None else name
        if not _NAME.match(name):
            raise ValueError(
                f"a machine's name is made of letters, digits, . _ -, and not {name!r}"
            )
        look = self._look()
        key = self._key.of_machine(name)
        directory = self._directory / name
        offer = offer_of(
            node_id=key.peer_id,
            wallet=self._key.address,
            software=_software(),
            region=region,
            total=capacity_of(resource_type, specifications or {}, _host(self._directory), name),
            prices=prices_of(pricing or {}),
            images=tuple(cached_images),
            accepting=status == "available",
        )
        policy = Policy(tuple(images), max_timeout_seconds, round(start_seconds * 1000))
        journal = Journal(directory)
        machine = Machine(
            self._transport,
            key,
            offer,
            policy,
            journal,
            self._own.redeem,
            max_unpaid_s=max_unpaid_seconds,
        )
        machine.start()
        with self._lock:
            self._running[machine.id] = machine, Running(machine, journal, look, _now_ms)
        return self._shown(machine.id)

    def update(
        self,
        resource_id: str,
        *,
        pricing: Mapping[str, object] | None = None,
        status: Literal["available", "paused"] | None = None,
        specifications: Mapping[str, object] | None = None,
        resource_type: ResourceType = "cpu",
    ) -> Resource:
        """Offer it otherwise from the next auction on. ``paused``: no new tasks; those that run go on.

        Args:
            specifications: all of them, as in `create`, with its ``resource_type``.

        Raises:
            NotFoundError: this program runs no such machine.
            ValueError: the specifications or the pricing are none.
        """
        machine, _ = self.running(resource_id)
        prices = None if pricing is None else prices_of(pricing)
        total = (
            None
            if specifications is None
            else capacity_of(resource_type, specifications, _host(self._directory), "machine")
        )
        if status not in (None, "available", "paused"):
            raise ValueError(f"a resource is available or paused, and not {status!r}")
        machine.change_offer(
            lambda offer: replace(
                offer,
                prices=prices or offer.prices,
                total=total or offer.total,
                accepting=offer.accepting if status is None else status == "available",
            )
        )
        return self._shown(resource_id, machine.offer)

    def delete(self, resource_id: str) -> Resource:
        """Take it out of the market; it is offline then.

        Raises:
            NotFoundError: this program runs no such machine.
            ConflictError: it has tasks: pause it, and wait for their end.
        """
        machine, _ = self.running(resource_id)
        with machine.changed:
            held = len(machine.leases.held)
            if held:
                raise conflict(
                    f"resource {resource_id} has {held} {'task' if held == 1 else 'tasks'} that are not paid yet: "
                    'update it with status="paused", and wait for their end'
                )
            machine.change_offer(lambda offer: replace(offer, accepting=False))
        shown = self._shown(resource_id)
        machine.close()
        with self._lock:
            self._running.pop(resource_id, None)
        return msgspec.structs.replace(shown, status="offline")

    def running(self, resource_id: str) -> tuple[Machine, Running]:
        """A machine that this program runs, and its tasks.

        Raises:
            NotFoundError: it runs no such machine.
        """
        with self._lock:
            found = self._running.get(resource_id)
        if found is None:
            raise NotFoundError(
                f"this program runs no resource {resource_id[:80]}: `provider.resources.create` makes one",
                code="NOT_FOUND",
                status=404,
                details={"resource_id": resource_id[:80]},
            )
        return found

    def all_running(self) -> list[tuple[Machine, Running]]:
        """Every machine that this program runs."""
        with self._lock:
            return list(self._running.values())

    def close(self) -> None:
        """Have all of them leave."""
        for machine, _ in self.all_running():
            machine.close()
        if self._escrows is not None:
            self._escrows.close()

    def _look(self) -> Look | None:
        escrows, program = self._escrows, self._own.program
        if escrows is None:
            return None
        if program is None:
            raise ConfigurationError(
                "the market's program is not known, whose escrows rpc_url is to show: stake once by this program, or name it: "
                "Provider(program=(program_id, config_account))"
            )
        return partial(escrows.find, program)

    def _shown(self, resource_id: str, offer: Offer | None = None) -> Resource:
        """A resource as the coordinator shows it, once it shows that offer."""
        deadline_s = time.monotonic() + _SHOWN_PATIENCE_S
        while True:
            is_late = time.monotonic() > deadline_s
            try:
                found = self.get(resource_id)
                if offer is None or is_late or _is_of(found, offer):
                    return found
            except NotFoundError:
                if is_late:
                    raise
            time.sleep(_LOOK_S)


def _is_of(resource: Resource, offer: Offer) -> bool:
    """Whether a resource is shown as it is offered."""
    return (
        resource.pricing.base == Decimal(offer.prices.base_micro_usdc_per_hour) / 1_000_000
        and resource.specifications.cpu_cores == offer.total.cpu_millis / 1000
        and (resource.status == "paused") is not offer.accepting
    )


def _host(directory: Path) -> Host:
    """The machine that this program runs on; of its disk, what is free."""
    place = next(each for each in (directory, *directory.parents) if each.exists())
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Host(os.cpu_count() or 1, memory_bytes / 1e9, shutil.disk_usage(place).free / 1e9)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _software() -> str:
    from importlib.metadata import version

    return f"neurogrid-python/{version('neurogrid')}"

"""All checks, each within a time of its own: what hangs, or is a defect of ours, is a finding and stops nothing."""

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final

import trio
from solders.pubkey import Pubkey

from neurogrid_marketplace.money import parse_usdc
from neurogrid_marketplace.resources import NVIDIA
from neurogrid_wallet.errors import RpcError, WalletError

from ..config import Config, ConfigError
from ..container.errors import EngineUnavailable
from ..key_files import wallet_address
from ..machine.gpu_state import GpuState
from ..machine.proofs import Disproof
from ..money.chain import MarketMissing
from ..money.left_market import has_left
from .cluster import judge_cluster, judge_fleet
from .engine import judge_engine, judge_links, judge_trials
from .findings import CODES, Area, Finding
from .gpus import GpuFacts, judge_gpus
from .ledger import judge_ledger, judge_stake
from .machine import judge_disk, judge_keys, judge_offer
from .network import judge_coordinators, judge_reach
from .reading.cluster import read_cluster_facts, read_fleet
from .reading.engine import read_engine_facts, try_containers, try_links
from .reading.gpus import read_gpu_facts, read_toolkit_facts
from .reading.ledger import read_ledger_facts, read_owner
from .reading.machine import (
    read_disk_facts,
    read_key_facts,
    read_machine_facts,
    read_mistakes,
)
from .reading.network import read_coordinator_facts, read_reach_facts
from .subject import Subject
from .toolkit import judge_toolkit

_log = logging.getLogger(__name__)

Findings = tuple[Finding, ...]

_READ_IT: Final = "configs/node.toml says what each key may be"


class Examination:
    """One look at one node. Checks that need the same facts share them."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._gpus: GpuFacts | None = None
        self._gpus_read = trio.Event()

    async def config(self) -> Findings:
        """node.toml."""
        subject = self._subject
        if subject.config is None:
            if not subject.has_file:
                return (Finding("CONFIG_MISSING", subject.problem, "neurogrid-node init"),)
            mistakes = await trio.to_thread.run_sync(read_mistakes, subject)
            return tuple(
                Finding("CONFIG_INVALID", f"line {each.line}: {each.message}", each.fix or _READ_IT)
                for each in mistakes
            ) or (Finding("CONFIG_INVALID", subject.problem, _READ_IT),)
        too_large = judge_offer(subject.config.offer, await read_machine_facts(subject))
        return too_large or (Finding("CONFIG_OK", f"{subject.directory}/node.toml"),)

    async def keys(self) -> Findings:
        """Who the node is, and who is paid."""
        return judge_keys(await trio.to_thread.run_sync(read_key_facts, self._subject.directory))

    async def disk(self) -> Findings:
        """Room for jobs, and limits."""
        return judge_disk(await read_disk_facts(self._subject))

    async def gpus(self) -> Findings:
        """GPUs, drivers, nodes, and what gives them to containers."""
        try:
            self._gpus = await read_gpu_facts(self._subject)
        finally:
            self._gpus_read.set()
        toolkit = await read_toolkit_facts(self._gpus)
        return (*judge_gpus(self._gpus), *judge_toolkit(toolkit))

    async def engine(self) -> Findings:
        """The container engine, or the cluster."""
        if self._is_in_cluster:
            longest_s = self._config.risk.max_timeout_s
            return judge_cluster(await read_cluster_facts(self._config.engine, longest_s))
        has_nvidia = any(gpu.vendor == NVIDIA for gpu in await self._gpus_there())
        return judge_engine(await read_engine_facts(self._subject, has_nvidia=has_nvidia))

    async def container(self) -> Findings:
        """A container like a job's, as it sees itself; of a cluster, what each machine's has told the node."""
        if self._is_in_cluster:
            return judge_fleet(*await trio.to_thread.run_sync(read_fleet, self._subject.directory))
        status = self._subject.status
        # A running node tries its GPUs itself, when no job has them.
        gpus = () if status is not None else await self._gpus_there()
        try:
            disproofs, well = await try_containers(self._subject, gpus)
        except EngineUnavailable:
            return (_not_checked("container", "there is no engine"),)
        # Said already, once for all GPUs.
        disproofs = [each for each in disproofs if CODES[each.code].area is not Area.TOOLKIT]
        disproofs += self._node_says({"CHECKPOINTS_UNPROVED"}, disproofs)
        given = f", and sees each of {well} GPUs that it is given, and no other" if gpus else ""
        return judge_trials(disproofs, f"a container like a job's is held as it should be{given}")

    async def links(self) -> Findings:
        """Links like those beside jobs: a gang's, and one to hosts."""
        try:
            disproofs, tried = await try_links(self._subject)
        except EngineUnavailable:
            return (_not_checked("links", "there is no engine"),)
        except OSError as error:
            return (_not_checked("links", str(error)),)
        disproofs += self._node_says({"GANGS_UNPROVED", "EGRESS_UNPROVED"}, disproofs)
        return judge_links(disproofs, tried)

    async def coordinators(self) -> Findings:
        """Coordinators, and the time there."""
        return judge_coordinators(await read_coordinator_facts(self._config))

    async def reach(self) -> Findings:
        """Ports, and who can dial us."""
        return judge_reach(await read_reach_facts(self._config, self._subject.status))

    async def ledger(self) -> Findings:
        """The chain, the market, and our stake."""
        chain, directory = self._config.chain, self._subject.directory
        found = judge_ledger(await read_ledger_facts(chain))
        if not any(each.code == "LEDGER_OK" for each in found):
            return (*found, _not_checked("stake", "the market cannot be read"))
        try:
            wallet = Pubkey.from_string(wallet_address(directory))
            account = chain.deployment().provider(wallet)
            stake = judge_stake(
                await read_owner(chain, wallet),
                parse_usdc(self._config.risk.stake_usdc),
                has_left=has_left(directory, account),
            )
        except (ConfigError, WalletError, MarketMissing, RpcError) as error:
            return (*found, _not_checked("stake", str(error)))
        return (*found, *stake)

    def _node_says(self, codes: Collection[str], seen: Collection[Disproof]) -> list[Disproof]:
        """What the running node has found itself and does not offer, though it was not seen now."""
        wanted = set(codes) - {each.code for each in seen}
        return [
            Disproof(each["code"], f"says the running node: {each['what']}: {each['message']}")
            for each in (self._subject.status or {}).get("unproved", ())
            if each["code"] in wanted
        ]

    @property
    def _config(self) -> Config:
        assert self._subject.config is not None, "the check needs one"
        return self._subject.config

    @property
    def _is_in_cluster(self) -> bool:
        """Whether jobs run on machines that doctor runs nothing on."""
        config = self._subject.config
        return config is not None and config.engine.kind == "kubernetes"

    async def _gpus_there(self) -> tuple[GpuState, ...]:
        await self._gpus_read.wait()
        if self._gpus is None or self._gpus.reading is None:
            return ()
        return self._gpus.reading.gpus


@dataclass(frozen=True, slots=True)
class Check:
    """One of the checks.

    Attributes:
        areas: of the codes that it finds.
        limit_s: how long it may take.
        needs: whose facts it waits for.
    """

    name: str
    areas: frozenset[Area]
    run: Callable[[Examination], Awaitable[Findings]]
    limit_s: float
    needs_config: bool = False
    needs_gpus: bool = False


def _check(
    name: str,
    areas: Collection[Area],
    run: Callable[[Examination], Awaitable[Findings]],
    limit_s: float,
    **needs: bool,
) -> Check:
    return Check(name, frozenset(areas), run, limit_s, **needs)


# A sick driver, an engine with a busy disk and a chain's endpoint take tens of seconds; what takes longer is as good
# as broken.
CHECKS: Final = (
    _check("config", [Area.CONFIG], Examination.config, 10),
    _check("keys", [Area.KEYS], Examination.keys, 10),
    _check("disk", [Area.DISK], Examination.disk, 60),
    _check("gpus", [Area.GPU, Area.TOOLKIT], Examination.gpus, 40),
    _check("engine", [Area.ENGINE], Examination.engine, 30, needs_gpus=True),
    _check("container", [Area.CONTAINER], Examination.container, 90, needs_gpus=True),
    _check("links", [Area.LINK], Examination.links, 90),
    _check(
        "coordinators",
        [Area.COORDINATOR, Area.CLOCK],
        Examination.coordinators,
        40,
        needs_config=True,
    ),
    _check("reach", [Area.NETWORK], Examination.reach, 40, needs_config=True),
    _check("ledger", [Area.LEDGER, Area.STAKE], Examination.ledger, 90, needs_config=True),
)


async def examine(
    subject: Subject, only: Collection[str] = (), checks: tuple[Check, ...] = CHECKS
) -> list[Finding]:
    """Everything that is found, in the order of the checks.

    Args:
        only: codes; then nothing else is looked for. What could not be looked at is said nevertheless.
    """
    areas = {CODES[code].area for code in only} or set(Area)
    chosen = [check for check in checks if check.areas & areas]
    if any(check.needs_gpus for check in chosen):
        chosen += [check for check in checks if Area.GPU in check.areas and check not in chosen]
    examination = Examination(subject)
    found: dict[str, Findings] = {}

    async def run(check: Check) -> None:
        found[check.name] = await _within_its_time(check, examination, subject)

    async with trio.open_nursery() as nursery:
        for check in chosen:
            nursery.start_soon(run, check)
    shown = [finding for check in checks for finding in found.get(check.name, ())]
    return [each for each in shown if not only or each.code in only or each.area is Area.DOCTOR]


async def _within_its_time(check: Check, examination: Examination, subject: Subject) -> Findings:
    if check.needs_config and subject.config is None:
        return (_not_checked(check.name, "node.toml cannot be used"),)
    with trio.move_on_after(check.limit_s):
        try:
            return await check.run(examination)
        except Exception as error:  # noqa: BLE001 - one check's boundary: the others go on
            _log.debug("check %s", check.name, exc_info=True)
            saw = f"{check.name}: {type(error).__name__}: {error}"
            return (Finding("CHECK_BROKEN", saw, "a defect of ours: report it"),)
    saw = f"{check.name}: not done within {check.limit_s:g} s"
    return (Finding("NO_ANSWER", saw, "look at what it asks: the driver, the engine, the network"),)


def _not_checked(what: str, why: str) -> Finding:
    return Finding("NOT_CHECKED", f"{what}: {why}", "mend that first")

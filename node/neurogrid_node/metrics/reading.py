"""A node's numbers at one moment, and which metric each belongs to. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from neurogrid_marketplace.bid import DeclineCode
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.resources import Capacity
from neurogrid_telemetry.metrics import Sample

from ..journal import Earned
from ..machine.host import Host
from ..machine.inventory import Inventory
from . import catalogue as names
from .tally import Tally


@dataclass(frozen=True, slots=True)
class Reading:
    """See the module.

    Attributes:
        phases: of each lease.
        listed: the coordinators of node.toml, and whether each is connected.
        others_up, others_away: how many others there are.
        earnings_differ: leases of which journal and chain do not agree.
    """

    node_id: str
    version: str
    accepting: bool
    tally: Tally
    phases: tuple[LeasePhase, ...]
    earned: Earned
    unredeemed_micro_usdc: int
    staked_micro_usdc: int
    stake_problem: str
    chain_answers: bool
    total: Capacity
    free: Capacity
    inventory: Inventory
    host: Host | None
    listed: Mapping[str, bool]
    others_up: int
    others_away: int
    earnings_differ: int


def samples(reading: Reading) -> Iterator[Sample]:
    """Everything, in the order of the catalogue within each part. What is not known is left out."""
    yield from _market(reading)
    yield from _money(reading)
    yield from _machine(reading)
    yield from _gpus(reading.inventory)
    up = sum(reading.listed.values())
    for coordinator, connected in reading.listed.items():
        yield Sample(names.COORDINATOR_UP, (coordinator,), connected)
    yield Sample(names.COORDINATORS, ("connected",), up + reading.others_up)
    yield Sample(names.COORDINATORS, ("away",), len(reading.listed) - up + reading.others_away)
    yield Sample(names.ENGINE_UP, (), reading.tally.engine_answers)
    yield Sample(names.CHAIN_UP, (), reading.chain_answers)


def _market(reading: Reading) -> Iterator[Sample]:
    tally = reading.tally
    yield Sample(names.INFO, (reading.node_id, reading.version), 1)
    yield Sample(names.ACCEPTING, (), reading.accepting)
    # All codes from the beginning: what appears with its first increase, no alarm sees increase.
    codes = [code.value for code in DeclineCode]
    for answer in ("bid", *codes):
        yield Sample(names.DEMANDS, (answer,), tally.demands[answer])
    for answer in ("taken", *codes):
        yield Sample(names.AWARDS, (answer,), tally.awards[answer])
    phases = Counter(reading.phases)
    for phase in LeasePhase:
        yield Sample(names.LEASES, (phase.value,), phases[phase])
    for ending, count in tally.ended.items():
        yield Sample(names.LEASES_OVER, ending, count)
    for step, took in tally.steps.items():
        yield Sample(names.STEP_SECONDS, (step,), took)
    for leak, count in tally.leaks.items():
        yield Sample(names.LEAKS, (leak,), count)


def _money(reading: Reading) -> Iterator[Sample]:
    yield Sample(names.EARNED, (), reading.earned.micro_usdc)
    yield Sample(names.LEASES_PAID, (), reading.earned.leases)
    yield Sample(names.UNREDEEMED, (), reading.unredeemed_micro_usdc)
    yield Sample(names.STAKED, (), reading.staked_micro_usdc)
    yield Sample(names.STAKE_OK, (), not reading.stake_problem)
    yield Sample(names.EARNINGS_DIFFER, (), reading.earnings_differ)


def _machine(reading: Reading) -> Iterator[Sample]:
    total, free = reading.total, reading.free
    yield Sample(names.OFFERED_CORES, (), total.cpu_millis / 1000)
    yield Sample(names.FREE_CORES, (), free.cpu_millis / 1000)
    yield Sample(names.OFFERED_MEMORY, (), total.memory_bytes)
    yield Sample(names.FREE_MEMORY, (), free.memory_bytes)
    yield Sample(names.OFFERED_DISK, (), total.disk_bytes)
    yield Sample(names.FREE_DISK, (), free.disk_bytes)
    yield Sample(names.OFFERED_GPUS, (), len(total.gpus))
    yield Sample(names.FREE_GPUS, (), len(free.gpus))
    for disk in reading.host.disks if reading.host is not None else ():
        yield Sample(names.DISK_TOTAL, (disk.mount,), disk.total_bytes)
        yield Sample(names.DISK_FREE, (disk.mount,), disk.free_bytes)


def _gpus(inventory: Inventory) -> Iterator[Sample]:
    for gpu in inventory.gpus:
        yield Sample(names.GPU_INFO, (gpu.uuid, gpu.model), 1)
        yield Sample(names.GPU_MEMORY, (gpu.uuid,), gpu.memory_bytes)
        yield Sample(names.GPU_MEMORY_USED, (gpu.uuid,), gpu.memory_used_bytes)
        if gpu.utilisation_percent is not None:
            yield Sample(names.GPU_BUSY, (gpu.uuid,), gpu.utilisation_percent / 100)
        if gpu.temperature_celsius is not None:
            yield Sample(names.GPU_TEMPERATURE, (gpu.uuid,), gpu.temperature_celsius)
        if gpu.power_milliwatts is not None:
            yield Sample(names.GPU_POWER, (gpu.uuid,), gpu.power_milliwatts / 1000)
    for each in inventory.withheld:
        yield Sample(names.GPU_WITHHELD, (each.uuid, each.code), 1)

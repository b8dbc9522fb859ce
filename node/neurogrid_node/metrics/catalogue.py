"""Every metric of a node: its name, its labels, what it means. docs/telemetry.md has the same list.

A label has few values that we choose, or a GPU's or a listed coordinator's id; never a lease, task or client, which
come without end.
"""

from typing import Final

from neurogrid_telemetry.metrics import Kind, Metric

_PREFIX: Final = "neurogrid_node_"


def _gauge(short: str, help: str, *labels: str) -> Metric:
    return Metric(_PREFIX + short, Kind.GAUGE, help, labels)


def _counter(short: str, help: str, *labels: str) -> Metric:
    return Metric(_PREFIX + short, Kind.COUNTER, help, labels)


INFO = _gauge("info", "Always 1: which node this is, and its release.", "node", "version")
ACCEPTING = _gauge("accepting", "Whether it takes new work.")
DEMANDS = _counter("demands", "Calls for bids, by the answer: bid, or a decline's code.", "answer")
AWARDS = _counter("awards", "Leases that were offered to it: taken, or a refusal's code.", "answer")
LEASES = _gauge("leases", "Leases now, by phase.", "phase")
LEASES_OVER = _counter(
    "leases_over", "Leases that are over, their money moved.", "outcome", "blame"
)
STEP_SECONDS = Metric(
    f"{_PREFIX}lease_step_seconds", Kind.HISTOGRAM, "How long parts of leases took.", ("step",)
)
EARNED = _counter("earned_micro_usdc", "Redeemed, after the market's fee, since it was set up.")
LEASES_PAID = _counter("leases_paid", "Leases that it was paid for, since it was set up.")
UNREDEEMED = _gauge("unredeemed_micro_usdc", "Held in vouchers that are not redeemed.")
STAKED = _gauge("staked_micro_usdc", "At risk on the chain, as last seen.")
STAKE_OK = _gauge("stake_sufficient", "Whether the stake lets new work in.")
OFFERED_CORES = _gauge("offered_cpu_cores", "Offered in all.")
FREE_CORES = _gauge("free_cpu_cores", "Offered, and neither leased nor held for a bid.")
OFFERED_MEMORY = _gauge("offered_memory_bytes", "Offered in all.")
FREE_MEMORY = _gauge("free_memory_bytes", "Offered, and neither leased nor held for a bid.")
OFFERED_DISK = _gauge("offered_disk_bytes", "Offered in all.")
FREE_DISK = _gauge("free_disk_bytes", "Offered, and neither leased nor held for a bid.")
OFFERED_GPUS = _gauge("offered_gpus", "Offered in all; withheld ones are not.")
FREE_GPUS = _gauge("free_gpus", "Offered, and neither leased nor held for a bid.")
DISK_TOTAL = _gauge("disk_bytes", "Of each filesystem on a disk.", "mount")
DISK_FREE = _gauge("disk_free_bytes", "Free there.", "mount")
GPU_INFO = _gauge("gpu_info", "Always 1: a GPU that works, by its UUID.", "gpu", "model")
GPU_BUSY = _gauge("gpu_utilisation_ratio", "0 to 1, over about a second.", "gpu")
GPU_MEMORY = _gauge("gpu_memory_bytes", "What it has.", "gpu")
GPU_MEMORY_USED = _gauge("gpu_memory_used_bytes", "Used by all processes and the driver.", "gpu")
GPU_TEMPERATURE = _gauge("gpu_temperature_celsius", "As its driver tells.", "gpu")
GPU_POWER = _gauge("gpu_power_watts", "As its driver tells.", "gpu")
GPU_WITHHELD = _gauge(
    "gpu_withheld", "1 for a GPU that is not offered, by the reason.", "gpu", "code"
)
COORDINATOR_UP = _gauge(
    "coordinator_up", "Whether one that node.toml lists is connected.", "coordinator"
)
COORDINATORS = _gauge("coordinators", "Of all, found ones and direct clients too.", "state")
ENGINE_UP = _gauge("engine_up", "Whether the container engine answered when it was asked last.")
CHAIN_UP = _gauge("chain_up", "Whether the chain answered when it was asked last.")
LEAKS = _counter("leaks", "Found between ledger, leases, journal, engine and disk.", "leak")
EARNINGS_DIFFER = _gauge("earnings_differ", "Leases of which journal and chain do not agree.")

CATALOGUE: Final = (
    INFO,
    ACCEPTING,
    DEMANDS,
    AWARDS,
    LEASES,
    LEASES_OVER,
    STEP_SECONDS,
    EARNED,
    LEASES_PAID,
    UNREDEEMED,
    STAKED,
    STAKE_OK,
    OFFERED_CORES,
    FREE_CORES,
    OFFERED_MEMORY,
    FREE_MEMORY,
    OFFERED_DISK,
    FREE_DISK,
    OFFERED_GPUS,
    FREE_GPUS,
    DISK_TOTAL,
    DISK_FREE,
    GPU_INFO,
    GPU_BUSY,
    GPU_MEMORY,
    GPU_MEMORY_USED,
    GPU_TEMPERATURE,
    GPU_POWER,
    GPU_WITHHELD,
    COORDINATOR_UP,
    COORDINATORS,
    ENGINE_UP,
    CHAIN_UP,
    LEAKS,
    EARNINGS_DIFFER,
)

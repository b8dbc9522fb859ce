"""What a resource offers: document 003's specifications and pricing as the market's offer. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, TypeVar

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.fields import decode, plain
from neurogrid_marketplace.money import parse_usdc
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.resources import Capacity

T = TypeVar("T")

ResourceType = Literal["gpu", "cpu"]

_GB = 10**9
_GPU_NAMES = frozenset(
    {"model", "memory_gb", "gpu_count", "compute_capability", "vendor", "gpu_uuids"}
)
_MACHINE_NAMES = frozenset({"cpu_cores", "ram_gb", "storage_gb"})
_PRICE_NAMES = {
    "per_hour": "base_micro_usdc_per_hour",
    "per_cpu_core": "cpu_core_micro_usdc_per_hour",
    "per_memory_gib": "memory_gib_micro_usdc_per_hour",
    "per_gpu": "gpu_micro_usdc_per_hour",
}


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that the program runs on: what a specification that leaves something out means."""

    cpu_cores: float
    ram_gb: float
    storage_gb: float


def capacity_of(
    resource_type: ResourceType, specifications: Mapping[str, object], host: Host, name: str
) -> Capacity:
    """What a resource has.

    Args:
        specifications: ``cpu_cores``, ``ram_gb``, ``storage_gb`` (those of the host, if left out) and, of type gpu,
            ``model``, ``memory_gb`` (each GPU's; a GB is 10^9 bytes), ``gpu_count`` (1), ``compute_capability``,
            ``vendor`` and ``gpu_uuids``.
        name: the resource's, of which its GPUs are called where no ``gpu_uuids`` are given.

    Raises:
        ValueError: a name is unknown, a value is missing or none.
    """
    names = _MACHINE_NAMES | _GPU_NAMES if resource_type == "gpu" else _MACHINE_NAMES
    _refuse_others(specifications, names, f"specifications of a {resource_type} resource")
    values = {
        "cpu_cores": host.cpu_cores,
        "ram_gb": host.ram_gb,
        "storage_gb": host.storage_gb,
        **specifications,
    }
    gpus = _gpus(specifications, name) if resource_type == "gpu" else []
    found = {
        "cpu_millis": _whole(values, "cpu_cores", 1000),
        "memory_bytes": _whole(values, "ram_gb", _GB),
        "disk_bytes": _whole(values, "storage_gb", _GB),
        "gpus": gpus,
    }
    return _decoded(Capacity, found, "specifications")


def prices_of(pricing: Mapping[str, object]) -> PriceList:
    """What a resource asks, USDC per hour.

    Args:
        pricing: ``per_hour``: for any job, whatever of the machine it takes; besides, by what a job takes,
            ``per_cpu_core``, ``per_memory_gib`` and ``per_gpu``. All of them add up.

    Raises:
        ValueError: a name is unknown, none is given, or a value is no price.
    """
    _refuse_others(pricing, frozenset(_PRICE_NAMES), "pricing")
    if not pricing:
        raise ValueError(f"pricing has none of {', '.join(_PRICE_NAMES)}")
    try:
        found = {_PRICE_NAMES[name]: parse_usdc(str(value)) for name, value in pricing.items()}
    except ValueError as error:
        raise ValueError(f"pricing: {error}") from error
    return _decoded(PriceList, found, "pricing")


def offer_of(
    *,
    node_id: str,
    wallet: str,
    software: str,
    region: str,
    total: Capacity,
    prices: PriceList,
    images: tuple[str, ...],
    accepting: bool,
) -> Offer:
    """The offer of a resource of which nothing is taken.

    Raises:
        ValueError: a text is none that travels.
    """
    found = {
        "node_id": node_id,
        "wallet": wallet,
        "software": software,
        "region": region,
        "total": total,
        "free": total,
        "prices": prices,
        "images": list(images),
        "accepting": accepting,
        "summary": "speaks HTTPS",
    }
    return _decoded(Offer, found, "resource")


def _gpus(specifications: Mapping[str, object], name: str) -> list[dict[str, object]]:
    for needed in ("model", "memory_gb"):
        if needed not in specifications:
            raise ValueError(f"specifications of a gpu resource have a {needed}")
    count = _whole({"gpu_count": 1, **specifications}, "gpu_count", 1)
    uuids = specifications.get("gpu_uuids", [f"{name}-gpu-{number}" for number in range(count)])
    if not isinstance(uuids, list | tuple) or len(uuids) != count or len(set(uuids)) != count:
        raise ValueError(f"specifications.gpu_uuids: {count} different ones, as gpu_count says")
    each: dict[str, object] = {
        "model": str(specifications["model"]),
        "memory_bytes": _whole(specifications, "memory_gb", _GB),
    }
    for optional in ("compute_capability", "vendor"):
        if optional in specifications:
            each[optional] = str(specifications[optional])
    return [{"uuid": str(uuid), **each} for uuid in uuids]


def _whole(values: Mapping[str, object], name: str, unit: int) -> int:
    try:
        value = Decimal(str(values[name]))
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value <= 0:
        raise ValueError(f"specifications.{name}: a number above zero, and not {values[name]!r}")
    return int(value * unit)


def _refuse_others(given: Mapping[str, object], names: frozenset[str], what: str) -> None:
    unknown = sorted(set(given) - names)
    if unknown:
        raise ValueError(
            f"{what} have no {', '.join(unknown)}: there are {', '.join(sorted(names))}"
        )


def _decoded(kind: type[T], found: Mapping[str, object], what: str) -> T:
    travels = {
        name: plain(value) if is_dataclass(value) else value for name, value in found.items()
    }
    try:
        return decode(kind, travels)
    except MalformedMessage as error:
        raise ValueError(f"{what}: {error}") from error

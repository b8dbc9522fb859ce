# Made from aio/providers.py by scripts/unasync.py: change that one, and run it.
"""Providers: who offers machines."""

from decimal import Decimal

from .models.providers import ProviderInfo, ProviderPage
from .transport import Transport

_PATH = "/providers"


class Providers:
    """The market's providers."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def search(
        self,
        *,
        gpu_model: str | None = None,
        gpu_memory_min: float | None = None,
        gpu_count_min: int | None = None,
        cpu_cores_min: float | None = None,
        ram_gb_min: float | None = None,
        storage_gb_min: float | None = None,
        max_price: str | float | Decimal | None = None,
        location: str | None = None,
        score_min: float | None = None,
        status: str | None = None,
        available: bool | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> ProviderPage:
        """Providers with a machine that has all of this, the cheapest first.

        Args:
            gpu_model: occurs in the model's name.
            gpu_memory_min: GB, of each GPU.
            max_price: USDC per hour, for all that is asked for.
            location: a region.
            score_min: of the machine's ``performance_score``.
            status: online, busy or offline; left out, all that are connected.
            available: whether a machine could take it now.
        """
        wanted: dict[str, str | int | float | bool | None] = {
            "gpu_model": gpu_model,
            "gpu_memory_min": gpu_memory_min,
            "gpu_count_min": gpu_count_min,
            "cpu_cores_min": cpu_cores_min,
            "ram_gb_min": ram_gb_min,
            "storage_gb_min": storage_gb_min,
            "max_price": None if max_price is None else str(max_price),
            "location": location,
            "score_min": score_min,
            "status": status,
            "available": available,
            "limit": limit,
            "offset": offset,
        }
        params = {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in wanted.items()
            if value is not None
        }
        return self._transport.call(ProviderPage, "GET", _PATH, params=params)

    def get(self, provider_id: str) -> ProviderInfo:
        """One provider, with its machines.

        Raises:
            NotFoundError: no such provider is known.
        """
        return self._transport.call(ProviderInfo, "GET", f"{_PATH}/{provider_id}")

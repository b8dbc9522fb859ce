"""Sections of coordinator.toml: operations, and who uses other documents' APIs without a key."""

from typing import Annotated

from msgspec import Meta

from neurogrid_marketplace.fields import ImageRef
from neurogrid_marketplace.money import parse_usdc

from .config_section import Section
from .services.operations import OperationSettings


class OperationsConfig(Section, frozen=True):
    """Operations, computations that clients ask for by name; see `OperationSettings`."""

    image: ImageRef = "neurogrid/operations:1"
    max_price_usdc_per_hour: Annotated[str, Meta(max_length=20)] = "0.50"
    timeout_s: Annotated[int, Meta(ge=1, le=3600)] = 240
    wait_s: Annotated[int, Meta(ge=1, le=3600)] = 300

    @property
    def settings(self) -> OperationSettings:
        """As they are kept to.

        Raises:
            ValueError: the price is none.
        """
        return OperationSettings(
            image=self.image,
            max_price_micro_usdc_per_hour=parse_usdc(self.max_price_usdc_per_hour),
            timeout_s=self.timeout_s,
            wait_s=self.wait_s,
        )


class DialectsConfig(Section, frozen=True):
    """APIs of other documents, beside the native one."""

    anonymous_account: Annotated[
        str, Meta(pattern=r"^(acct_[0-9a-f]{32}|[1-9A-HJ-NP-Za-km-z]{32,44})?\Z")
    ] = ""


class DashboardConfig(Section, frozen=True):
    """The pages for people at ``/dashboard``."""

    enabled: bool = True

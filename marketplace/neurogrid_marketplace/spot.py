"""What a node asks less for jobs that it may reclaim, and how long it warns before it does."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from .fields import Permille

# A warning is never longer: who displaces the job waits for it, and half an hour is all that a start
# may take.
RECLAIM_WINDOW_MAX_S = 600

ReclaimWindowS = Annotated[int, Meta(ge=0, le=RECLAIM_WINDOW_MAX_S)]


@dataclass(frozen=True, slots=True)
class SpotTerms:
    """How a node takes preemptible tasks.

    Attributes:
        discount_permille: by how much it asks less for one.
        reclaim_window_s: from the warning to the stop.
    """

    discount_permille: Permille
    reclaim_window_s: Annotated[int, Meta(ge=1, le=RECLAIM_WINDOW_MAX_S)]

    def discounted(self, price_micro_usdc_per_hour: int) -> int:
        """The ask for a preemptible task, rounded up."""
        return -(-price_micro_usdc_per_hour * (1000 - self.discount_permille) // 1000)

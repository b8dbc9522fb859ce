"""What the operator says of how many requests are taken, from whom and of which kind. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from ..api.paths import API


class Kind(StrEnum):
    """Kinds of request with a bucket of their own, beside that for all."""

    SUBMISSIONS = "submissions"
    UPLOADS = "uploads"


@dataclass(frozen=True, slots=True)
class RequestRules:
    """What the operator sets; every number is requests per minute, and 0 is no limit.

    Attributes:
        tiers: name -> requests of each account.
        default_tier: of accounts that were given none, or one that is no more; "" or unknown: no limit.
        kinds: of each account, for these kinds of request.
        per_address: all requests from one address.
        strangers_per_address: those without a key, or with one that opens nothing.
    """

    tiers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    default_tier: str = ""
    kinds: Mapping[Kind, int] = field(default_factory=lambda: MappingProxyType({}))
    per_address: int = 0
    strangers_per_address: int = 0

    def per_minute(self, tier: str) -> int:
        """What an account of this tier may; 0: anything."""
        return self.tiers.get(tier, self.tiers.get(self.default_tier, 0))


UNLIMITED = RequestRules()

# Method and path's beginning -> kind.
_KINDS: tuple[tuple[str, str, Kind], ...] = (
    ("POST", f"{API}/tasks", Kind.SUBMISSIONS),
    ("POST", "/tasks", Kind.SUBMISSIONS),
    ("POST", "/ai/", Kind.SUBMISSIONS),
    ("POST", "/api/task", Kind.SUBMISSIONS),
    ("POST", f"{API}/workflows", Kind.SUBMISSIONS),
    ("POST", f"{API}/batches", Kind.SUBMISSIONS),
    ("POST", f"{API}/scheduled-tasks", Kind.SUBMISSIONS),
    ("POST", f"{API}/models/", Kind.SUBMISSIONS),
    ("POST", "/v1/", Kind.SUBMISSIONS),
    ("POST", "/runner/api/v1/tasks", Kind.SUBMISSIONS),
    ("POST", "/runner/api/v1/batches", Kind.SUBMISSIONS),
    ("POST", "/runner/api/v1/scheduled-tasks", Kind.SUBMISSIONS),
    ("PUT", f"{API}/artifacts/", Kind.UPLOADS),
)


def kind_of(method: str, path: str) -> Kind | None:
    """The kind of a request, by the table above."""
    for wanted, beginning, kind in _KINDS:
        if method == wanted and path.startswith(beginning):
            return kind
    return None

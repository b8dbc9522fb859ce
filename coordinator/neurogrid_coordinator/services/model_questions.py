"""A request to a model in OpenAI's form, and its answer: what whoever computes it gets, and gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from neurogrid_marketplace.model_routing import ANYWHERE, ProviderPreferences

from ..openai.answers import Bill
from ..openai.fields import given
from ..openai.recordings import Recording
from ..openai.requests import Request

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
# Of a file of the account's with this SHA-256, and of this name: where anybody may read it for a while.
Link = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a model.

    Attributes:
        recording: that is to be written down; it lasts as long as the request.
        link: where a file of the answer can be read.
        idempotency_key: of its sender; the same request again has the same answer.
        sent: what its sender said, by which it is known again, where ``request`` was made of that; b"": ``request`` itself.
    """

    request: Request
    recording: Recording | None = None
    link: Link | None = None
    idempotency_key: str | None = None
    sent: bytes = b""

    @property
    def routing(self) -> ProviderPreferences:
        """Who may compute it."""
        wanted: ProviderPreferences = given(getattr(self.request, "provider", None), ANYWHERE)
        return wanted


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, as it is to be sent; the headers say what it cost where its text cannot.

    Attributes:
        took_ms: from the request to the whole answer, when that was; None: its task says it.
    """

    content: bytes
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    took_ms: int | None = None


def bill_headers(bill: Bill) -> dict[str, str]:
    """What an answer says of itself where it is no JSON."""
    return {
        "X-NeuroGrid-Request-Id": bill.id,
        "X-NeuroGrid-Cost-Micro-USDC": str(bill.cost_micro_usdc),
    }

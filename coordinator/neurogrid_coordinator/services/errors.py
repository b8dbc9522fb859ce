"""What the product refuses, and why.

Refused                        ``code`` is the word that clients see, ``details`` is for programs
├── InvalidRequest             INVALID_REQUEST       a value breaks a rule; ``field`` says which
│   └── InvalidConstraints                           … and the place in the text, what was expected
├── PayloadTooLarge            PAYLOAD_TOO_LARGE     more bytes than are taken
├── Unauthorized               UNAUTHORIZED          no key, or one that opens nothing
│   └── KeyHasExpired          KEY_EXPIRED
├── Forbidden                  FORBIDDEN             the key lacks a scope
├── NotFound                   NOT_FOUND             no such thing, or somebody else's
├── Conflict                   CONFLICT              does not fit the present state
│   ├── IdempotencyMismatch    IDEMPOTENCY_MISMATCH  the key was used for another request
│   ├── NotSettled             NOT_SETTLED           the receipt is not complete yet
│   └── UnmetDependency        DEPENDENCY_UNMET      a task that is depended on can't be had any more
├── InsufficientCredits        INSUFFICIENT_CREDITS  more than the account can spend
├── NodeUnavailable            NODE_UNAVAILABLE      no node can serve this; carries the explanation
├── RateLimited                RATE_LIMITED          too many requests
└── Unavailable                UNAVAILABLE           our side can't answer now; try again
"""

from typing import ClassVar

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.explain import Explanation
from neurogrid_marketplace.money import format_usdc


class Refused(Exception):
    """The request is not carried out, and nothing has changed."""

    code: ClassVar[str]

    def __init__(self, message: str, details: dict[str, Json] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or {}


class InvalidRequest(Refused):
    """A value breaks a rule.

    Args:
        field: its path in the request, as in ``resource_requirements.cpu_cores``.
    """

    code = "INVALID_REQUEST"

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message, {"field": field} if field else {})


class InvalidConstraints(InvalidRequest):
    """Conditions that cannot be read, or that can never hold; ``details`` say where and why."""

    def __init__(self, message: str, field: str, **details: Json) -> None:
        super().__init__(message, field)
        self.details |= details


class PayloadTooLarge(Refused):
    """The body has more bytes than are taken."""

    code = "PAYLOAD_TOO_LARGE"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"the body is larger than {limit_bytes} bytes", {"limit_bytes": limit_bytes}
        )


class Unauthorized(Refused):
    """No key, or one that opens nothing."""

    code = "UNAUTHORIZED"


class KeyHasExpired(Unauthorized):
    """The key was good until its expiry."""

    code = "KEY_EXPIRED"


class Forbidden(Refused):
    """The key is good, but not for this."""

    code = "FORBIDDEN"


class NotFound(Refused):
    """No such thing, or somebody else's: the answer does not tell which."""

    code = "NOT_FOUND"


class Conflict(Refused):
    """The request does not fit the present state."""

    code = "CONFLICT"


class IdempotencyMismatch(Conflict):
    """The idempotency key was used for another request."""

    code = "IDEMPOTENCY_MISMATCH"


class NotSettled(Conflict):
    """There is no receipt yet; ``missing`` says what it lacks."""

    code = "NOT_SETTLED"

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__(
            f"the receipt is not complete: {'; '.join(missing)}", {"missing": list(missing)}
        )


class UnmetDependency(Conflict):
    """What the task would wait for will never come; ``reason`` is the code it would end with."""

    code = "DEPENDENCY_UNMET"

    def __init__(self, message: str, *, reason: str, field: str) -> None:
        super().__init__(message, {"reason": reason, "field": field})


class InsufficientCredits(Refused):
    """The task could cost more than the account can spend now."""

    code = "INSUFFICIENT_CREDITS"

    def __init__(self, *, needed_micro_usdc: int, available_micro_usdc: int) -> None:
        needed, available = format_usdc(needed_micro_usdc), format_usdc(available_micro_usdc)
        super().__init__(
            f"this may cost up to {needed} USDC, and {available} USDC are available. Deposit more, "
            "or lower max_price_per_hour, timeout_seconds or max_total_cost",
            {"needed": needed, "available": available, "currency": "USDC"},
        )


class NodeUnavailable(Refused):
    """No node that is known could ever serve this; of a gang: too few could.

    Attributes:
        explanation: which constraint left how many nodes, and what would help.
    """

    code = "NODE_UNAVAILABLE"

    def __init__(self, explanation: Explanation, able: int = 0, wanted: int = 1) -> None:
        there = f"{able} of {wanted} nodes could serve it at once. " if wanted > 1 else ""
        super().__init__(
            f"{there}{explanation.sentence()} Relax what the details name, or set wait_for_node to queue "
            "until a node comes that fits"
        )
        self.explanation = explanation


class RateLimited(Refused):
    """Too many requests; ``retry_after_s`` is how long to wait."""

    code = "RATE_LIMITED"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            f"too many requests; try again in {retry_after_s} s", {"retry_after": retry_after_s}
        )
        self.retry_after_s = retry_after_s


class Unavailable(Refused):
    """Our side can't answer now; the same request may succeed in a moment."""

    code = "UNAVAILABLE"

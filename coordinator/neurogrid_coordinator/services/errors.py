"""What the product refuses, and why.

Refused                        ``code`` is the word that clients see, ``details`` is for programs
├── InvalidRequest             INVALID_REQUEST       a value breaks a rule; ``field`` says which
│   ├── InvalidConstraints                           … and the place in the text, what was expected
│   └── InvalidSchedule        INVALID_CRON_EXPRESSION
├── PayloadTooLarge            PAYLOAD_TOO_LARGE     more bytes than are taken
├── Unauthorized               UNAUTHORIZED          no key, or one that opens nothing
│   ├── KeyHasExpired          KEY_EXPIRED
│   ├── SignatureRequired      SIGNATURE_REQUIRED    the wallet has to sign this; ``details`` say for which network
│   ├── SignatureInvalid       SIGNATURE_INVALID     … and did not; ``details`` have the text that it should have signed
│   ├── SignatureExpired       SIGNATURE_EXPIRED     … too long ago, or by a clock that is wrong
│   └── SignatureReplayed      SIGNATURE_REPLAYED    … but that was carried out before
├── Forbidden                  FORBIDDEN             the key lacks a scope
├── NotFound                   NOT_FOUND             no such thing, or somebody else's
│   ├── TaskNotFound           TASK_NOT_FOUND        … with its owner's own id
│   ├── BatchNotFound          BATCH_NOT_FOUND
│   ├── ModelUnavailable       MODEL_UNAVAILABLE     no model is called so; lists those that are
│   └── ScheduleNotFound       SCHEDULED_TASK_NOT_FOUND
├── Expired                    EXPIRED               it was there, and is no longer kept
├── Conflict                   CONFLICT              does not fit the present state
│   ├── IdempotencyMismatch    IDEMPOTENCY_MISMATCH  the key was used for another request
│   ├── NotSettled             NOT_SETTLED           the receipt is not complete yet
│   └── UnmetDependency        DEPENDENCY_UNMET      a task that is depended on can't be had any more
├── InsufficientCredits        INSUFFICIENT_CREDITS  more than the account can spend
├── LacksFunds                 INSUFFICIENT_CREDITS  a wallet, deposit or stake has not enough for a transfer
├── QuotaExceeded              QUOTA_EXCEEDED        more than the account lets itself spend
│   └── MonthExhausted                               … in this month
├── NodeUnavailable            NODE_UNAVAILABLE      no node can serve this; carries the explanation
├── NobodyAnswered             NODE_UNAVAILABLE      no node took in time what somebody waited for
├── NotAnswered                TASK_FAILED           what somebody waited for failed
├── RateLimited                RATE_LIMITED          too many requests
└── Unavailable                UNAVAILABLE           our side can't answer now; try again
    └── ArtifactStoreUnavailable  STORE_UNAVAILABLE  … because what keeps its files doesn't
"""

from collections.abc import Mapping, Sequence
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


class InvalidSchedule(InvalidRequest):
    """A cron expression that can't be read, or never comes."""

    code = "INVALID_CRON_EXPRESSION"


class PayloadTooLarge(Refused):
    """The body has more bytes than are taken."""

    code = "PAYLOAD_TOO_LARGE"

    def __init__(self, limit_bytes: int, message: str = "") -> None:
        super().__init__(
            message or f"the body is larger than {limit_bytes} bytes", {"limit_bytes": limit_bytes}
        )


class Unauthorized(Refused):
    """No key, or one that opens nothing."""

    code = "UNAUTHORIZED"


class KeyHasExpired(Unauthorized):
    """The key was good until its expiry."""

    code = "KEY_EXPIRED"


class SignatureRequired(Unauthorized):
    """The account's wallet has to sign this request."""

    code = "SIGNATURE_REQUIRED"


class SignatureInvalid(Unauthorized):
    """What was sent is not the wallet's signature of this request."""

    code = "SIGNATURE_INVALID"


class SignatureExpired(Unauthorized):
    """The wallet signed this too long ago, or its clock is wrong."""

    code = "SIGNATURE_EXPIRED"


class SignatureReplayed(Unauthorized):
    """What the wallet signed was carried out before."""

    code = "SIGNATURE_REPLAYED"


class Forbidden(Refused):
    """The key is good, but not for this."""

    code = "FORBIDDEN"


class NotFound(Refused):
    """No such thing, or somebody else's: the answer does not tell which."""

    code = "NOT_FOUND"


class TaskNotFound(NotFound):
    """No task of this account has this id of its owner's."""

    code = "TASK_NOT_FOUND"

    def __init__(self, client_id: str) -> None:
        super().__init__(f"there is no task {client_id[:80]}", {"id": client_id[:80]})


class BatchNotFound(NotFound):
    """No such batch of this account."""

    code = "BATCH_NOT_FOUND"

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"there is no batch {batch_id[:80]}", {"batch_id": batch_id[:80]})


class ModelUnavailable(NotFound):
    """No model of the catalogue is called so.

    Args:
        there: ids of those that could be meant.
        model_type: what it had to be; None: anything.
        nearest: names that are most like it, best first.
    """

    code = "MODEL_UNAVAILABLE"

    def __init__(
        self,
        name: str,
        there: Sequence[str],
        model_type: str | None = None,
        nearest: Sequence[str] = (),
    ) -> None:
        kind = f"{model_type} model" if model_type else "model"
        meant = f"did you mean {' or '.join(nearest)}? There" if nearest else "there"
        super().__init__(
            f"there is no {kind} {name[:80]!r}; {meant} are: {', '.join(there) or 'none'}",
            {"model": name[:80], "models": list(there)},
        )


class Expired(Refused):
    """It was there; the operator keeps such things for so many days (`retention`)."""

    code = "EXPIRED"


class ScheduleNotFound(NotFound):
    """No such schedule of this account."""

    code = "SCHEDULED_TASK_NOT_FOUND"

    def __init__(self, schedule_id: str) -> None:
        super().__init__(
            f"there is no scheduled task {schedule_id[:80]}", {"schedule_id": schedule_id[:80]}
        )


class NoRoomForAnswer(PayloadTooLarge):
    """An account's files take as much as they may, and an answer was to be one of them."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            limit_bytes,
            f"an answer to a request with an Idempotency-Key is kept as a file of the account, which may have {limit_bytes} bytes "
            "more: delete some of its files, or send no key",
        )


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


class LacksFunds(Refused):
    """A wallet, a deposit or a stake has not enough for what its owner asks; the message says what it has."""

    code = "INSUFFICIENT_CREDITS"


class QuotaExceeded(Refused):
    """More than the account lets itself spend; ``limit`` in the details says which limit."""

    code = "QUOTA_EXCEEDED"


class MonthExhausted(QuotaExceeded):
    """... in this month: the same may be possible in the next one, or when other tasks have cost less."""


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


class NobodyAnswered(Refused):
    """Nobody took in time what somebody waited for, or is there who could; ``details`` have the task's id."""

    code = "NODE_UNAVAILABLE"


class NoReplica(NobodyAnswered):
    """No node takes a replica of the model now, so waiting for one would be in vain; says why."""


class NotAnswered(Refused):
    """The task failed whose result somebody waited for, or left none; ``details`` have its id and why."""

    code = "TASK_FAILED"


class RateLimited(Refused):
    """Too many requests.

    Attributes:
        retry_after_s: how long to wait.
        limits: ``user`` and ``ip``, as far as they were looked at: how many may come in a minute, how many
            still may, and the Unix time at which all may again.
    """

    code = "RATE_LIMITED"

    def __init__(
        self,
        retry_after_s: int,
        *,
        what: str = "requests",
        limits: Mapping[str, tuple[int, int, int]] | None = None,
    ) -> None:
        self.retry_after_s = retry_after_s
        self.limits = dict(limits or {})
        details: dict[str, Json] = {"retry_after": retry_after_s}
        if self.limits:
            details["limits"] = {
                name: {"limit": limit, "remaining": remaining, "reset": reset_s}
                for name, (limit, remaining, reset_s) in self.limits.items()
            }
        super().__init__(f"too many {what}; try again in {retry_after_s} s", details)


class Unavailable(Refused):
    """Our side can't answer now; the same request may succeed in a moment."""

    code = "UNAVAILABLE"


class ArtifactStoreUnavailable(Unavailable):
    """The store that keeps files does not answer, or refuses us."""

    code = "STORE_UNAVAILABLE"

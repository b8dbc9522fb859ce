"""Everything the SDK raises.

NeuroGridError
├── ConfigurationError         no address or key to talk to; nothing was sent
├── ConnectionFailed           the coordinator was not reached, or the connection broke too often
├── CommandLost                the connection to a command beside a job broke; the command was ended
├── WaitTimeout                the task had not ended when the caller's patience did
├── OperationFailed            an operation came to no result: ``task``
├── RemoteError                a function that ran on the network raised, or its job failed: ``remote_type``, ``remote_traceback``
├── PinError                   an image's registry did not say which bytes its tag stands for
├── IntegrityError             what was received does not have the hash it should have
└── ApiError                   the coordinator answered with an error (``code``, ``status``, ``details``)
    ├── InvalidRequestError        INVALID_REQUEST, PAYLOAD_TOO_LARGE ...: ``field`` names the culprit
    ├── AuthenticationError        UNAUTHORIZED, KEY_EXPIRED, SIGNATURE_REQUIRED, SIGNATURE_INVALID ...
    ├── PermissionDeniedError      FORBIDDEN
    ├── NotFoundError              NOT_FOUND, BATCH_NOT_FOUND, MODEL_UNAVAILABLE ...
    │   └── TaskNotFoundError      ... of a task: ``task_id``
    ├── ConflictError              CONFLICT, IDEMPOTENCY_MISMATCH, DEPENDENCY_UNMET
    │   └── NotSettledError        NOT_SETTLED: the receipt is not complete yet
    ├── InsufficientFundsError     INSUFFICIENT_CREDITS: ``needed``, ``available``
    ├── TaskFailedError            TASK_FAILED: of a model or operation that was waited for: ``task_id``
    ├── ProviderUnavailableError   NODE_UNAVAILABLE: ``explanation`` says which constraint to relax
    ├── RateLimitError             RATE_LIMITED: ``retry_after`` seconds
    └── ServerError                the coordinator's own fault; repeating may help
"""

from typing import Any

import msgspec

from .models import Explanation, Task


class NeuroGridError(Exception):
    """Base of every error of the SDK. ``hint`` says what to do next; empty where it is obvious."""

    hint = ""


class ConfigurationError(NeuroGridError):
    """There is no coordinator to talk to, or no key to talk with."""


class ConnectionFailed(NeuroGridError):
    """The coordinator could not be reached, or the connection broke too often."""

    hint = "Is the coordinator running, and is NEUROGRID_API_URL its address?"


class CommandLost(NeuroGridError):
    """The connection to a command beside a job broke; the command was ended."""

    hint = "The job itself goes on: run the command again."


class WaitTimeout(NeuroGridError):
    """The task, or what else was waited for, has not ended in time. It goes on."""

    hint = "It goes on: wait again, or cancel it."


class OperationFailed(NeuroGridError):
    """An operation has ended, and left no result.

    Attributes:
        task: as it is now.
    """

    hint = "`neurogrid logs` shows what its program said."

    def __init__(self, task: Task) -> None:
        why = f": {task.error.message}" if task.error is not None else ""
        super().__init__(f"task {task.id} is {task.status} and left no result{why}")
        self.task = task


class RemoteError(NeuroGridError):
    """A function that ran on the network raised, or its job came to no result.

    Attributes:
        task_id: the job's.
        remote_type: the name of what it raised; empty where the job failed before or after the call.
        remote_traceback: as the job's Python wrote it. The text comes from the provider's machine: show it, don't act on it.
    """

    def __init__(
        self, message: str, *, task_id: str, remote_type: str = "", remote_traceback: str = ""
    ) -> None:
        super().__init__(message)
        self.task_id = task_id
        self.remote_type = remote_type
        self.remote_traceback = remote_traceback
        self.hint = f"`neurogrid logs {task_id}` shows what it printed."


class PinError(NeuroGridError):
    """An image's registry did not say which bytes its tag stands for; nothing was submitted."""

    hint = "Name the image by its digest (name@sha256:...), or leave out --pin."


class IntegrityError(NeuroGridError):
    """A file arrived with another hash than the one it is known by."""

    hint = "Try again; if it repeats, report it: the file was changed on its way."


class ApiError(NeuroGridError):
    """The coordinator answered with an error.

    Attributes:
        code: the API's word for it, such as ``INVALID_REQUEST``.
        message: for people.
        status: HTTP status.
        details: more, as the API gives it.
    """

    def __init__(self, message: str, *, code: str, status: int, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.details = details


class InvalidRequestError(ApiError):
    """The request breaks a rule; the message says which."""

    @property
    def field(self) -> str | None:
        """The field that is wrong, if it is one field."""
        value = self.details.get("field")
        return value if isinstance(value, str) else None


class AuthenticationError(ApiError):
    """No key, an unknown key, or an expired one."""

    hint = "Set NEUROGRID_API_KEY, or pass --network network.json."


class PermissionDeniedError(ApiError):
    """The key is good, but may not do this."""


class NotFoundError(ApiError):
    """There is no such thing, or it belongs to somebody else."""


class TaskNotFoundError(NotFoundError):
    """There is no such task, or it belongs to somebody else."""

    hint = "`neurogrid list` shows your tasks."

    def __init__(
        self, message: str, *, code: str, status: int, details: dict[str, Any], task_id: str
    ) -> None:
        super().__init__(message, code=code, status=status, details=details)
        self.task_id = task_id


class ConflictError(ApiError):
    """The request does not fit the present state."""


class NotSettledError(ConflictError):
    """The receipt is not complete yet; ``missing`` says what it lacks."""

    hint = "Ask again in a few seconds."

    @property
    def missing(self) -> list[str]:
        """What the receipt still lacks, in words."""
        value = self.details.get("missing")
        return [str(item) for item in value] if isinstance(value, list) else []


class InsufficientFundsError(ApiError):
    """The account's available balance does not cover what this may cost."""

    hint = "Deposit USDC, or lower the price, the time limit or the total cost."

    @property
    def needed(self) -> str:
        """What it may cost at most, USDC."""
        return str(self.details.get("needed", ""))

    @property
    def available(self) -> str:
        """What the account can spend now, USDC."""
        return str(self.details.get("available", ""))


class ProviderUnavailableError(ApiError):
    """No node can serve this, now or when those that are busy get free."""

    hint = (
        "Relax what the explanation names, or submit with wait_for_node to queue until one comes."
    )

    @property
    def explanation(self) -> Explanation | None:
        """Which constraint left how many nodes, who came nearest, what would help."""
        try:
            return msgspec.convert(self.details.get("explanation"), Explanation, strict=False)
        except msgspec.ValidationError:
            return None


class TaskFailedError(ApiError):
    """The program of a model, or of what else was waited for, failed; the coordinator is well."""

    @property
    def task_id(self) -> str:
        """The task that it was."""
        return str(self.details.get("task_id", ""))

    @property
    def hint(self) -> str:  # type: ignore[override]  # the base's is the same for each error
        """Where its program's words are."""
        return f"`neurogrid logs {self.task_id}` shows what its program printed."


class RateLimitError(ApiError):
    """Too many requests; ``retry_after`` is how many seconds to wait."""

    def __init__(
        self, message: str, *, code: str, status: int, details: dict[str, Any], retry_after: float
    ) -> None:
        super().__init__(message, code=code, status=status, details=details)
        self.retry_after = retry_after


class ServerError(ApiError):
    """The coordinator failed; nothing is wrong with the request."""

    hint = "Try again; if it repeats, the coordinator's log says why."


_BY_CODE: dict[str, type[ApiError]] = {
    "UNAUTHORIZED": AuthenticationError,
    "KEY_EXPIRED": AuthenticationError,
    "SIGNATURE_REQUIRED": AuthenticationError,
    "SIGNATURE_INVALID": AuthenticationError,
    "SIGNATURE_EXPIRED": AuthenticationError,
    "SIGNATURE_REPLAYED": AuthenticationError,
    "FORBIDDEN": PermissionDeniedError,
    "NOT_FOUND": NotFoundError,
    "EXPIRED": NotFoundError,
    "BATCH_NOT_FOUND": NotFoundError,
    "MODEL_UNAVAILABLE": NotFoundError,
    "SCHEDULED_TASK_NOT_FOUND": NotFoundError,
    "CONFLICT": ConflictError,
    "IDEMPOTENCY_MISMATCH": ConflictError,
    "DEPENDENCY_UNMET": ConflictError,
    "NOT_SETTLED": NotSettledError,
    "INSUFFICIENT_CREDITS": InsufficientFundsError,
    "NODE_UNAVAILABLE": ProviderUnavailableError,
    "TASK_FAILED": TaskFailedError,
}


def api_error(
    *,
    status: int,
    code: str,
    message: str,
    details: dict[str, Any],
    retry_after: float | None = None,
    task_id: str | None = None,
) -> ApiError:
    """The exception for an error answer.

    Args:
        task_id: of the task that was asked for, so that "not found" can name it.
    """
    if status == 429 or code == "RATE_LIMITED":
        return RateLimitError(
            message,
            code=code,
            status=status,
            details=details,
            retry_after=1.0 if retry_after is None else retry_after,
        )
    if code == "NOT_FOUND" and task_id is not None:
        return TaskNotFoundError(
            message, code=code, status=status, details=details, task_id=task_id
        )
    kind = _BY_CODE.get(code)
    if kind is None:
        kind = ServerError if status >= 500 else InvalidRequestError
    return kind(message, code=code, status=status, details=details)

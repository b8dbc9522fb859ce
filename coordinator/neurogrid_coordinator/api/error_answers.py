"""Error answers in OpenAPI: by status, each with an example of every code that it may have."""

import json
import re
from collections.abc import Iterable
from typing import Any

from neurogrid_marketplace.explain import Explanation

from ..services.errors import (
    BatchNotFound,
    Conflict,
    Expired,
    Forbidden,
    IdempotencyMismatch,
    InsufficientCredits,
    InvalidRequest,
    InvalidSchedule,
    KeyHasExpired,
    ModelUnavailable,
    NodeUnavailable,
    NotFound,
    NotSettled,
    PayloadTooLarge,
    QuotaExceeded,
    RateLimited,
    Refused,
    ScheduleNotFound,
    SignatureExpired,
    SignatureInvalid,
    SignatureReplayed,
    SignatureRequired,
    TaskNotFound,
    Unauthorized,
    Unavailable,
    UnmetDependency,
)
from .body import JSON_BYTES_MAX
from .errors import CODES, Problem, native, problem, refused
from .native.schemas import ErrorAnswer

_SCHEMA = {"$ref": f"#/components/schemas/{ErrorAnswer.__name__}"}
_TASK = "task_01a22b2da3ee73b2ad0b5d4862dab2fc"
_SIGNED = "neurogrid-request-v1\nng-2d8c602f4bd20ed6\nPOST\n/api/v1/provider/stake\n1796000000\n"
# What services raise, so that form and details are theirs.
_REFUSALS: tuple[Refused, ...] = (
    InvalidRequest("timeout_seconds: expected `int` >= 1", "timeout_seconds"),
    Unauthorized("send your API key as 'Authorization: Bearer ng_...'"),
    KeyHasExpired("This API key has expired. Ask for a new one."),
    Forbidden("this key may not do that: it lacks the scope 'write'", {"scope": "write"}),
    NotFound(f"there is no task {_TASK}", {"task_id": _TASK}),
    RateLimited(1, limits={"user": (100, 0, 1796000060), "ip": (10000, 9873, 1796000060)}),
    InsufficientCredits(needed_micro_usdc=10_000_000, available_micro_usdc=5_000_000),
    QuotaExceeded(
        "this task may cost up to 10.00 USDC, and your account's limit for one is 5.00 USDC. Lower "
        "max_price_per_hour, timeout_seconds or max_total_cost, or raise the limit with PUT "
        "/api/v1/account/limits",
        {"limit": "task_budget", "allowed": "5.00", "needed": "10.00"},
    ),
    NodeUnavailable(Explanation(0, 0, (), (), None, None, {})),
    TaskNotFound("task-001"),
    BatchNotFound("thumbnails-1"),
    ScheduleNotFound("sched_01a22b31832178208a1301f8e088e24f"),
    ModelUnavailable("stable-diffusion-xl", ["terrain-11m"], "image"),
    InvalidSchedule("schedule: '0 0 30 2 *': Bad day-of-month", "schedule"),
    SignatureRequired(
        "your wallet has to sign this request: send X-Wallet-Signature and X-Timestamp; "
        "docs/authentication.md says how requests are signed",
        {"network": "ng-2d8c602f4bd20ed6"},
    ),
    SignatureInvalid(
        "this is not the signature of wallet 5ZWj7a1f8tWkjBESHKgrLmXshuXxqeY9SYcfbshpAqPG: Base64 of the "
        "64 bytes of its Ed25519 signature of the text in the details; docs/authentication.md says how "
        "requests are signed",
        {"signed_text": f"{_SIGNED}{'e3b0c442' * 8}"},
    ),
    SignatureExpired(
        "X-Timestamp is more than 120 s from the coordinator's clock. Sign again; if that does not help, "
        "set your clock",
        {"server_time": 1796000000, "skew_seconds_max": 120},
    ),
    SignatureReplayed("this signature was used before. Sign again, with another timestamp"),
    Conflict(
        f"{_TASK} has ended, but its payment is not settled yet; delete it then", {"task_id": _TASK}
    ),
    IdempotencyMismatch(
        f"the idempotency key 'order-1' was used for task {_TASK}, which was another request"
    ),
    Expired("this output is no longer kept: the task ended too long ago"),
    NotSettled(("the payment is under way: its escrow is final",)),
    UnmetDependency(
        f"It depends on {_TASK}, which has been cancelled (CANCELLED).",
        reason="DEPENDENCY_CANCELLED",
        field="depends_on",
    ),
    PayloadTooLarge(JSON_BYTES_MAX),
    Unavailable("the coordinator has too much to do; try again in a moment"),
)
_OTHERS = (
    problem("METHOD_NOT_ALLOWED", "PUT is not possible at /api/v1/tasks"),
    problem("RANGE_NOT_SATISFIABLE", "the file has 120 bytes", {"size": 120}),
    problem("UPGRADE_REQUIRED", "this is a WebSocket: connect with ws:// or wss://"),
    problem(
        "STORE_UNAVAILABLE",
        "the coordinator's store of artifacts doesn't answer; try again in a moment",
    ),
    problem(
        "TASK_FAILED",
        f"{_TASK} completed, and left no result that can be read",
        {"task_id": _TASK, "phase": "completed"},
    ),
    problem(
        "INTERNAL",
        "the coordinator failed; nothing is wrong with the request. Try again, and report the request "
        "id if it repeats",
        {"request_id": "req_4ed03dd90000001e"},
    ),
)
# code -> an error with it.
EXAMPLES: dict[str, Problem] = {
    one.code: one for one in (*(refused(error) for error in _REFUSALS), *_OTHERS)
}


def errors(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The error answers with these codes, by HTTP status."""
    return {status: described(names) for status, names in by_status(codes).items()}


def by_status(codes: Iterable[str]) -> dict[int, list[str]]:
    """Codes by the HTTP status that they come with."""
    found: dict[int, list[str]] = {}
    for code in codes:
        found.setdefault(CODES[code][0], []).append(code)
    return found


def described(codes: Iterable[str]) -> dict[str, Any]:
    """The answer that has one of these codes."""
    names = list(dict.fromkeys(codes))
    return {
        "description": " or ".join(f"`{code}`" for code in names),
        "content": {
            "application/json": {
                "schema": _SCHEMA,
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in names},
            }
        },
    }


def codes_of(answer: dict[str, Any]) -> list[str]:
    """The codes that an answer says of itself that it may have; none of one that is no native error."""
    content = answer.get("content", {}).get("application/json", {})
    if content.get("schema") != _SCHEMA:
        return []
    return re.findall(r"`([A-Z_]+)`", answer["description"])


def components() -> dict[str, Any]:
    """For the document's ``components.examples``: a native answer with each code."""
    return {
        code: {"summary": one.message, "value": json.loads(bytes(native(one).body))}
        for code, one in EXAMPLES.items()
    }

"""Errors in OpenAI's form, with the statuses by which its clients choose what they raise."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.responses import Response

from ..envelope import json_response
from ..errors import Problem
from ..openapi import Schemas

_INVALID = "invalid_request_error"
_SERVER = "server_error"
# Native code -> (status, type, code); None: as it is natively.
_FORMS: dict[str, tuple[int | None, str, str | None]] = {
    "INVALID_REQUEST": (400, _INVALID, None),
    "UNAUTHORIZED": (401, _INVALID, "invalid_api_key"),
    "KEY_EXPIRED": (401, _INVALID, "invalid_api_key"),
    "SIGNATURE_REQUIRED": (401, _INVALID, "signature_required"),
    "SIGNATURE_INVALID": (401, _INVALID, "signature_invalid"),
    "SIGNATURE_EXPIRED": (401, _INVALID, "signature_expired"),
    "SIGNATURE_REPLAYED": (401, _INVALID, "signature_replayed"),
    "FORBIDDEN": (403, _INVALID, "insufficient_permissions"),
    "NOT_FOUND": (404, _INVALID, None),
    "MODEL_UNAVAILABLE": (404, _INVALID, "model_not_found"),
    "METHOD_NOT_ALLOWED": (405, _INVALID, "method_not_supported"),
    "PAYLOAD_TOO_LARGE": (413, _INVALID, "payload_too_large"),
    "CONFLICT": (409, _INVALID, "conflict"),
    "IDEMPOTENCY_MISMATCH": (409, _INVALID, "idempotency_mismatch"),
    "RATE_LIMITED": (429, "requests", "rate_limit_exceeded"),
    # As OpenAI says that an account has nothing left.
    "INSUFFICIENT_CREDITS": (429, "insufficient_quota", "insufficient_quota"),
    "QUOTA_EXCEEDED": (429, "insufficient_quota", "insufficient_quota"),
    "NODE_UNAVAILABLE": (503, _SERVER, "no_provider_available"),
    "UNAVAILABLE": (503, _SERVER, "unavailable"),
    "STORE_UNAVAILABLE": (503, _SERVER, "unavailable"),
    "TASK_FAILED": (500, _SERVER, "inference_failed"),
    "INTERNAL": (500, _SERVER, "internal_error"),
}
_UNKNOWN_FIELD = "is not a field of this request"
# Asking again does not help: clients that try again by themselves (409, 429, 5xx) are told not to.
_HOPELESS = frozenset({"INSUFFICIENT_CREDITS", "QUOTA_EXCEEDED", "IDEMPOTENCY_MISMATCH"})

MEANING = {
    400: "A value breaks a rule, or the model cannot do what is asked: `param` names it.",
    401: "No key, or a wrong one.",
    403: "The key lacks the scope, or the role.",
    404: "No model, file or batch has this id; of models the nearest names are said.",
    409: "The idempotency key was used for another request, or one with it is being carried out.",
    413: "The body is too long.",
    429: "Too many requests (`rate_limit_exceeded`), or the account cannot pay it (`insufficient_quota`).",
    500: "Who computed it failed.",
    503: "Nobody can serve it now, or the coordinator is too busy.",
}


class OpenAiNativeError(Struct, frozen=True):
    """Not OpenAI's: the same as the native API has it."""

    code: str
    details: dict[str, Any]


class OpenAiError(Struct, frozen=True):
    """What went wrong.

    Attributes:
        type: a kind of error, as OpenAI's.
        param: the field that is at fault.
        code: for programs.
    """

    message: str
    type: Annotated[str, Meta(examples=["invalid_request_error"])]
    param: str | None
    code: str | None
    neurogrid: OpenAiNativeError


class OpenAiErrorAnswer(Struct, frozen=True):
    """Every error of ``/v1``."""

    error: OpenAiError


def error_body(error: Problem) -> OpenAiErrorAnswer:
    """An error as OpenAI's clients read it, in an answer or in the middle of a stream."""
    _, kind, code = _FORMS.get(error.code, (None, _INVALID, error.code.lower()))
    reason = error.details.get("reason")
    param = error.details.get("field") or ("model" if code == "model_not_found" else None)
    if code is None and isinstance(reason, str):
        code = reason
    elif error.message.endswith(_UNKNOWN_FIELD):
        code = "unknown_parameter"
    told = OpenAiNativeError(error.code, dict(error.details))
    return OpenAiErrorAnswer(
        OpenAiError(error.message, kind, str(param) if param else None, code, told)
    )


def error_form(error: Problem) -> Response:
    """The answer."""
    status = _FORMS.get(error.code, (None, "", None))[0] or error.status
    headers = dict(error.headers)
    if error.code in _HOPELESS:
        headers["X-Should-Retry"] = "false"
    return json_response(error_body(error), status, headers)


def refusals(schemas: Schemas, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documents a route's error answers, by their statuses."""
    return {status: schemas.bare(OpenAiErrorAnswer, MEANING[status]) for status in statuses}

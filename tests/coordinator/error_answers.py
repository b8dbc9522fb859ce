"""The forms that errors of the api have: one, and another at the paths of each dialect."""

from dataclasses import dataclass
from typing import Any

import httpx

from neurogrid_coordinator.api.dialects import bolt, openruntime, runner_form
from neurogrid_coordinator.api.openai.headers import PREFIX


@dataclass(frozen=True)
class ErrorAnswer:
    """What an error answer says, in whichever form."""

    code: str
    message: str
    details: dict[str, Any]


def error_of(answer: httpx.Response) -> ErrorAnswer:
    """What it says; checks that it has exactly the form of its path."""
    body = answer.json()
    if _is_below(answer.request.url.path, openruntime.PATHS):
        assert set(body) == {"status", "data", "error", "timestamp"}
        assert body["status"] == "error"
        assert set(body["data"]) == {"code", "details"}
        said = ErrorAnswer(body["data"]["code"], body["error"], body["data"]["details"])
    elif _is_below(answer.request.url.path, bolt.PATHS):
        said = _of_bolt(body)
    elif _is_below(answer.request.url.path, (runner_form.PREFIX, f"{runner_form.PREFIX}/")):
        assert set(body) == {"success", "error", "timestamp"}
        assert body["success"] is False
        assert set(body["error"]) == {"code", "message", "details"}
        error = body["error"]
        said = ErrorAnswer(error["code"], error["message"], error["details"])
    elif answer.request.url.path.startswith(PREFIX):
        said = _of_openai(body)
    else:
        assert set(body) == {"success", "error"}
        assert body["success"] is False
        assert set(body["error"]) == {"code", "message", "type", "details"}
        error = body["error"]
        said = ErrorAnswer(error["code"], error["message"], error["details"])
    assert isinstance(said.message, str)
    return said


def _of_bolt(body: dict[str, Any]) -> ErrorAnswer:
    """As document 000 has it; of too many requests it says the details otherwise."""
    if body["error"] == "rate_limit_exceeded":
        assert set(body) == {"error", "message", "retryAfter", "limits"}
        return ErrorAnswer("RATE_LIMITED", body["message"], {"limits": body["limits"]})
    assert set(body) == {"error", "message", "details"}
    assert body["error"] == body["error"].lower()
    return ErrorAnswer(body["error"].upper(), body["message"], body["details"])


def _of_openai(body: dict[str, Any]) -> ErrorAnswer:
    """As OpenAI has it, with the native code and details beside that."""
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code", "neurogrid"}
    native = error["neurogrid"]
    return ErrorAnswer(native["code"], error["message"], native["details"])


def _is_below(path: str, claimed: tuple[str, ...]) -> bool:
    return any(
        path == each or (each.endswith("/") and each != "/" and path.startswith(each))
        for each in claimed
    )


def check_error(answer: httpx.Response, status: int, code: str) -> str:
    """Check that the answer is this error in the form of its path; its message."""
    error = error_of(answer)
    assert (answer.status_code, error.code) == (status, code)
    assert answer.headers["x-request-id"].startswith("req_")
    return error.message

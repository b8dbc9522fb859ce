"""What a server refuses, in the form of OpenAI's own errors, so that its clients raise what they always raise."""

from __future__ import annotations

import msgspec


class Refused(Exception):
    """A request that is not served.

    Args:
        status: of HTTP.
        message: says what to do.
        param: the field that it is about.
        code: a word for programs.
        retry_after_s: when to ask again; None: that would change nothing.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.retry_after_s = retry_after_s

    def body(self) -> bytes:
        """As JSON; in the middle of a stream it is an event."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": error})

    def headers(self) -> dict[str, str]:
        """Beside the usual ones."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


def wrong(param: str, message: str, code: str | None = None) -> Refused:
    """A field that can't be served as it is."""
    return Refused(400, f"{param}: {message}", param=param, code=code)


def overloaded() -> Refused:
    """More is waiting than there is room for."""
    return Refused(
        503,
        "This server is at work with as many requests as it takes. Ask again.",
        code="overloaded",
        retry_after_s=1,
    )


def too_slow(limit_s: float) -> Refused:
    """It took longer than a request may."""
    return Refused(504, f"Not done within {limit_s:g} s, and given up.", code="timeout")


def no_model(name: str, there: str) -> Refused:
    """It serves another model."""
    return Refused(
        404,
        f"The model `{name}` does not exist here. There is `{there}`.",
        param="model",
        code="model_not_found",
    )


def too_long(context: int, tokens: int, param: str) -> Refused:
    """More tokens than the model sees at once; in OpenAI's words, which some clients read."""
    return Refused(
        400,
        f"This model's maximum context length is {context} tokens. However, you requested {tokens} tokens. "
        f"Please reduce the length of the {param}.",
        param=param,
        code="context_length_exceeded",
    )

"""Answers in OpenAI's form, of what a model's program has left. What it cost is in each of them (docs/openai.md)."""

import base64
import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from neurogrid_marketplace.model_catalogue import Model
from neurogrid_marketplace.model_requests import ModelResult, Segment
from neurogrid_marketplace.money import MICRO_PER_USDC

from .fields import given
from .requests import ChatRequest, CompletionRequest, EmbeddingRequest, TranscriptionRequest

_FINGERPRINT_CHARS = 10
# Of models: each piece of each answer has one.
_FINGERPRINTS_KEPT = 256
_MS_PER_S = 1000


@dataclass(frozen=True, slots=True)
class Bill:
    """What an answer came from, and what it cost.

    Attributes:
        id: of the task or request: its receipt is there.
        created_s: Unix time.
        model: that has answered.
        node_id: on which node.
        task_id: whose receipt has its cost, where that is not ``id``.
    """

    id: str
    created_s: int
    model: Model
    node_id: str | None
    cost_micro_usdc: int
    task_id: str = ""

    @property
    def cost(self) -> dict[str, Any]:
        """The fields that every ``usage`` has beside OpenAI's."""
        return {
            "cost": self.cost_micro_usdc / MICRO_PER_USDC,
            "cost_micro_usdc": self.cost_micro_usdc,
        }

    @property
    def origin(self) -> dict[str, Any]:
        """The object ``neurogrid`` of an answer."""
        return {
            "request_id": self.id,
            "task_id": self.task_id or self.id,
            "node_id": self.node_id,
            "model": self.model.id,
            "cost_micro_usdc": self.cost_micro_usdc,
        }

    @property
    def fingerprint(self) -> str:
        """Another one when what computes the model changes."""
        return _fingerprint(self.model.image, self.model.command)


@lru_cache(_FINGERPRINTS_KEPT)
def _fingerprint(image: str, command: Sequence[str]) -> str:
    computed_by = "\0".join((image, *command))
    return f"fp_{hashlib.sha256(computed_by.encode()).hexdigest()[:_FINGERPRINT_CHARS]}"


def chat(result: ModelResult, bill: Bill) -> dict[str, Any]:
    """`chat.completion`."""
    message = {"role": "assistant", "content": result.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None}
    choice["finish_reason"] = result.finish_reason
    return _whole(_head(bill, "chatcmpl", "chat.completion"), choice, result, bill)


def completion(result: ModelResult, bill: Bill) -> dict[str, Any]:
    """`text_completion`."""
    choice = {"text": result.text, "index": 0, "logprobs": None}
    choice["finish_reason"] = result.finish_reason
    return _whole(_head(bill, "cmpl", "text_completion"), choice, result, bill)


def chunks(
    request: ChatRequest | CompletionRequest, result: ModelResult, bill: Bill
) -> Iterator[dict[str, Any]]:
    """The events of a stream: of a chat the role first, then the text, how it ended, and the usage where that is wanted."""
    is_chat = isinstance(request, ChatRequest)
    options = given(request.stream_options, None)
    wants_usage = options is not None and bool(options.include_usage)
    head = (
        _head(bill, "chatcmpl", "chat.completion.chunk")
        if is_chat
        else _head(bill, "cmpl", "text_completion")
    )

    def chunk(piece: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, **piece, "logprobs": None, "finish_reason": finish_reason}
        return {**head, "choices": [choice], **({"usage": None} if wants_usage else {})}

    if is_chat:
        yield chunk({"delta": {"role": "assistant", "content": "", "refusal": None}})
        yield chunk({"delta": {"content": result.text}})
        last = chunk({"delta": {}}, result.finish_reason)
    else:
        yield chunk({"text": result.text})
        last = chunk({"text": ""}, result.finish_reason)
    yield {**last, "neurogrid": bill.origin}
    if wants_usage:
        yield {**head, "choices": [], "usage": _usage(result, bill)}


def embeddings(request: EmbeddingRequest, result: ModelResult, bill: Bill) -> dict[str, Any]:
    """A list of `embedding`."""
    in_base64 = given(request.encoding_format, "float") == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _base64(vector) if in_base64 else vector,
        }
        for index, vector in enumerate(result.embeddings)
    ]
    read = result.usage.prompt_tokens
    return {
        "object": "list",
        "data": data,
        "model": bill.model.id,
        "usage": {"prompt_tokens": read, "total_tokens": read, **bill.cost},
        "neurogrid": bill.origin,
    }


def image(result: ModelResult, shown: dict[str, str], bill: Bill) -> dict[str, Any]:
    """An `ImagesResponse`; ``shown``: the image, by ``url`` or ``b64_json``."""
    return {
        "created": bill.created_s,
        "data": [shown],
        "output_format": "png",
        "size": f"{result.width}x{result.height}",
        "usage": bill.cost,
        "neurogrid": {**bill.origin, "seed": result.seed},
    }


def transcription(request: TranscriptionRequest, result: ModelResult, bill: Bill) -> dict[str, Any]:
    """A `Transcription`, or a verbose one."""
    seconds = max((each.end for each in result.segments), default=0.0)
    usage = {"type": "duration", "seconds": seconds, **bill.cost}
    if given(request.response_format, "json") != "verbose_json":
        return {"text": result.text, "usage": usage, "neurogrid": bill.origin}
    return {
        "task": "transcribe",
        "language": result.language,
        "duration": seconds,
        "text": result.text,
        "segments": [
            {"id": number, "start": each.start, "end": each.end, "text": each.text}
            for number, each in enumerate(result.segments)
        ],
        "usage": usage,
        "neurogrid": bill.origin,
    }


def heard(
    request: TranscriptionRequest, result: ModelResult, bill: Bill
) -> Iterator[dict[str, Any]]:
    """The events of a transcription that is streamed."""
    whole = transcription(request, result, bill)
    yield {"type": "transcript.text.delta", "delta": result.text}
    yield {**whole, "type": "transcript.text.done"}


def srt(segments: Sequence[Segment]) -> str:
    """Subtitles as SubRip has them."""
    cues = [
        f"{number}\n{_clock(each.start, ',')} --> {_clock(each.end, ',')}\n{_line(each.text)}\n"
        for number, each in enumerate(segments, 1)
    ]
    return "\n".join(cues)


def vtt(segments: Sequence[Segment]) -> str:
    """Subtitles as WebVTT has them (W3C, 3.1): ``&`` and ``<`` are no markup."""
    cues = [
        f"{_clock(each.start, '.')} --> {_clock(each.end, '.')}\n"
        f"{_line(each.text).replace('&', '&amp;').replace('<', '&lt;')}\n"
        for each in segments
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _head(bill: Bill, prefix: str, kind: str) -> dict[str, Any]:
    return {
        "id": f"{prefix}-{bill.id}",
        "object": kind,
        "created": bill.created_s,
        "model": bill.model.id,
        "system_fingerprint": bill.fingerprint,
    }


def _whole(
    head: dict[str, Any], choice: dict[str, Any], result: ModelResult, bill: Bill
) -> dict[str, Any]:
    return {
        **head,
        "choices": [choice],
        "usage": _usage(result, bill),
        "neurogrid": {**bill.origin, "seed": result.seed},
    }


def _usage(result: ModelResult, bill: Bill) -> dict[str, Any]:
    return {
        "prompt_tokens": result.usage.prompt_tokens,
        "completion_tokens": result.usage.completion_tokens,
        "total_tokens": result.usage.total_tokens,
        **bill.cost,
    }


def _base64(vector: Sequence[float]) -> str:
    """As OpenAI's clients read it: 32-bit numbers, the lowest byte first."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _clock(seconds: float, point: str) -> str:
    whole_ms = round(seconds * _MS_PER_S)
    minutes, part_ms = divmod(whole_ms, 60 * _MS_PER_S)
    hours, minutes = divmod(minutes, 60)
    second, millisecond = divmod(part_ms, _MS_PER_S)
    return f"{hours:02d}:{minutes:02d}:{second:02d}{point}{millisecond:03d}"


def _line(text: str) -> str:
    """No blank line and no arrow, which would end a cue or begin one: the text is a program's word."""
    return " ".join(text.split()).replace("-->", "->")

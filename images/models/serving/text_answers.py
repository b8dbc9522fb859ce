"""What OpenAI's clients get of a text model: whole answers, and pieces of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from models.serving.sampling import Chance
from models.serving.texts import Piece, TextModel, Told


@dataclass(frozen=True)
class Answering:
    """What all pieces of one answer share.

    Attributes:
        created: seconds since 1970.
        fingerprint: of the model's numbers.
    """

    id: str
    created: int
    model_name: str
    fingerprint: str
    model: TextModel
    chat: bool
    include_usage: bool = False
    continuous_usage: bool = False


@dataclass
class Choice:
    """A text as it has come so far."""

    text: str = ""
    written: int = 0
    finish: str | None = None
    told: list[Told] = field(default_factory=list)

    def add(self, piece: Piece) -> None:
        """One more piece of it."""
        self.text += piece.text
        self.written, self.finish = piece.written, piece.finish
        if piece.told is not None:
            self.told.append(piece.told)


def usage(prompt: int, written: int) -> dict[str, int]:
    """Tokens, by the model's own count."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
    }


def whole(of: Answering, choices: Sequence[Choice], prompt: int) -> dict[str, Any]:
    """The answer to who asked for no stream."""
    made = []
    for number, choice in enumerate(choices):
        said: dict[str, Any] = {"index": number}
        if of.chat:
            said["message"] = {"role": "assistant", "content": choice.text, "refusal": None}
        else:
            said["text"] = choice.text
        said["logprobs"] = _logprobs(of, choice.told, 0)
        made.append({**said, "finish_reason": choice.finish})
    name = "chat.completion" if of.chat else "text_completion"
    written = sum(choice.written for choice in choices)
    return {**_head(of, name), "choices": made, "usage": usage(prompt, written)}


def opening(of: Answering, number: int) -> dict[str, Any]:
    """The first piece of a conversation's answer says who speaks."""
    said = {"index": number, "delta": {"role": "assistant", "content": ""}, "logprobs": None}
    return _piece(of, {**said, "finish_reason": None})


def piece(
    of: Answering, number: int, made: Piece, before: int, counted: dict[str, int]
) -> dict[str, Any]:
    """A piece of text.

    Args:
        before: characters of this text that were said before it.
        counted: the usage so far.
    """
    said: dict[str, Any] = {"index": number}
    if of.chat:
        said["delta"] = {"content": made.text} if made.text or made.told else {}
    else:
        said["text"] = made.text
    told = [] if made.told is None else [made.told]
    said["logprobs"] = _logprobs(of, told, before)
    whole_piece = _piece(of, {**said, "finish_reason": made.finish})
    if of.continuous_usage:
        whole_piece["usage"] = counted
    return whole_piece


def last(of: Answering, counted: dict[str, int]) -> dict[str, Any]:
    """What a stream ends with where its usage was asked for."""
    return {**_head(of, _stream_name(of)), "choices": [], "usage": counted}


def _head(of: Answering, name: str) -> dict[str, Any]:
    return {
        "id": of.id,
        "object": name,
        "created": of.created,
        "model": of.model_name,
        "system_fingerprint": of.fingerprint,
    }


def _stream_name(of: Answering) -> str:
    return "chat.completion.chunk" if of.chat else "text_completion"


def _piece(of: Answering, choice: dict[str, Any]) -> dict[str, Any]:
    made = {**_head(of, _stream_name(of)), "choices": [choice]}
    if of.include_usage:
        made["usage"] = None
    return made


def _logprobs(of: Answering, told: Sequence[Told], before: int) -> dict[str, Any] | None:
    if not told:
        return None
    if of.chat:
        return {
            "content": [
                {
                    **_chance(of, each.chosen),
                    "top_logprobs": [_chance(of, other) for other in each.likeliest],
                }
                for each in told
            ],
            "refusal": None,
        }
    tokens = [_token_text(of, each.chosen) for each in told]
    offsets = [before]
    for token in tokens[:-1]:
        offsets.append(offsets[-1] + len(token))
    return {
        "tokens": tokens,
        "token_logprobs": [each.chosen.logprob for each in told],
        "top_logprobs": [
            {_token_text(of, other): other.logprob for other in each.likeliest} for each in told
        ],
        "text_offset": offsets,
    }


def _chance(of: Answering, chance: Chance) -> dict[str, Any]:
    data = of.model.piece(chance.token)
    return {
        "token": data.decode("utf-8", "replace"),
        "logprob": chance.logprob,
        "bytes": list(data),
    }


def _token_text(of: Answering, chance: Chance) -> str:
    return of.model.piece(chance.token).decode("utf-8", "replace")

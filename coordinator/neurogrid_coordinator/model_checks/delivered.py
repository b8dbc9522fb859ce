"""An answer of a replica as it is passed on: what its text lets it cost, and what of it can be compared with another. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from neurogrid_marketplace.model_reply import Reply, ReplyReader
from neurogrid_marketplace.task import Lease
from neurogrid_marketplace.text_bound import Asked as AskedText
from neurogrid_marketplace.text_bound import TextBound
from neurogrid_marketplace.units import Units

from ..openai.fields import given
from ..openai.requests import ChatRequest, CompletionRequest, Request, TranscriptionRequest
from ..replicas.asking import Question
from ..replicas.serving import Asked, Served

# A larger request is not asked twice.
_BODY_BYTES_MAX = 256 * 1024
# Of a second of silence, in FLAC: no format that is taken needs less.
_SOUND_BYTES_MIN = 50


@dataclass(frozen=True, slots=True)
class Delivered:
    """An answer that its client has got, and that can be compared with another one.

    Attributes:
        asked: as its replica was.
        task_id, lease: of the replica.
    """

    request_id: str
    asked: Asked
    task_id: str
    lease: Lease
    reply: Reply

    @property
    def body(self) -> bytes:
        """Of the request, as its server got it."""
        body = self.asked.question.body
        assert isinstance(body, bytes), "what can be compared is text"
        return body


Tell = Callable[[Delivered], None]


class Passing:
    """One answer, from its first event to its last.

    Args:
        text: what it may cost.
        longest_ms: of sound that its recording has, by its own header; None: that does not say, or there is none.
        tell: who is told when it was delivered; None: nobody.
    """

    def __init__(
        self,
        asked: Asked,
        request: Request,
        text: AskedText,
        longest_ms: int | None,
        tell: Tell | None,
    ) -> None:
        self._asked = asked
        self._bound = TextBound(text)
        self._sound_ms: int | None = None
        if isinstance(request, TranscriptionRequest):
            most_ms = asked.question.size_bytes * 1000 // _SOUND_BYTES_MIN
            self._sound_ms = most_ms if longest_ms is None else min(most_ms, longest_ms)
        self._tell = tell if is_comparable(request, asked.question) else None
        self._reader = ReplyReader() if self._tell is not None else None

    def begin(self, served: Served) -> None:
        """It begins: it is billed by what its text can have, and by what was asked for."""
        served.meter.most = self._most

    def feed(self, value: Mapping[str, Any]) -> None:
        """An event of it, or all of it."""
        self._bound.feed(value)
        if self._reader is not None:
            self._reader.feed(value)

    def end(self, served: Served) -> None:
        """It was delivered, to its end."""
        if self._tell is None or self._reader is None or not self._reader.is_whole:
            return
        reply = self._reader.reply()
        request_id = served.meter.request_id
        self._tell(Delivered(request_id, self._asked, served.task_id, served.lease, reply))

    def _most(self, units: Units) -> Units:
        units, most = self._bound.most(units), self._asked.most
        if self._sound_ms is not None:
            units = replace(units, audio_ms=min(units.audio_ms, self._sound_ms))
        if most is None:
            return units
        return replace(units, output_tokens=min(units.output_tokens, most.output_tokens))


def is_comparable(request: Request, question: Question) -> bool:
    """Whether every server of the model should answer it alike: nothing is drawn by chance, and it has one text."""
    if not isinstance(request, ChatRequest | CompletionRequest):
        return False
    if given(request.temperature, 1) != 0 or (given(request.n, 1) or 1) != 1:
        return False
    if isinstance(request, CompletionRequest):
        prompt = request.prompt
        if (given(request.best_of, 1) or 1) != 1:
            return False
        if isinstance(prompt, list) and any(not isinstance(each, int) for each in prompt):
            return False
    return isinstance(question.body, bytes) and len(question.body) <= _BODY_BYTES_MAX

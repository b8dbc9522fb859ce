"""An answer of a replica as it is passed on: what its text lets it cost, and what of it can be checked elsewhere."""

import json
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final, Protocol

from neurogrid_marketplace.model_check import Answer
from neurogrid_marketplace.model_pictures import Picture
from neurogrid_marketplace.task import Lease
from neurogrid_marketplace.text_bound import Asked as AskedText
from neurogrid_marketplace.text_bound import TextBound
from neurogrid_marketplace.units import Units

from ..openai.form_body import FormBody
from ..openai.requests import Request, TranscriptionRequest
from ..replicas.serving import Asked, Served
from .readings import Reader, Reading, reading_of

# Of a second of silence, in FLAC: no format that is taken needs less.
_SOUND_BYTES_MIN: Final = 50


@dataclass(frozen=True, slots=True)
class Delivered:
    """An answer that its client has got, and that can be checked elsewhere.

    Attributes:
        asked: as its replica was; a recording of it lasts.
        task_id, lease: of the replica.
        reading: how it is checked.
        file_sha256: of a recording; "": there is none.
    """

    request_id: str
    asked: Asked
    task_id: str
    lease: Lease
    reply: Answer
    reading: Reading
    file_sha256: str = ""

    @property
    def request_text(self) -> str:
        """What its server was asked; of a recording its hash."""
        body = self.asked.question.body
        if isinstance(body, bytes):
            return body.decode("utf-8", "replace")
        fields = body.fields if isinstance(body, FormBody) else ()
        return json.dumps({"fields": fields, "file_sha256": self.file_sha256})

    @property
    def request_digest(self) -> str:
        """SHA-256 of what its server was asked."""
        body = self.asked.question.body
        asked = body if isinstance(body, bytes) else self.request_text.encode()
        return sha256(asked).hexdigest()

    @property
    def held_bytes(self) -> int:
        """How much it holds, but for a few thousand bytes."""
        picture = len(self.reply.file) if isinstance(self.reply, Picture) else 0
        return self.asked.question.size_bytes + picture


class Tell(Protocol):
    """Who checks answers; a `checker.ModelChecker`."""

    def wants(self, request_id: str, node_id: str, model_id: str) -> bool:
        """Whether it would check this answer."""

    def has_room(self, size_bytes: int) -> bool:
        """Whether it has room for one that holds so much."""

    def left_out(self, model_id: str) -> None:
        """There was none."""

    def delivered(self, answer: Delivered) -> None:
        """Its client has got it."""


class Passing:
    """One answer, from its first event to its last.

    Args:
        features: of the model's server.
        text: what it may cost.
        longest_ms: of sound that its recording has, by its own header; None: that does not say, or there is none.
        tell: who is told when it was delivered; None: nobody.
    """

    def __init__(
        self,
        asked: Asked,
        request: Request,
        features: Collection[str],
        text: AskedText,
        longest_ms: int | None,
        tell: Tell | None,
    ) -> None:
        self._asked = asked
        self._request = request
        self._features = features
        self._bound = TextBound(text)
        self._sound_ms: int | None = None
        if isinstance(request, TranscriptionRequest):
            most_ms = asked.question.size_bytes * 1000 // _SOUND_BYTES_MIN
            self._sound_ms = most_ms if longest_ms is None else min(most_ms, longest_ms)
        self._tell = tell
        self._reading: Reading | None = None
        self._reader: Reader | None = None

    def begin(self, served: Served) -> None:
        """It begins: it is billed by what its text can have, and by what was asked for; it is read, where it is to be checked."""
        served.meter.most = self._most
        asked = self._asked
        if self._tell is None or not self._tell.wants(
            served.meter.request_id, served.lease.node_id, asked.model_id
        ):
            return
        lot = random.SystemRandom()
        self._reading = reading_of(self._request, asked.question, self._features, lot)
        self._reader = None if self._reading is None else self._reading.reader()

    def feed(self, value: Mapping[str, Any]) -> None:
        """An event of it, or all of it."""
        self._bound.feed(value)
        if self._reader is not None:
            self._reader.feed(value)

    async def end(self, served: Served) -> None:
        """It was delivered, to its end."""
        reader, reading = self._reader, self._reading
        if self._tell is None or reader is None or reading is None or not reader.is_whole:
            return
        asked, file_sha256 = self._asked, ""
        if isinstance(asked.question.body, FormBody):
            if not self._tell.has_room(asked.question.size_bytes):
                self._tell.left_out(asked.model_id)
                return
            # Its file goes with its request.
            body = await asked.question.body.held()
            file_sha256 = await body.file_sha256()
            asked = replace(asked, question=replace(asked.question, body=body))
        self._tell.delivered(
            Delivered(
                served.meter.request_id,
                asked,
                served.task_id,
                served.lease,
                reader.reply(),
                reading,
                file_sha256,
            )
        )

    def _most(self, units: Units) -> Units:
        units, most = self._bound.most(units), self._asked.most
        if self._sound_ms is not None:
            units = replace(units, audio_ms=min(units.audio_ms, self._sound_ms))
        if most is None:
            return units
        return replace(units, output_tokens=min(units.output_tokens, most.output_tokens))

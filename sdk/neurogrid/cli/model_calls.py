"""What the commands ask models, and what they hear: the one place that knows by which requests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import NeuroGridError
from ..models.catalogue import ImageAnswer, TextAnswer, Transcription

if TYPE_CHECKING:
    from ..client import Client


@dataclass(frozen=True, slots=True)
class Asking:
    """How a model is asked.

    Attributes:
        model: its id, or an alias.
        parameters: by their names in the API; what is not there is the model's default.
        region: where it has to run; None: anywhere.
        score_min: of the node, 0 to 100.
    """

    model: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    region: str | None = None
    score_min: float = 0


def start_note(client: "Client", model: str) -> str:
    """Of a model that has no warm replica, how soon one is there; "" where one is, or nobody knows."""
    try:
        replicas = client.models.get(model).replicas
    except (NeuroGridError, RuntimeError):
        # What asks it will say so better; or it has its answer, and the client is closed.
        return ""
    if replicas is None or replicas.ready or not replicas.expected_start_ms:
        return ""
    return f" (none is warm: begins in about {-(-replicas.expected_start_ms // 1000)} s)"


def written(
    client: "Client", asking: Asking, prompt: str = "", messages: Sequence[Mapping[str, str]] = ()
) -> Iterator[str | TextAnswer]:
    """The pieces of a text as they come, and in the end the answer that they are together.

    Args:
        messages: in place of a prompt.
    """
    return client.models.stream_text(
        asking.model,
        prompt,
        messages=messages,
        parameters=asking.parameters,
        region=asking.region,
        min_performance_score=asking.score_min,
    )


def drawn(
    client: "Client", asking: Asking, prompt: str, negative_prompt: str, target: Path
) -> ImageAnswer:
    """Have an image made, and fetched into a file.

    Raises:
        ConnectionFailed: the answer names no file.
    """
    answer = client.models.generate_image(
        asking.model,
        prompt,
        negative_prompt=negative_prompt,
        parameters=asking.parameters,
        region=asking.region,
        min_performance_score=asking.score_min,
    )
    client.models.save_image(answer, target)
    return answer


def heard(client: "Client", model: str, file: BinaryIO, language: str | None) -> Transcription:
    """Have a recording written down."""
    return client.models.transcribe(model, file, language=language)


def listened(
    client: "Client", model: str, file: BinaryIO, language: str | None
) -> Iterator[str | Transcription]:
    """The pieces of what a recording says as they are heard, and in the end the whole answer."""
    return client.models.stream_transcript(model, file, language=language)

# Made from aio/inputs.py by scripts/unasync.py: change that one, and run it.
"""A job's input files, as a program names them and as the API takes them."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from neurogrid_marketplace.input_url import URL_SCHEMES

from .artifacts import Artifacts
from .models import TaskOutput
from .sealed import seal_inputs
from .sealing import SealedTask, job_hash
from .transport import FETCH_SILENCE_S

# What an input's URL begins with, and what comes before the hash that pins it.
_PIN = "#sha256="

# Value: a pathlib path to upload, the SHA-256 of an artifact that is there already, a URL, or what another
# task will leave.
Inputs = Mapping[str, str | PathLike[str] | TaskOutput]
References = list[dict[str, Any]]


def references_of(artifacts: Artifacts, inputs: Inputs) -> References:
    """Inputs as the API takes them; files are uploaded."""
    return [{"path": path, **_source(artifacts, source)} for path, source in inputs.items()]


def _source(artifacts: Artifacts, source: str | PathLike[str] | TaskOutput) -> dict[str, str]:
    if isinstance(source, TaskOutput):
        return {"from_task": source.task_id, "output": source.path}
    if isinstance(source, str) and source.startswith(URL_SCHEMES):
        url, pinned, sha256 = source.partition(_PIN)
        return {"url": url, "sha256": sha256} if pinned else {"url": url}
    if isinstance(source, str):
        return {"sha256": source}
    return {"sha256": (artifacts.upload(source)).sha256}


def sealed_references(
    artifacts: Artifacts,
    image: str,
    command: Sequence[str],
    env: Mapping[str, str] | None,
    inputs: Mapping[str, object],
    network: Mapping[str, Sequence[str]] | None,
) -> tuple[References, SealedTask]:
    """The inputs of this job, sealed and uploaded, as the API takes them; and what has to be kept."""
    content_key, files = seal_inputs(artifacts, inputs)
    references = [{"path": item.path, "sha256": item.sha256, "sealed": True} for item in files]
    digest = job_hash(image, tuple(command), env or {}, files, network)
    return references, SealedTask(content_key.hex(), digest)


def answer_silence_s(references: Sequence[Mapping[str, str]]) -> float | None:
    """How long the answer to a request with these inputs may take to begin; None: as any."""
    return FETCH_SILENCE_S if any("url" in reference for reference in references) else None

"""What doctor says of NVIDIA's container toolkit. Pure; the versions are judged in `machine.toolkit`."""

from dataclasses import dataclass
from typing import Final

from ..machine.toolkit import VERSION_MIN, read_version, toolkit_disproof, version_text
from .findings import Finding

_INSTALL: Final = (
    f"install nvidia-container-toolkit {version_text((VERSION_MIN, False))} or newer from NVIDIA's repository, then: "
    "nvidia-ctk runtime configure --runtime=docker; systemctl restart docker"
)


@dataclass(frozen=True, slots=True)
class ToolkitFacts:
    """What is known of the toolkit.

    Attributes:
        needed: whether a GPU of NVIDIA's is offered.
        says: what its program says of its version; None: there is no such program.
    """

    needed: bool
    says: str | None


def judge_toolkit(facts: ToolkitFacts) -> tuple[Finding, ...]:
    """Whether jobs may be given GPUs by it."""
    if not facts.needed:
        return (Finding("TOOLKIT_NOT_NEEDED", "no GPU of NVIDIA's is offered"),)
    disproof = toolkit_disproof(facts.says)
    if disproof is not None:
        return (Finding(disproof.code, disproof.message, _INSTALL),)
    version = read_version(facts.says or "")
    assert version is not None, "else it is disproved"
    return (Finding("TOOLKIT_OK", f"version {version_text(version)}"),)

"""What can go wrong with the engine, and whose fault it is.

EngineError                 code, message; the message says what to do next
  EngineUnavailable         nothing answers: not installed, not started, no permission
  EngineLost                it answered once and has stayed away longer than the grace period;
                            the container may well be running: unknown is not dead
  EngineRefused             the engine said no, for a reason that is not the job's
    EngineConflict          it is so already: name taken, not running, being removed
    MachineUnavailable      of a fleet: no room there, or it is not heard of
  ContainerGone             there is no such container (any more)
  CommandFailed             the image has no such program (the client's fault)
  ImageError
    ImageNotFound           no such image, or no access to it
    PullStalled             no byte for longer than the stall timeout
    NoDiskForImage          it does not fit here
    PullFailed              anything else a registry says
"""

from typing import Final


class EngineError(Exception):
    """``code`` is stable and goes over the wire; the text is for people."""

    code = "engine_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class EngineUnavailable(EngineError):
    code = "engine_unavailable"


class EngineLost(EngineError):
    code = "engine_lost"


class EngineRefused(EngineError):
    code = "engine_refused"


class EngineConflict(EngineRefused):
    code = "engine_conflict"


class MachineUnavailable(EngineRefused):
    """A fleet has no room for a job on its machine, or does not hear of that."""

    code = "machine_unavailable"


class ContainerGone(EngineError):
    code = "container_gone"


class CommandFailed(EngineError):
    """``code`` is ``command_not_found`` or ``command_not_executable``."""

    code = "command_not_found"


class ImageError(EngineError):
    code = "image_error"


class ImageNotFound(ImageError):
    code = "image_not_found"


class PullStalled(ImageError):
    code = "pull_stalled"


class NoDiskForImage(ImageError):
    code = "no_disk_for_image"


class PullFailed(ImageError):
    code = "pull_failed"


# Words in an engine's message -> what it means. In this order; from the source of 20.10 to 28.
_GPU_RUNTIME_MISSING: Final = ("could not select device driver", "nvidia-container-cli")
# The engine's own word, and the runtime's where the engine has not heard yet that the container goes on.
_NOT_PAUSED: Final = ("is not paused", "cannot resume a running process")
_NO_SUCH_PROGRAM: Final = ("executable file not found", "no such file or directory")
_CREATED_BY_RUNTIME: Final = ("oci runtime create failed", "failed to create task", "exec:")


def engine_answer(status: int, explanation: str) -> EngineError:
    """The error behind the engine's HTTP status and words."""
    words = explanation.lower()
    if status == 404:
        return ContainerGone(explanation)
    if status == 409 or any(part in words for part in _NOT_PAUSED):
        return EngineConflict(explanation)
    if any(part in words for part in _GPU_RUNTIME_MISSING):
        return EngineRefused(
            "the engine cannot give GPUs to containers: install nvidia-container-toolkit, run "
            f"nvidia-ctk runtime configure, restart the engine ({explanation})",
            code="gpu_runtime_missing",
        )
    if "no space left on device" in words:
        return EngineRefused(f"the engine's disk is full: {explanation}", code="engine_disk_full")
    if "bind source path does not exist" in words:
        return EngineRefused(
            "the engine does not see the node's directories: run both in the same mount "
            f"namespace ({explanation})",
            code="workspace_not_visible",
        )
    # With our init the runtime finds docker-init, and a missing program is exit code 127; an
    # engine without it refuses to start.
    if any(part in words for part in _CREATED_BY_RUNTIME):
        if any(part in words for part in _NO_SUCH_PROGRAM):
            return CommandFailed(explanation)
        if "permission denied" in words:
            return CommandFailed(explanation, code="command_not_executable")
    return EngineRefused(f"the engine refused (HTTP {status}): {explanation}")


def connection_advice(words: str) -> str:
    """What to do about an engine that cannot be reached, from the system's words."""
    if "Permission denied" in words:
        return (
            "no permission to use the container engine: run the node as root, or add its user to "
            f"the group docker (usermod -aG docker USER) and log in again ({words})"
        )
    if "No such file" in words or "FileNotFound" in words:
        return (
            "no container engine found: install one (apt-get install docker.io) and start it "
            f"(systemctl start docker), or set DOCKER_HOST ({words})"
        )
    return (
        "the container engine does not answer: start it (systemctl start docker) and look at "
        f"journalctl -u docker ({words})"
    )

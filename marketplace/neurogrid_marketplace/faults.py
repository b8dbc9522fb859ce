"""How a run can end, whose fault it was, and what follows: the one table.

Only a completed run, a program that ended with an error of its own, a cancellation, and a preemptible
run that its node reclaimed are charged for the time they ran. Whatever looks like a limit, the machine or the network costs the client
nothing beyond vouchers already signed (after `ENGINE_LOST` not even those, see `execution`), and never slashes anybody.
"""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    EXIT_NONZERO = "exit_nonzero"
    CANCELLED = "cancelled"
    MEMORY_EXCEEDED = "memory_exceeded"
    PIDS_EXCEEDED = "pids_exceeded"
    DISK_EXCEEDED = "disk_exceeded"
    TIME_EXCEEDED = "time_exceeded"
    JOB_REFUSED = "job_refused"
    IMAGE_NOT_FOUND = "image_not_found"
    COMMAND_NOT_FOUND = "command_not_found"
    INPUT_UNAVAILABLE = "input_unavailable"
    INPUT_UNREADABLE = "input_unreadable"
    OUTPUT_REFUSED = "output_refused"
    START_FAILED = "start_failed"
    PULL_STALLED = "pull_stalled"
    ENGINE_LOST = "engine_lost"
    NODE_LOST = "node_lost"
    ESCROW_UNSEEN = "escrow_unseen"
    RESULT_INVALID = "result_invalid"
    EXPOSURE_EXHAUSTED = "exposure_exhausted"
    PREEMPTED = "preempted"
    GPU_LOST = "gpu_lost"


class Fault(StrEnum):
    """Whose fault an ending is."""

    NONE = "none"
    USER = "user"
    NODE = "node"
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True, slots=True)
class Consequence:
    """What follows from an outcome.

    Attributes:
        fault: whose.
        charged: whether the metered time is paid by a final voucher.
        retried: whether the task goes back to auction, without this node.
        advice: what the client should do, in words.
    """

    fault: Fault
    charged: bool
    retried: bool
    advice: str


_USER = Fault.USER
_NODE = Fault.NODE
_INFRA = Fault.INFRASTRUCTURE

CONSEQUENCES: dict[Outcome, Consequence] = {
    Outcome.COMPLETED: Consequence(Fault.NONE, True, False, ""),
    Outcome.EXIT_NONZERO: Consequence(
        _USER, True, False, "The program ended with an error; read the end of its logs."
    ),
    Outcome.CANCELLED: Consequence(_USER, True, False, "The task was cancelled by its owner."),
    Outcome.MEMORY_EXCEEDED: Consequence(
        _USER, False, False, "Ask for more memory (resource_requirements.ram_gb)."
    ),
    Outcome.PIDS_EXCEEDED: Consequence(
        _USER, False, False, "The program started more processes than the limit of the sandbox."
    ),
    Outcome.DISK_EXCEEDED: Consequence(
        _USER, False, False, "Ask for more disk (resource_requirements.storage_gb)."
    ),
    Outcome.TIME_EXCEEDED: Consequence(_USER, False, False, "Raise timeout_seconds."),
    Outcome.JOB_REFUSED: Consequence(
        _USER, False, False, "No node's sandbox allows this; change what the message names."
    ),
    Outcome.IMAGE_NOT_FOUND: Consequence(
        _USER, False, False, "Check the spelling of docker_image and that nodes may pull it."
    ),
    Outcome.COMMAND_NOT_FOUND: Consequence(
        _USER, False, False, "The image has no such command, or it is not executable."
    ),
    Outcome.INPUT_UNAVAILABLE: Consequence(
        _INFRA, False, True, "An input could not be fetched from the coordinator."
    ),
    Outcome.INPUT_UNREADABLE: Consequence(
        _USER,
        False,
        False,
        "A sealed input did not open with the key that was sent: submit it again with `--sealed`.",
    ),
    Outcome.OUTPUT_REFUSED: Consequence(
        _USER, False, False, "Write plain files below /outputs: no links, devices or sockets."
    ),
    Outcome.START_FAILED: Consequence(
        _NODE, False, True, "The node could not start the container."
    ),
    Outcome.PULL_STALLED: Consequence(
        _INFRA,
        False,
        True,
        "The image could not be fetched: check its name, and that its registry can be reached.",
    ),
    Outcome.ENGINE_LOST: Consequence(_NODE, False, True, "The node's container engine went away."),
    Outcome.NODE_LOST: Consequence(_NODE, False, True, "The node stopped answering."),
    Outcome.ESCROW_UNSEEN: Consequence(
        _INFRA, False, True, "The node did not see the escrow on the chain in time."
    ),
    Outcome.RESULT_INVALID: Consequence(
        _NODE, False, True, "The node's result did not match what it uploaded."
    ),
    Outcome.EXPOSURE_EXHAUSTED: Consequence(
        _INFRA, False, True, "Payment did not reach the node for too long."
    ),
    Outcome.PREEMPTED: Consequence(
        Fault.NONE,
        True,
        True,
        "Submit it without `preemptible`, or save more often what it has done.",
    ),
    Outcome.GPU_LOST: Consequence(
        _INFRA, False, True, "A GPU of the node failed under the program."
    ),
}

"""The events that clients may hear of, by name: at ``/ws``, in the account's stream and by webhooks.

The one list of them. What happens is stored under the names of `store.events`; where documents 001 and 002
have another name for it, that is the public one. A stored kind that is not listed here is in a task's timeline
and at ``/ws``, and no webhook can ask for it.
"""

from collections.abc import Iterable

# Stored name -> public one, where they differ.
_PUBLIC_NAMES = {"task.running": "task.started", "task.expired": "task.failed"}

# Public name -> when it happens.
EVENT_KINDS: dict[str, str] = {
    "task.created": "a task was stored",
    "task.updated": "its owner asks for it otherwise while it waits; `data.message` says what of it",
    "task.started": "its container runs; again after each retry",
    "task.progress": "the job has said how far it is; only the newest of a task waits to be delivered",
    "task.ready": "it is a replica of a model, and takes requests; `data.cold_start_ms` says how long that took",
    "task.completed": "it has ended well",
    "task.failed": "it has ended otherwise, or its time in the queue was over",
    "task.cancelled": "its owner has ended it",
    "task.settled": "its node is paid on the chain, and there is a receipt",
    "task.needs_key": "it waits for the key to its sealed inputs",
    "task.reclaimed": "its node takes its machine back; `data.message` says when the job is stopped",
    "task.verdict": "other nodes have verified its result, or refuted it",
    "batch.created": "a batch was stored",
    "batch.started": "its tasks are released from now on",
    "batch.completed": "all its tasks have ended, and it counts as done",
    "batch.failed": "all its tasks have ended, and it counts as failed",
    "batch.cancelled": "its owner has ended it",
    "scheduled_task.executed": "a schedule's run has ended, or was left out",
    "node.status": "a node went online, offline or busy",
    "system.alert": "something that you should look at, such as a webhook that was disabled",
}

# Names in the documents' examples that are in none of their lists.
_ALIASES = {
    "task.complete": ("task.completed",),
    "batch.finished": ("batch.completed", "batch.failed", "batch.cancelled"),
}


# All that `wanted_kinds` takes.
EVENT_NAMES = (*EVENT_KINDS, *_ALIASES)


class UnknownEvent(ValueError):
    """There is no event of this name; says which there are."""


def public_name(kind: str) -> str:
    """The name under which clients know a stored event."""
    return _PUBLIC_NAMES.get(kind, kind)


def stored_names(kinds: Iterable[str]) -> tuple[str, ...]:
    """The names under which events of these public ones are stored."""
    wanted = set(kinds)
    stored = {name for name, public in _PUBLIC_NAMES.items() if public in wanted}
    return tuple(sorted(stored | wanted))


def wanted_kinds(names: Iterable[str]) -> tuple[str, ...]:
    """The public names that these stand for, each once, in the order of the list.

    Raises:
        UnknownEvent: one stands for none.
    """
    wanted: set[str] = set()
    for name in names:
        kinds = _ALIASES.get(name, (name,) if name in EVENT_KINDS else ())
        if not kinds:
            raise UnknownEvent(
                f"there is no event {name[:80]!r}; there are {', '.join(EVENT_KINDS)}"
            )
        wanted.update(kinds)
    return tuple(kind for kind in EVENT_KINDS if kind in wanted)

"""The objects of a test's cluster, as an API server keeps them: every change has a number, the last changes are
remembered for watches, and a change from an old state is refused."""

import copy
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
# A kind in the plural, a namespace ("" for what has none), a name.
Key = tuple[str, str, str]


class Expired(Exception):
    """The changes since then are not remembered."""


class Exists(Exception):
    """There is one of this name."""


class Missing(Exception):
    """There is none."""


@dataclass(frozen=True)
class Change:
    version: int
    type: str
    key: Key
    object: Json


class Store:
    """See the module. Used by many threads; what it gives out is a copy."""

    def __init__(self) -> None:
        self._objects: dict[Key, Json] = {}
        self._history: list[Change] = []
        # Versions up to this one are forgotten.
        self._forgotten = 0
        self._version = 100
        self._changed = threading.Condition()

    @property
    def version(self) -> int:
        with self._changed:
            return self._version

    def create(self, kind: str, made: Json) -> Json:
        key = _key(kind, made)
        with self._changed:
            if key in self._objects:
                raise Exists
            return self._put("ADDED", key, made)

    def get(self, kind: str, namespace: str, name: str) -> Json:
        with self._changed:
            try:
                return copy.deepcopy(self._objects[kind, namespace, name])
            except KeyError:
                raise Missing from None

    def list(self, kind: str, namespace: str | None = None) -> list[Json]:
        """Of a namespace, or all; by name."""
        with self._changed:
            return [
                copy.deepcopy(found)
                for key, found in sorted(self._objects.items())
                if key[0] == kind and namespace in (None, key[1])
            ]

    def change(self, kind: str, namespace: str, name: str, change: Callable[[Json], None]) -> Json:
        """Change it in place, with nobody in between; what ``change`` raises leaves it as it was."""
        key = (kind, namespace, name)
        with self._changed:
            if key not in self._objects:
                raise Missing
            changed = copy.deepcopy(self._objects[key])
            change(changed)
            if changed == self._objects[key]:
                return changed
            return self._put("MODIFIED", key, changed)

    def remove(self, kind: str, namespace: str, name: str) -> Json:
        """Its last state is told with the change's own number, as etcd's watchers are told it."""
        key = (kind, namespace, name)
        with self._changed:
            if key not in self._objects:
                raise Missing
            last = self._objects.pop(key)
            self._version += 1
            last["metadata"]["resourceVersion"] = str(self._version)
            self._tell("DELETED", key, last)
            return copy.deepcopy(last)

    def forget(self) -> None:
        """What happened until now: watches that begin before it have expired."""
        with self._changed:
            self._history.clear()
            self._forgotten = self._version
            self._changed.notify_all()

    def follow(self, version: int, is_over: Callable[[], bool]) -> Iterator[Change | None]:
        """Changes after a version, as they come; None from time to time while there is none.

        Raises:
            Expired: they are not remembered.
        """
        while not is_over():
            with self._changed:
                if version < self._forgotten:
                    raise Expired
                news = [change for change in self._history if change.version > version]
                if not news:
                    self._changed.wait(0.1)
            if not news:
                yield None
            for change in news:
                version = change.version
                yield change

    def _put(self, kind: str, key: Key, found: Json) -> Json:
        self._version += 1
        kept = copy.deepcopy(found)
        kept["metadata"]["resourceVersion"] = str(self._version)
        self._objects[key] = kept
        self._tell(kind, key, kept)
        return copy.deepcopy(kept)

    def _tell(self, kind: str, key: Key, found: Json) -> None:
        self._history.append(Change(self._version, kind, key, copy.deepcopy(found)))
        self._changed.notify_all()


def _key(kind: str, found: Json) -> Key:
    return kind, found["metadata"].get("namespace", ""), found["metadata"]["name"]

"""A client's credentials for the registry of a task's image: how they travel, and what is read of them. Pure.

They are a sealed input of a name that no job finds: only the node that has the task opens it, for its pull.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .errors import InvalidValue
from .image_name import DOCKER_HUB
from .job import InputFile, Job

# What a node that pulls with them says in `Offer.privacy`, and a task that brings some asks for.
REGISTRY_AUTH: Final = "registry_auth"
REGISTRY_AUTH_PATH: Final = ".neurogrid/registry-auth.json"
# A cloud registry's token for an hour has some 3,000.
AUTH_BYTES_MAX: Final = 32 * 1024
# Docker's own name of its registry, in its configuration.
_HUB_KEYS: Final = ("https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class RegistryAuth:
    """A name and what proves it, which no ``repr`` shows.

    Raises:
        InvalidValue: on construction: one is empty, too long, or of no use in HTTP.
    """

    username: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.username or not self.password:
            raise InvalidValue("a registry's credentials are a name and a password, or token")
        if ":" in self.username or not self.username.isprintable():
            raise InvalidValue("a registry's user name has a colon or a control character")
        if len(self.to_bytes()) > AUTH_BYTES_MAX:
            raise InvalidValue(f"a registry's credentials have more than {AUTH_BYTES_MAX} bytes")

    def to_bytes(self) -> bytes:
        """As they are sealed."""
        return json.dumps({"username": self.username, "password": self.password}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "RegistryAuth":
        """
        Raises:
            InvalidValue: they are none; the message has nothing of them.
        """
        return _of_document(_document(data.decode("utf-8", "replace")))


def auth_input(job: Job) -> InputFile | None:
    """The input that holds a job's credentials; None: its image is fetched as anybody."""
    return next(
        (item for item in job.inputs if item.sealed and item.path == REGISTRY_AUTH_PATH), None
    )


def read_auth(text: str, registry: str) -> RegistryAuth:
    """What a client has: ``USER:PASSWORD``, its JSON, or Docker's config.json with an entry for the registry.

    Raises:
        InvalidValue: it is none of these; the message has nothing of it.
    """
    text = text.strip()
    if not text.startswith("{"):
        username, _, password = text.partition(":")
        return RegistryAuth(username, password)
    document = _document(text)
    if "auths" not in document and not {"credsStore", "credHelpers"} & set(document):
        return _of_document(document)
    found = document.get("auths")
    entries = found if isinstance(found, Mapping) else {}
    names = (registry, f"https://{registry}", *(_HUB_KEYS if registry == DOCKER_HUB else ()))
    for name in names:
        entry = entries.get(name)
        if isinstance(entry, Mapping) and (entry.get("auth") or entry.get("username")):
            return _of_entry(entry)
    raise InvalidValue(
        f"Docker's configuration holds nothing for {registry}: where a credential helper has it, write "
        "USER:PASSWORD or USER:TOKEN into a file of your own"
    )


def _of_entry(entry: Mapping[str, Any]) -> RegistryAuth:
    if not entry.get("auth"):
        return _of_document(entry)
    try:
        pair = base64.b64decode(str(entry["auth"]), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidValue("Docker's configuration has an entry that is not base64") from None
    username, _, password = pair.partition(":")
    return RegistryAuth(username, password)


def _of_document(document: Mapping[str, Any]) -> RegistryAuth:
    username, password = document.get("username"), document.get("password")
    if not isinstance(username, str) or not isinstance(password, str):
        raise InvalidValue('a registry\'s credentials are {"username": ..., "password": ...}')
    return RegistryAuth(username, password)


def _document(text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InvalidValue("a registry's credentials cannot be read: no JSON object")
    return document

"""From an image's tag to the bytes that it stands for now: so that all runs of a task have the same."""

import httpx

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.image_name import ImageName
from neurogrid_marketplace.registry_auth import RegistryAuth
from neurogrid_marketplace.registry_talk import (
    ACCEPT,
    MANIFEST_BYTES_MAX,
    Answer,
    Ask,
    NoSuchImage,
    RegistryTalk,
    RegistryTrouble,
    digest_of,
)

from .errors import PinError

_TIMEOUT_S = 30.0


def pin_image(image: str, registry_auth: tuple[str, str] | None = None) -> str:
    """The image's name with the digest that its tag stands for now; one that has a digest stays as it is.

    Asks the image's registry, from this machine.

    Args:
        registry_auth: user name and password (or token), of a private image.

    Raises:
        PinError: there is no such image, or nobody answers.
    """
    try:
        name = ImageName.read(image)
        auth = RegistryAuth(*registry_auth) if registry_auth is not None else None
    except InvalidValue as error:
        raise PinError(str(error)) from error
    if name.digest:
        return image
    talk = RegistryTalk(name, auth).manifest(name.tag)
    try:
        with httpx.Client(timeout=_TIMEOUT_S) as client:
            ask = next(talk)
            while True:
                ask = talk.send(_get(client, ask))
    except StopIteration as ended:
        # As it was written, without its tag: nodes know their images by such names.
        return f"{_without_tag(image)}@{digest_of(ended.value)}"
    except (NoSuchImage, RegistryTrouble) as error:
        raise PinError(str(error)) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PinError(f"{name.registry} could not be asked: {error}") from error


def _get(client: httpx.Client, ask: Ask) -> Answer:
    headers = {"Accept": ACCEPT}
    if ask.authorization:
        headers["Authorization"] = ask.authorization
    with client.stream("GET", ask.url, headers=headers) as response:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MANIFEST_BYTES_MAX:
                raise RegistryTrouble("the registry sends more than a manifest")
        return Answer(
            response.status_code, response.headers.get("www-authenticate", ""), bytes(body)
        )


def _without_tag(image: str) -> str:
    host, slash, rest = image.rpartition("/")
    return host + slash + rest.partition(":")[0]

"""A request's header, found without the objects that starlette makes of all of them."""

from starlette.requests import HTTPConnection


def header(connection: HTTPConnection, name: bytes) -> str | None:
    """The first header of this name, in lower case; None: there is none."""
    for key, value in connection.scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None

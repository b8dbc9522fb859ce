"""The Python SDK's page: each public name, and what each room of the client offers."""

import inspect
from importlib import import_module

import neurogrid

_TOP = """# Python SDK

Made from the code's own signatures and docstrings. How to use it is in the guides; this is what there is.

"""


def page() -> str:
    """Directives for mkdocstrings: it reads the sources, so that nothing is written twice."""
    lines = [_TOP, "## Public names\n"]
    for name in neurogrid.__all__:
        lines.append(f"::: {_place(getattr(neurogrid, name))}\n")
    lines.append("## Rooms of the client\n")
    for kind in rooms():
        lines.append(f"::: {_place(kind)}\n")
    return "\n".join(lines)


def rooms() -> list[type]:
    """The classes that `Client`'s public attributes are of, in their order."""
    with neurogrid.Client(api_key="ng_none", base_url="http://127.0.0.1:9") as client:
        found = [type(value) for name, value in vars(client).items() if not name.startswith("_")]
    kinds = [kind for kind in dict.fromkeys(found) if kind.__module__.startswith("neurogrid")]
    listed = {getattr(neurogrid, name) for name in neurogrid.__all__}
    return [kind for kind in kinds if kind not in listed]


def _place(thing: object) -> str:
    """Where a name is defined, as mkdocstrings wants it."""
    name: str = getattr(thing, "__qualname__", "") or getattr(thing, "__name__", "")
    module = inspect.getmodule(thing)
    assert module is not None, thing
    assert hasattr(import_module(module.__name__), name.partition(".")[0]), name
    return f"{module.__name__}.{name}"

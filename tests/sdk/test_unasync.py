"""The synchronous client is made from the asynchronous one, by scripts/unasync.py."""

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

import pytest

from neurogrid import AsyncClient, Client

ROOT = Path(__file__).parent.parent.parent
SDK = ROOT / "sdk" / "neurogrid"


@pytest.fixture(scope="module")
def unasync() -> ModuleType:
    spec = importlib.util.spec_from_file_location("unasync", ROOT / "scripts" / "unasync.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["unasync"] = module
    spec.loader.exec_module(module)
    return module


def test_every_synchronous_module_is_as_it_is_made(unasync: ModuleType) -> None:
    made: dict[str, str] = unasync.modules()
    assert "transport" in made
    different = [name for name in made if (SDK / f"{name}.py").read_text("utf-8") != made[name]]
    assert not different, "run scripts/unasync.py"


def test_a_module_that_says_it_was_made_was(unasync: ModuleType) -> None:
    said = {path.stem for path in SDK.glob("*.py") if path.read_text("utf-8").startswith("# Made")}
    assert said == set(unasync.modules())


def test_only_words_of_the_language_change(unasync: ModuleType) -> None:
    source = '''"""A thing. ``await client.get()`` awaits, AsyncClient too."""

from collections.abc import AsyncIterator, Awaitable, Callable

from ..errors import ApiError
from .sse import read

awaited = "await (nothing)"


async def all_of(look: Callable[[], Awaitable[list[int]]], lines: AsyncIterator[str]) -> list[int]:
    async for line in read(lines):
        if not line:
            raise ApiError
    return (await look())
'''
    made = unasync.made("sample", source)
    assert made == unasync.head("sample") + (
        '''"""A thing. ``client.get()`` awaits, Client too."""

from collections.abc import Callable, Iterator

from .errors import ApiError
from .sse import read

awaited = "await (nothing)"


def all_of(look: Callable[[], list[int]], lines: Iterator[str]) -> list[int]:
    for line in read(lines):
        if not line:
            raise ApiError
    return look()
'''
    )


def _methods(of: type) -> dict[str, inspect.Signature]:
    return {
        name.replace("aclose", "close").replace("__a", "__"): inspect.signature(member)
        for name, member in vars(of).items()
        if inspect.isfunction(member)
    }


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    with Client("ng_key", "http://nowhere") as one:
        other = AsyncClient("ng_key", "http://nowhere")
        rooms = {name for name in vars(one) if not name.startswith("_")}
        assert rooms == {name for name in vars(other) if not name.startswith("_")}
        pairs = [(Client, AsyncClient)]
        pairs += [(type(getattr(one, room)), type(getattr(other, room))) for room in rooms]
        for sync, asynchronous in pairs:
            for theirs, ours in zip(sync.__mro__[:-1], asynchronous.__mro__[:-1], strict=True):
                methods, awaited = _methods(theirs), _methods(ours)
                assert methods.keys() == awaited.keys(), theirs
                for name, signature in methods.items():
                    same = [*awaited[name].parameters] == [*signature.parameters]
                    assert same, f"{theirs}.{name}"

"""The examples in docstrings do what they say, against a real api; they are the same for both clients."""

import doctest
import importlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import neurogrid
from coordinator.served import ServedWorld

SDK = Path(neurogrid.__file__).parent
MODULES = sorted(path.stem for path in SDK.glob("*.py") if ">>> " in path.read_text("utf-8"))


@pytest.fixture
def client(api: ServedWorld, tmp_path: Path) -> Iterator[neurogrid.Client]:
    alice = api.run(lambda world: world.customer("alice"))
    (tmp_path / "corpus.txt").write_text("some words")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        with neurogrid.Client(alice.key, api.address) as client:
            yield client
    finally:
        os.chdir(before)


def test_every_example_does_what_it_says(client: neurogrid.Client) -> None:
    tried = 0
    for name in MODULES:
        module = importlib.import_module(f"neurogrid.{name}")
        told: list[str] = []
        finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
        for example in finder.find(module, extraglobs={"client": client, "neurogrid": neurogrid}):
            runner.run(example, out=told.append)
        failed, count = runner.summarize(verbose=False)
        assert not failed, "".join(told)
        tried += count
    assert tried >= 25


def test_what_is_shown_of_a_client_has_no_key(client: neurogrid.Client) -> None:
    assert repr(client).startswith("Client('http://127.0.0.1:")
    assert "ng_" not in repr(client)

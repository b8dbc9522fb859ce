"""`neurogrid-node images`, on the machine's engine, with an image from a registry."""

import json
from pathlib import Path
from typing import Any

import docker
import pytest
from click.testing import CliRunner, Result

from engine.registry import serve
from neurogrid_node.__main__ import main
from node.test_main import init, some_chain

pytestmark = pytest.mark.engine


def run(directory: Path, *arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(main, ["images", *arguments, "--data", str(directory)])
    assert done.exit_code == code, done.output
    return done


def asked(directory: Path, *arguments: str) -> Any:
    return json.loads(run(directory, *arguments, "--json").stdout)


def test_an_owners_images(tmp_path: Path) -> None:
    directory = tmp_path / "node"
    assert init(directory, some_chain(tmp_path), "--no-passphrase").exit_code == 0
    with serve() as registry:
        name = registry.reference
        # A registry of a private network is listed by its name.
        configured = (directory / "node.toml").read_text()
        host = name.partition("/")[0]
        listed = configured.replace('registries = ["*"]', f'registries = ["{host}"]')
        assert listed != configured
        (directory / "node.toml").write_text(listed)
        assert "images pull --pin" in run(directory, "pin", name, code=2).stderr
        assert asked(directory, "pull", name, "--pin")["digest"] == registry.digest
    try:
        (row,) = asked(directory, "list")["images"]
        assert (row["name"], row["pinned"], row["fetched_by_node"]) == (name, True, True)
        assert asked(directory, "list")["kept_bytes"] == row["size_bytes"] > 0
        assert asked(directory, "prune", "--all")["removed"] == []
        assert "(pinned)" in run(directory, "list").stdout
        assert run(directory, "unpin", name).exit_code == 0
        run(directory, "unpin", name, code=1)
        # It is within the limit.
        assert asked(directory, "prune")["removed"] == []
        assert asked(directory, "prune", "--all")["removed"] == [name]
        assert asked(directory, "list")["images"] == []
        assert "no image's name" in run(directory, "pin", "A B", code=2).stderr
    finally:
        api = docker.APIClient()
        here = api.images(name)
        for image in here:
            api.remove_image(image["Id"], force=True)
        api.close()
    assert here == []

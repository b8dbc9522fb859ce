"""What registries say of images."""

import json

import pytest

from neurogrid_node.container.errors import PullFailed
from neurogrid_node.container.manifest import Manifest, platform_digest, read_manifest


def encoded(**document: object) -> bytes:
    return json.dumps(document).encode()


def test_a_manifest_says_how_much_there_is_to_fetch() -> None:
    layers = [{"digest": "sha256:a", "size": 5}, {"digest": "sha256:b", "size": 7}]
    # A layer that is in it twice is fetched once.
    found = read_manifest(encoded(layers=[*layers, layers[0]]), "sha256:m")
    assert found == Manifest("sha256:m", {"sha256:a": 5, "sha256:b": 7})
    assert found.compressed_bytes == 12
    assert platform_digest(encoded(layers=layers), "amd64") is None


def test_an_index_names_this_machines_manifest() -> None:
    def entry(system: str, architecture: str, digest: str) -> dict[str, object]:
        return {"platform": {"os": system, "architecture": architecture}, "digest": digest}

    index = encoded(
        manifests=[
            entry("windows", "amd64", "w"),
            entry("linux", "arm64", "a"),
            entry("linux", "amd64", "x"),
        ]
    )
    assert platform_digest(index, "amd64") == "x"
    with pytest.raises(PullFailed, match="linux/riscv64"):
        platform_digest(index, "riscv64")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"\xff", b"{", b"[" * 100_000, encoded(), encoded(layers={})),
        *(encoded(layers=[1]), encoded(layers=[{"size": -1}]), encoded(layers=[{"size": "9"}])),
        encoded(layers=[{"digest": str(number), "size": 1} for number in range(2000)]),
    ],
)
def test_nonsense_is_the_registrys_fault(body: bytes) -> None:
    with pytest.raises(PullFailed):
        read_manifest(body, "sha256:m")


@pytest.mark.parametrize("manifests", [{}, [], [1], [{"platform": 1}], "x"])
def test_so_is_an_index_that_is_none(manifests: object) -> None:
    with pytest.raises(PullFailed):
        platform_digest(encoded(manifests=manifests), "amd64")

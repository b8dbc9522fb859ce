"""Names of images, and which registries an owner's list lets them come from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.image_name import ImageName
from neurogrid_node.container.registry_rules import RegistryRules

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.12-slim", "docker.io/library/python:3.12-slim"),
        ("me/tool:1", "docker.io/me/tool:1"),
        ("index.docker.io/python:1", "docker.io/library/python:1"),
        ("images.example.com/me/tool", "images.example.com/me/tool:latest"),
        ("localhost/me/tool:1", "localhost/me/tool:1"),
        ("registry.lan:5000/tool:1", "registry.lan:5000/tool:1"),
        (f"images.example.com/me/tool@{DIGEST}", f"images.example.com/me/tool@{DIGEST}"),
        (f"images.example.com/me/tool:1@{DIGEST}", f"images.example.com/me/tool@{DIGEST}"),
    ],
)
def test_names_are_read_as_engines_read_them(reference: str, full: str) -> None:
    assert ImageName.read(reference).reference == full


@pytest.mark.parametrize(
    "reference",
    [
        "a" * 64,  # the id of an image that is here
        "me/Tool",
        "me//tool",
        "../tool",
        "tool:",
        "tool:-x",
        "tool@sha256:1",
        "images.example.com/",
        "a.b:x/tool",
        "a..b/tool:1:2",
    ],
)
def test_what_is_no_name_is_refused(reference: str) -> None:
    if reference == "tool:":
        assert ImageName.read(reference).tag == "latest"
        return
    with pytest.raises(InvalidValue, match="is no image's name"):
        ImageName.read(reference)


@given(st.text(alphabet="abA0.:/@-_ s", max_size=40))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        name = ImageName.read(text)
    except InvalidValue:
        return
    assert ImageName.read(name.reference).reference == name.reference


@pytest.mark.parametrize(
    "registry",
    [
        *("localhost", "localhost:5000", "127.0.0.1:5000", "10.0.0.1", "192.168.1.4:5000"),
        *(
            "169.254.169.254",
            "registry",
            "registry:5000",
            "registry.lan",
            "nas.local:5000",
            "127.1",
        ),
    ],
)
def test_every_registry_of_the_internet_is_none_of_a_private_network(registry: str) -> None:
    assert not RegistryRules().allows(registry)
    assert RegistryRules((registry,)).allows(registry), "unless it is listed by its very name"


def test_an_owners_list() -> None:
    rules = RegistryRules.read(["docker.io", "*.example.org", "registry.lan:5000"])
    allowed = ["docker.io", "a.example.org", "a.b.example.org:5000", "registry.lan:5000"]
    refused = [
        "images.example.com",
        "example.org",
        "badexample.org",
        "registry.lan",
        "registry.lan:5001",
    ]
    assert [host for host in (*allowed, *refused) if rules.allows(host)] == [
        *("docker.io", "a.example.org", "registry.lan:5000")
    ]
    any_port = RegistryRules.read(["127.0.0.1:*"])
    assert any_port.allows("127.0.0.1:5000")
    assert any_port.allows("127.0.0.1")
    assert not any_port.allows("127.0.0.2:5000")
    assert RegistryRules().allows("images.example.com")
    assert RegistryRules().allows("8.8.8.8:5000")
    assert not RegistryRules(()).allows("docker.io")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://images.example.com",
        "images.example.com/me",
        "IMAGES.example.com",
        "*.*",
        "a*b.org",
    ],
)
def test_what_is_no_registry_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="is no registry"):
        RegistryRules.read([text])

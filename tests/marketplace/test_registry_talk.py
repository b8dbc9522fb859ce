"""Conversations with registries, carried by hand."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.image_name import ImageName
from neurogrid_marketplace.registry_auth import RegistryAuth
from neurogrid_marketplace.registry_talk import (
    Answer,
    Ask,
    NoSuchImage,
    RegistryTalk,
    RegistryTrouble,
    digest_of,
)

HUB = ImageName.read("python:3.12")
BODY = b'{"layers": []}'
AUTH = RegistryAuth("me", "secret")
BASIC = "Basic bWU6c2VjcmV0"
BEARER = 'Bearer realm="https://auth.example.org/token",service="registry.example.org",scope="repository:x:pull"'


def carried(talk: RegistryTalk, which: str, *answers: Answer) -> tuple[list[Ask], bytes]:
    """What was asked, given these answers, and what came of it."""
    said = talk.manifest(which)
    asked = [next(said)]
    for answer in answers:
        try:
            asked.append(said.send(answer))
        except StopIteration as ended:
            return asked, ended.value
    raise AssertionError(f"it still asks {asked[-1]}")


def test_a_public_image_of_docker_hub_takes_a_token_that_anybody_gets() -> None:
    talk = RegistryTalk(HUB, None)
    token = json.dumps({"token": "t0ken"}).encode()
    asked, body = carried(
        talk, "3.12", Answer(401, BEARER, b""), Answer(200, "", token), Answer(200, "", BODY)
    )
    url = "https://registry-1.docker.io/v2/library/python/manifests/"
    assert asked == [
        Ask(f"{url}3.12", ""),
        Ask(
            "https://auth.example.org/token?scope=repository%3Ax%3Apull&service=registry.example.org",
            "",
        ),
        Ask(f"{url}3.12", "Bearer t0ken"),
    ]
    assert body == BODY
    # The token serves for the next one, too.
    asked, _ = carried(talk, digest_of(BODY), Answer(200, "", BODY))
    assert asked == [Ask(url + digest_of(BODY), "Bearer t0ken")]


def test_credentials_are_shown_to_whoever_the_registry_names_and_only_if_it_asks() -> None:
    asked, _ = carried(RegistryTalk(HUB, AUTH), "3.12", Answer(200, "", BODY))
    assert [ask.authorization for ask in asked] == [""]
    token = json.dumps({"access_token": "t0ken"}).encode()
    bearer = (Answer(401, BEARER, b""), Answer(200, "", token), Answer(200, "", BODY))
    asked, _ = carried(RegistryTalk(HUB, AUTH), "3.12", *bearer)
    assert [ask.authorization for ask in asked] == ["", BASIC, "Bearer t0ken"]
    basic = (Answer(401, 'Basic realm="x"', b""), Answer(200, "", BODY))
    asked, _ = carried(RegistryTalk(HUB, AUTH), "3.12", *basic)
    assert [ask.authorization for ask in asked] == ["", BASIC]


@pytest.mark.parametrize("realm", ["http://auth.example.org/", "file:///x", "", "https://x/?y=z"])
def test_credentials_do_not_travel_in_the_clear(realm: str) -> None:
    challenge = Answer(401, f'Bearer realm="{realm}"', b"")
    with pytest.raises(RegistryTrouble, match="for a token"):
        carried(RegistryTalk(HUB, AUTH), "3.12", challenge)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_no_is_no(status: int) -> None:
    answers = (Answer(401, 'Basic realm="x"', b""), Answer(status, "", b""))
    with pytest.raises(NoSuchImage, match="--registry-auth") as refused:
        carried(RegistryTalk(HUB, AUTH), "3.12", *answers)
    assert "secret" not in str(refused.value)


def test_other_bytes_than_were_named_are_not_taken() -> None:
    with pytest.raises(RegistryTrouble, match="something else"):
        carried(RegistryTalk(HUB, None), digest_of(BODY), Answer(200, "", b"{}"))


@given(st.integers(100, 599), st.text(max_size=60), st.binary(max_size=60))
def test_whatever_a_registry_says_ends_it(status: int, challenge: str, body: bytes) -> None:
    answers = [Answer(status, challenge, body)] * 3
    with suppress(NoSuchImage, RegistryTrouble):
        carried(RegistryTalk(HUB, AUTH), "3.12", *answers)

"""A client's credentials for a registry: what is read of them, and what is shown: nothing."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.job import InputFile, Job
from neurogrid_marketplace.registry_auth import (
    AUTH_BYTES_MAX,
    REGISTRY_AUTH_PATH,
    RegistryAuth,
    auth_input,
    read_auth,
)

AUTH = RegistryAuth("tenant", "s3cret:with colon")
PAIR = base64.b64encode(b"tenant:s3cret:with colon").decode()


@pytest.mark.parametrize(
    "text",
    [
        "tenant:s3cret:with colon\n",
        json.dumps({"username": "tenant", "password": "s3cret:with colon"}),
        json.dumps(
            {"auths": {"images.example.com": {"auth": PAIR}, "docker.io": {"auth": "eDp5"}}}
        ),
        json.dumps(
            {"auths": {"https://images.example.com": {"auth": PAIR}}, "credsStore": "desktop"}
        ),
        json.dumps(
            {"auths": {"images.example.com": {"username": "tenant", "password": AUTH.password}}}
        ),
    ],
)
def test_what_a_client_has_is_read(text: str) -> None:
    assert read_auth(text, "images.example.com") == AUTH


def test_dockers_name_of_its_own_registry() -> None:
    document = json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": PAIR}}})
    assert read_auth(document, "docker.io") == AUTH
    with pytest.raises(InvalidValue, match="nothing for images"):
        read_auth(document, "images.example.com")


@pytest.mark.parametrize(
    "text",
    [
        *("", "s3cret", ":s3cret", "tenant:", "{s3cret", '{"s3cret": 1}', '{"auths": "s3cret"}'),
        '{"auths": {"images.example.com": {"auth": "s3cret!"}}}',
        '{"auths": {"images.example.com": {}}, "credHelpers": {"images.example.com": "s3cret"}}',
        json.dumps({"username": "a:s3cret", "password": "x"}),
        json.dumps({"username": "a", "password": "s3cret" * AUTH_BYTES_MAX}),
    ],
)
def test_what_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        read_auth(text, "images.example.com")
    assert "s3cret" not in str(refused.value)


def test_it_travels_and_is_shown_to_nobody() -> None:
    assert RegistryAuth.from_bytes(AUTH.to_bytes()) == AUTH
    assert "s3cret" not in repr(AUTH)


@given(st.binary(max_size=200))
def test_any_bytes_are_credentials_or_refused(data: bytes) -> None:
    with suppress(InvalidValue):
        RegistryAuth.from_bytes(data)


def test_only_a_sealed_input_of_that_name_holds_them() -> None:
    def job(*inputs: InputFile) -> Job:
        return Job("images.example.com/me/tool:1", inputs=inputs)

    plain = InputFile(REGISTRY_AUTH_PATH, "0" * 64, 1)
    sealed = InputFile(REGISTRY_AUTH_PATH, "0" * 64, 1, sealed=True)
    other = InputFile("data", "0" * 64, 1, sealed=True)
    assert auth_input(job(other, sealed)) == sealed
    assert auth_input(job(other)) is None
    assert auth_input(job(plain)) is None

"""configs/compose: what is started together fits together, and nothing in it has more than it needs."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from neurogrid_coordinator.config import filled, parse_config
from neurogrid_coordinator.store.places import Server

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs" / "compose"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    document = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    assert set(document) == {"name", "services", "volumes", "secrets"}
    found: dict[str, Any] = document["services"]
    return found


def test_the_parts_find_each_other(services: dict[str, Any]) -> None:
    assert set(services) == {"network", "coordinator", "postgres", "nginx"}
    coordinator, postgres, nginx = (services[name] for name in ("coordinator", "postgres", "nginx"))
    # The proxy is at 127.0.0.1 for the coordinator, and so is the coordinator for the proxy. Neither owns the network: it ends
    # with its owner, also where that is only started again, and whoever shared it is left alone.
    assert nginx["network_mode"] == coordinator["network_mode"] == "service:network"
    assert "ports" not in nginx
    assert "ports" not in coordinator
    assert "ports" not in postgres, "only the coordinator speaks to the database"
    assert {port.rpartition(":")[2] for port in services["network"]["ports"]} == {"443", "4001"}
    site = (ROOT / "configs" / "nginx.conf").read_text()
    mounted = {volume.split(":")[1] for volume in nginx["volumes"]}
    assert set(re.findall(r"ssl_certificate(?:_key)? (.+);", site)) <= mounted
    for service in (coordinator, nginx):
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            # What isn't in the repository, the page tells to make.
            assert (FOLDER / source).exists() or source in (FOLDER / "compose.yaml").read_text()
    assert coordinator["secrets"] == postgres["secrets"] == ["database_password"]
    assert postgres["environment"]["POSTGRES_PASSWORD_FILE"] == "/run/secrets/database_password"
    assert coordinator["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert "healthcheck" in postgres


def test_the_page_configures_the_coordinator_for_them(services: dict[str, Any]) -> None:
    """What the page says to write into coordinator.toml is taken, and means these services."""
    page = (ROOT / "docs" / "deploying-a-coordinator.md").read_text()
    (said,) = re.findall(r"```toml\n(\[http\].*?)```", page, re.DOTALL)
    given = {
        f"{section}.{key}": value
        for section, values in tomllib.loads(said).items()
        for key, value in values.items()
    }
    config = parse_config(filled(given), "coordinator.toml")
    assert config.http.listen == "127.0.0.1:8080"
    assert config.http.trusted_proxies == ("127.0.0.1",)
    assert Server(config.database.url, "x")
    assert "@postgres/" in config.database.url
    assert config.database.password_file == "/run/secrets/database_password"


def test_nothing_has_more_than_it_needs(services: dict[str, Any]) -> None:
    coordinator = services["coordinator"]
    assert coordinator["read_only"] is True
    assert coordinator["cap_drop"] == ["ALL"]
    for service in services.values():
        assert "no-new-privileges:true" in service["security_opt"]
        assert not {"privileged", "cap_add", "devices", "pid"} & set(service)
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}
        # Whoever runs it says which registry; here is none.
        assert re.fullmatch(r"[a-z]+(/[a-z]+)?:[0-9.]+", service["image"])
    image = (FOLDER / "Dockerfile").read_text()
    assert re.findall(r"^FROM (\S+)", image, re.MULTILINE) == ["${BASE_IMAGE}"] * 2
    assert coordinator["build"]["args"] == {"BASE_IMAGE": "${BASE_IMAGE:-python:3.12-slim}"}
    assert re.search(r"^USER 10001:10001$", image, re.MULTILINE)


def test_compose_reads_it_where_there_is_one() -> None:
    """Debian has no Compose of today's format: where none is installed, the tests above are all."""
    docker = shutil.which("docker")
    if docker is None:
        return
    asked = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    if asked.returncode != 0:
        return
    subprocess.run(
        [docker, "compose", "--file", str(FOLDER / "compose.yaml"), "config", "--quiet"], check=True
    )

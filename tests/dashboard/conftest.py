"""Chromium, led through the dashboard of a devnet: real daemons, two nodes, jobs in real containers.

All tests of this folder share the devnet and the browser; each has a browser context of its own, in which nothing is left of
another's. What a page writes to the console as an error, or tries against its policy, fails the test.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from acceptance.model_settings import tell_of_models
from acceptance.network import Devnet, running_devnet, until

ROOT: Final = Path(__file__).parents[2]
PICTURES: Final = ROOT / "docs/dashboard"
_AXE: Final = ROOT / "dashboard/node_modules/axe-core/axe.min.js"
_WIDTH, _HEIGHT = 1280, 800
# Generous: the machine may be busy with much else.
_PATIENCE_MS: Final = 30_000
_USE_IDLE_S: Final = 4
_REGIONS: Final = ("eu-central-1", "us-east")

SignIn = Callable[..., None]
CheckAxe = Callable[[], None]
Picture = Callable[[str], None]

expect.set_options(timeout=_PATIENCE_MS)


@pytest.fixture(scope="package", autouse=True)
def built() -> None:
    """The dashboard is that of its sources."""
    subprocess.run([ROOT / "scripts/dashboard_build.sh"], check=True, timeout=300)


@pytest.fixture(scope="package")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """A devnet with two nodes."""
    with running_devnet(tmp_path_factory.mktemp("dashboard") / "D", nodes=2) as running:
        _move(running)
        tell_of_models(running, use_idle_s=_USE_IDLE_S)
        running.until_all_here()
        yield running


def _move(devnet: Devnet) -> None:
    """Have its nodes say that they are in regions that the map knows: a devnet's are "local"."""
    for node, region in zip(devnet.network.nodes, _REGIONS, strict=True):
        settings = Path(node.data) / "node.toml"
        text = settings.read_text()
        assert 'region = "local"' in text
        settings.write_text(text.replace('region = "local"', f'region = "{region}"'))
        devnet.until_restarted(node.name, devnet.kill(node.name))

    def moved() -> bool:
        nodes = devnet.client.nodes.list().nodes
        return {node.region for node in nodes if node.status == "online"} == set(_REGIONS)

    until(moved, "both nodes say where they are")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Of this folder alone: it holds an event loop, which no test of another folder may find running."""
    program = shutil.which("chromium")
    assert program is not None, "`make chromium` installs it"
    with sync_playwright() as playwright:
        # Root's Chromium has no sandbox; what it is shown is ours.
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def address(market: Devnet) -> str:
    """Of the dashboard, without a slash at its end."""
    return f"{market.network.api_url}/dashboard"


@pytest.fixture
def context(browser: Browser, address: str) -> Iterator[BrowserContext]:
    """A browser that has never been here."""
    made = browser.new_context(
        viewport={"width": _WIDTH, "height": _HEIGHT},
        reduced_motion="reduce",
        accept_downloads=True,
        locale="en-GB",
        timezone_id="UTC",
    )
    made.set_default_timeout(_PATIENCE_MS)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab; what goes wrong in it fails the test at its end."""
    opened = context.new_page()
    wrong: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # What the API refuses is shown by the page; the browser notes it as well.
        refused = "the server responded with a status of 4" in message.text
        if message.type == "error" and not refused:
            wrong.append(message.text)

    opened.on("console", hear)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    assert not wrong, wrong


@pytest.fixture
def sign_in(page: Page, market: Devnet, address: str) -> SignIn:
    """``sign_in(path, key=...)``: to a page, by the form; the devnet's client where no key is given."""

    def enter(path: str = "/network", key: str = "") -> None:
        page.goto(address + path)
        page.get_by_label("API key", exact=True).fill(key or market.network.api_key)
        page.get_by_role("button", name="Sign in", exact=True).click()
        # By its id: on a telephone it is there, behind a button.
        expect(page.locator("#navigation")).to_be_attached()

    return enter


@pytest.fixture
def check_axe(page: Page) -> CheckAxe:
    """Nobody is kept out of what is shown now: axe finds nothing serious, in the light and in the dark."""

    def check() -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            # As the debugger does: the page's policy lets no other script in.
            page.evaluate(_AXE.read_text())
            found: list[dict[str, Any]] = page.evaluate(
                "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
            )
            bad = [
                (one["id"], one["help"], [node["html"] for node in one["nodes"]][:3])
                for one in found
                if one["impact"] in ("serious", "critical")
            ]
            assert not bad, (scheme, page.url, json.dumps(bad, indent=1))
        page.emulate_media(color_scheme="light")

    return check


@pytest.fixture
def check_narrow(page: Page) -> Callable[[], None]:
    """On a telephone (360 px) nothing makes the page scroll sideways."""

    def check() -> None:
        page.set_viewport_size({"width": 360, "height": 740})
        wide = page.evaluate(
            "() => [document.documentElement.scrollWidth, [...document.querySelectorAll('main *')]"
            ".filter(e => e.getBoundingClientRect().right > 361 && !e.closest('.table-scroll, pre'))"
            ".slice(0, 5).map(e => e.outerHTML.slice(0, 120))]"
        )
        assert wide[0] <= 360, (page.url, wide)
        page.set_viewport_size({"width": _WIDTH, "height": _HEIGHT})

    return check


@pytest.fixture
def picture(page: Page) -> Picture:
    """``picture("tasks")``: docs/dashboard/tasks.png, where `make pictures` asks for it."""

    def take(name: str) -> None:
        if os.environ.get("NEUROGRID_SCREENSHOTS") == "1":
            PICTURES.mkdir(exist_ok=True)
            page.evaluate("() => { document.activeElement?.blur(); scrollTo(0, 0); }")
            page.screenshot(path=PICTURES / f"{name}.png")

    return take

"""The documentation site is whole, and needs nothing from other hosts."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import neurogrid
from docs_site import code_tables, command_reference, rest_reference, sdk_reference
from docs_site.state_pictures import tables
from neurogrid_coordinator.api.errors import CODES
from neurogrid_coordinator.event_kinds import EVENT_KINDS
from neurogrid_marketplace.faults import CONSEQUENCES
from neurogrid_node.doctor.findings import CODES as DOCTOR_CODES

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: any warning (a link or an anchor that leads nowhere) fails it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        # Material says at each start that MkDocs 2 will break it; the lock holds MkDocs 1.
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "WARNING" not in built.stderr
    return folder


class _Loads(HTMLParser):
    """What a page has the browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        wanted = {"script": "src", "img": "src", "iframe": "src", "link": "href"}.get(tag)
        if wanted and not (tag == "link" and given.get("rel") == "canonical"):
            self.found.append(given.get(wanted) or "")


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 150
    for page in pages:
        loads = _Loads()
        loads.feed(page.read_text())
        abroad = [url for url in loads.found if re.match(r"(https?:)?//", url)]
        assert not abroad, (page, abroad)
    styles = "".join(file.read_text() for file in site.rglob("*.css"))
    assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", styles)


def test_each_page_of_docs_is_on_the_site(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        place = site / page.relative_to(ROOT / "docs").with_suffix(".html")
        assert place.exists(), page


def test_each_public_name_of_the_sdk_is_there(site: Path) -> None:
    text = (site / "reference/python.html").read_text()
    for name in neurogrid.__all__:
        assert re.search(rf'id="neurogrid\.[\w.]*\b{name}"', text) or f">{name}<" in text, name
    for kind in sdk_reference.rooms():
        assert f'id="{kind.__module__}.{kind.__qualname__}"' in text, kind


@pytest.mark.parametrize("command", list(command_reference.COMMANDS))
def test_each_command_is_there(site: Path, command: str) -> None:
    text = (site / f"reference/commands/{command}.html").read_text()
    for path, _, _ in command_reference.tree(command):
        assert path in text, path


def test_each_operation_of_the_api_is_there(site: Path) -> None:
    text = "".join(file.read_text() for file in (site / "reference/rest").glob("*.html"))
    for path, item in rest_reference.document()["paths"].items():
        for method in {"get", "post", "put", "patch", "delete"} & set(item):
            assert f"<code>{method.upper()} {path}</code>" in text, (method, path)


def test_each_code_is_there_with_what_to_do(site: Path) -> None:
    text = (site / "reference/troubleshooting.html").read_text()
    outcomes = [outcome.upper() for outcome in CONSEQUENCES]
    for code in [*CODES, *outcomes, *DOCTOR_CODES]:
        assert f"<code>{code}</code>" in text, code
    assert set(code_tables.ADVICE) == set(CODES)


def test_each_event_is_there(site: Path) -> None:
    text = (site / "reference/events.html").read_text()
    assert [name for name in EVENT_KINDS if f"<code>{name}</code>" not in text] == []


def test_pictures_show_each_step_of_the_code(site: Path) -> None:
    text = (site / "concepts.html").read_text()
    for table in tables().values():
        for state, after in table.items():
            for then in after:
                assert f"<title>{state} to {then}</title>" in text

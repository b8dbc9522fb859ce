"""The documents name files, tests and links that exist."""

import re
from pathlib import Path

import pytest

from acceptance.hostile_jobs import ATTACKS

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/**/README.md")])
DOCUMENTS = [path for path in DOCUMENTS if not {".venv", "node_modules", "build"} & set(path.parts)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
        # Pages that the site makes from the code; its strict build sees to those links.
        if not target.startswith(("http://", "https://", "reference/", "../reference/")):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize(
    ("page", "row_start"),
    [("docs/invariants.md", r"\| \d+ \|"), ("docs/hostile-peers.md", r"\| (?!trap )")],
)
def test_every_row_names_tests_that_exist(page: str, row_start: str) -> None:
    rows = [line for line in (ROOT / page).read_text().splitlines() if re.match(row_start, line)]
    assert len(rows) >= 18
    for row in rows:
        guards = re.findall(r"`([^`]+)`", row.rsplit("|", 2)[1])
        assert guards, row
        path = None
        for guard in guards:
            if guard.startswith("make "):
                continue
            name, _, item = guard.partition("::")
            if name:
                path = ROOT / name if "/" in name else (path.parent / name if path else None)
            assert path is not None, row
            found = list(ROOT.glob(str(path.relative_to(ROOT))))
            assert found, f"{guard} in {row}"
            for part in filter(None, re.split(r"::|\.", item)):
                assert any(part in file.read_text() for file in found if file.is_file()), guard


def test_each_invariant_has_a_number_of_its_own() -> None:
    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs/invariants.md").read_text(), re.MULTILINE)
    assert [int(number) for number in rows] == list(range(1, len(rows) + 1))


def test_the_architecture_page_names_files_that_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    for name in re.findall(r"`([a-z_]+/[a-z_./]+)`", text):
        top, _, rest = name.partition("/")
        rest = rest.removeprefix(".../")
        assert (ROOT / name).exists() or list(ROOT.glob(f"{top}/*/{rest}")), name


def test_the_page_of_hostile_jobs_says_how_each_ends() -> None:
    attacks, _, _ = (ROOT / "docs/hostile-jobs.md").read_text().partition("\n## ")
    rows = re.findall(r"^\| (.+?) \| .+ \| (.+?) \|$", attacks, re.MULTILINE)
    said = {name: ends for name, ends in rows if name != "attack"}
    completes = {False: "completed", True: "completed, none worked"}
    assert said == {
        name: f"`{attack.code}`" if attack.code else completes[attack.tries > 0]
        for name, attack in ATTACKS.items()
    }

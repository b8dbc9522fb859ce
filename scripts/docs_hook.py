"""MkDocs' hook: adds pages made from the code, and has links lead somewhere on the site."""

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
# MkDocs takes its own entry for this folder away again once the hook is loaded.
sys.path.insert(0, str(ROOT / "scripts"))

from docs_site import (  # after the path that they are found by
    code_tables,
    command_reference,
    links,
    rest_reference,
    sdk_reference,
    state_pictures,
)


def generated() -> dict[str, str]:
    """Place on the site -> text of each page that is not in docs/."""
    made = {
        page: links.for_the_site((ROOT / source).read_text(), page, folder="")
        for source, page in links.PAGES.items()
    }
    records = sorted((ROOT / "docs/adr").glob("*.md"))
    made["adr/index.md"] = "# Decisions\n\n" + "".join(
        f"- [{file.read_text().splitlines()[0].lstrip('# ')}]({file.name})\n" for file in records
    )
    made["reference/python.md"] = sdk_reference.page()
    for command in command_reference.COMMANDS:
        made[f"reference/commands/{command}.md"] = command_reference.page(command)
    made |= rest_reference.pages(rest_reference.document())
    made["reference/troubleshooting.md"] = code_tables.errors_page()
    made["reference/events.md"] = code_tables.events_page()
    for daemon in code_tables.SETTINGS:
        made[f"reference/settings/{daemon}.md"] = code_tables.settings_page(daemon)
    return made


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is generated, and give each page that mkdocs.yml does not place its place."""
    made = generated()
    for place, text in made.items():
        files.append(File.generated(config, place, content=text))
    nav: list[Any] = config.nav or []
    named = set(re.findall(r"[\w./-]+\.md", str(nav)))
    known = {file.src_uri for file in files.documentation_pages()}
    rest = sorted(known - named)

    def below(start: str) -> list[str]:
        found = [page for page in rest if page.startswith(start)]
        return sorted(found, key=lambda page: (not page.endswith("index.md"), page))

    for section in nav:
        if "Reference" in section:
            section["Reference"] = [
                {"Python SDK": "reference/python.md"},
                {"Commands": below("reference/commands/")},
                {"REST API": below("reference/rest/")},
                {"Settings": below("reference/settings/")},
                "reference/events.md",
                "reference/troubleshooting.md",
                *section["Reference"],
            ]
    nav.append({"Project": ["changelog.md", "contributing.md", {"Decisions": below("adr/")}]})
    placed = ("reference/", "adr/", "changelog.md", "contributing.md")
    if more := [page for page in rest if not page.startswith(placed)]:
        nav.append({"More": more})
    config.nav = nav
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Links out of docs/, and pictures of states where a page asks for them."""
    place = page.file.src_uri
    if page.file.generated_by is None:
        markdown = links.for_the_site(markdown, place)
    for name, table in state_pictures.tables().items():
        mark = f"<!-- states: {name} -->"
        if mark in markdown:
            markdown = markdown.replace(mark, state_pictures.picture(name, table))
    return markdown

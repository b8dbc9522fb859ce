"""Examples of answers in OpenAPI: what a coordinator has answered, one for each operation (answers.json).

`make examples` asks the application again for those that are missing or do not fit any more.
"""

import json
from importlib import resources
from typing import Any

_ANSWERS = "answers.json"
_JSON = "application/json"


def show(document: dict[str, Any]) -> None:
    """Give the answers of the document's operations their examples."""
    known = recorded()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            example = known.get(f"{method.upper()} {path}")
            if example is None:
                continue
            for status, answer in operation["responses"].items():
                content = answer.get("content", {})
                # What repeats an answer, with 200 in place of 201, looks like it.
                if status.startswith("2") and _JSON in content:
                    content[_JSON].setdefault("example", example)


def recorded() -> dict[str, Any]:
    """Method and path -> what was answered."""
    text = resources.files(__package__).joinpath(_ANSWERS).read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found

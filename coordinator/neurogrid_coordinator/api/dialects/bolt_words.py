"""What all of document 000's routes share."""

from typing import Literal

NAME = "Bolt"
# Native status -> the document's, which has no word for what waits.
STATUS: dict[str, Literal["pending", "running", "complete", "error"]] = {
    "pending": "pending",
    "running": "running",
    "completed": "complete",
    "failed": "error",
    "cancelled": "error",
}

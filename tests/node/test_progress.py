import pytest

from neurogrid_node.lease.progress import NOTE_CHARS_MAX, Progress, latest

NONE = Progress()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NEUROGRID_PROGRESS 0.42 epoch 3\n", Progress(420, "epoch 3")),
        ("NEUROGRID_PROGRESS 0\n", Progress(0, "")),
        ("NEUROGRID_PROGRESS 1\n", Progress(1000, "")),
        ("NEUROGRID_PROGRESS 1.0 done\r\n", Progress(1000, "done")),
        # By its digits, not as a float: 0.569 * 1000 is 568.99...
        ("NEUROGRID_PROGRESS 0.569", Progress(569, "")),
        # Not done until it says so.
        ("NEUROGRID_PROGRESS 0.999999", Progress(999, "")),
        ("before\nNEUROGRID_PROGRESS 0.5 b\nafter\n", Progress(500, "b")),
        ("NEUROGRID_PROGRESS 0.1 a\nNEUROGRID_PROGRESS 0.2 b\n", Progress(200, "b")),
        ("NEUROGRID_PROGRESS 0.5 " + "x" * 999, Progress(500, "x" * NOTE_CHARS_MAX)),
    ],
)
def test_progress_lines(text: str, expected: Progress) -> None:
    assert latest(text, NONE) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NEUROGRID_PROGRESS",
        "NEUROGRID_PROGRESS 1.5",
        "NEUROGRID_PROGRESS -0.5",
        "NEUROGRID_PROGRESS 50%",
        "NEUROGRID_PROGRESS .5",
        "NEUROGRID_PROGRESS 0.5words",
        "NEUROGRID_PROGRESS 0.1234567",
        "NEUROGRID_PROGRESS \N{ARABIC-INDIC DIGIT ONE}",
        "my NEUROGRID_PROGRESS 0.5",
    ],
)
def test_anything_else_changes_nothing(text: str) -> None:
    before = Progress(7, "before")
    assert latest(text, before) is before

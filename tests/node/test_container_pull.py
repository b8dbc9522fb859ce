"""Adding up a pull's messages."""

from typing import Any

import pytest

from neurogrid_node.container.errors import (
    EngineError,
    ImageNotFound,
    NoDiskForImage,
    PullFailed,
)
from neurogrid_node.container.pull import PullMeter, PullProgress, pull_error


def layer(status: str, name: str, current: int = 0, total: int = 0) -> dict[str, Any]:
    return {"status": status, "id": name, "progressDetail": {"current": current, "total": total}}


def test_layers_add_up_through_their_phases() -> None:
    meter = PullMeter(max_bytes=None)
    assert meter.feed({"status": "Pulling from x", "id": "latest"}) == PullProgress(0, 0)
    assert meter.feed(layer("Downloading", "a", 30, 100)) == PullProgress(30, 100)
    assert meter.feed(layer("Downloading", "b", 5, 50)) == PullProgress(35, 150)
    assert meter.feed({"status": "Download complete", "id": "a"}) == PullProgress(105, 150)
    assert meter.feed(layer("Extracting", "b", 1, 50)) == PullProgress(150, 150)
    assert meter.feed({"status": "Already exists", "id": "c"}) == PullProgress(150, 150)


def test_people_read_megabytes() -> None:
    assert str(PullProgress(1_500_000, 20_000_000)) == "1.5 of 20.0 MB"
    assert str(PullProgress(0, 0)) == "asking its registry"


def test_an_engine_that_counts_too_far_is_not_believed() -> None:
    meter = PullMeter(max_bytes=None)
    assert meter.feed(layer("Downloading", "a", 900, 100)) == PullProgress(100, 100)


def test_an_image_is_refused_as_soon_as_its_size_shows() -> None:
    meter = PullMeter(max_bytes=120)
    meter.feed(layer("Downloading", "a", 1, 100))
    with pytest.raises(NoDiskForImage, match="150"):
        meter.feed(layer("Downloading", "b", 1, 50))


def test_no_number_of_layers_fills_the_memory() -> None:
    meter = PullMeter(max_bytes=None)
    for number in range(3000):
        progress = meter.feed(layer("Downloading", str(number), 1, 1))
    assert progress.total_bytes == 1024


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("manifest for x:1 not found: manifest unknown", ImageNotFound),
        ("pull access denied for x, repository does not exist", ImageNotFound),
        ("Head x: no basic auth credentials", ImageNotFound),
        ("toomanyrequests: You have reached your unauthenticated pull rate limit", PullFailed),
        ("write /var/lib/docker/tmp/x: no space left on device", NoDiskForImage),
        ("dial tcp: lookup registry: no such host", PullFailed),
        ("received unexpected HTTP status: 500", PullFailed),
    ],
)
def test_whose_fault_it_is(words: str, kind: type[EngineError]) -> None:
    error = pull_error(words)
    assert type(error) is kind
    assert words in str(error)
    with pytest.raises(kind):
        PullMeter(max_bytes=None).feed({"error": words})

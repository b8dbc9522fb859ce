"""How long this machine's starts have taken, and what that says of the next one. Pure.

A start is the image and the inputs, got at once, and then the container. Each part has its own
measurements: a pull says nothing about the next job whose image is here. What is predicted are
quantiles over the last measurements of each part: the median goes into a bid as ``start_ms``, the
95th percentile as ``start_p95_ms``. A coordinator holds the median against its own clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

# Of each part: enough for a 95th percentile, few enough to follow a machine that changes.
KEPT = 64
# Before anything was measured. Pulling is unknown until it happens: 4-10 minutes for 10 GB are
# usual (peers.md 3a). Inputs come over the same kind of line as images: 20 MB/s.
DEFAULT_READY_MS = 400
DEFAULT_PULL_MS = 120_000
DEFAULT_INPUT_BYTES_PER_MS = 20_000
# Nobody waits for longer, and a bid has to hold the number.
_LONGEST_MS = 24 * 3_600_000
# Of something that was never measured, it may well take this many times as long.
_UNMEASURED_SPREAD = 3


@dataclass(frozen=True, slots=True)
class StartTook:
    """How long one start took.

    Attributes:
        total_ms: from the start message to a running container.
        image: its reference; pull_ms: of getting it, 0 where it was here.
        pulled_bytes: compressed, as far as the engine told; 0 where it was here.
        inputs_ms: of fetching the inputs; input_bytes: their size, 0 where there were none.
    """

    total_ms: int
    image: str
    pull_ms: int = 0
    pulled_bytes: int = 0
    inputs_ms: int = 0
    input_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Pull:
    """An image that was pulled."""

    image: str
    size_bytes: int
    took_ms: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Inputs that were fetched for one job."""

    size_bytes: int
    took_ms: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """When a job would run: in half of all cases no later than the first, in 19 of 20 the other."""

    start_ms: int
    start_p95_ms: int


@dataclass(frozen=True, slots=True)
class StartHistory:
    """The last measurements, oldest first; at most `KEPT` of each part.

    Attributes:
        ready_ms: what a start took beyond image and inputs.
    """

    ready_ms: tuple[int, ...] = ()
    pulls: tuple[Pull, ...] = ()
    transfers: tuple[Transfer, ...] = ()

    def with_start(self, took: StartTook) -> "StartHistory":
        """The history after one more start."""
        ready_ms = max(0, took.total_ms - max(took.pull_ms, took.inputs_ms))
        changed = replace(self, ready_ms=(*self.ready_ms, ready_ms)[-KEPT:])
        if took.pull_ms:
            pull = Pull(took.image, took.pulled_bytes, took.pull_ms)
            changed = replace(changed, pulls=(*self.pulls, pull)[-KEPT:])
        if took.input_bytes:
            transfer = Transfer(took.input_bytes, max(1, took.inputs_ms))
            changed = replace(changed, transfers=(*self.transfers, transfer)[-KEPT:])
        return changed

    def predict(self, image: str, *, has_image: bool, input_bytes: int) -> Prediction:
        """How soon a job with this image and so much input would run."""
        ready = _spread(self.ready_ms, DEFAULT_READY_MS)
        pull = (0, 0) if has_image else self._pull_ms(image)
        inputs = self._inputs_ms(input_bytes) if input_bytes else (0, 0)
        usual, slow = (ready[rank] + max(pull[rank], inputs[rank]) for rank in (0, 1))
        return Prediction(min(usual, _LONGEST_MS), min(slow, _LONGEST_MS))

    def _pull_ms(self, image: str) -> tuple[int, int]:
        """Of an image that was here before, its size at the measured rates; else like the others."""
        size_bytes = next((p.size_bytes for p in reversed(self.pulls) if p.image == image), 0)
        if not size_bytes:
            return _spread([pull.took_ms for pull in self.pulls], DEFAULT_PULL_MS)
        # The time for these bytes at each pull's rate.
        rated = [p.took_ms * size_bytes // p.size_bytes for p in self.pulls if p.size_bytes]
        return _spread(rated, DEFAULT_PULL_MS)

    def _inputs_ms(self, input_bytes: int) -> tuple[int, int]:
        rated = [item.took_ms * input_bytes // item.size_bytes for item in self.transfers]
        return _spread(rated, -(-input_bytes // DEFAULT_INPUT_BYTES_PER_MS))


NOTHING_MEASURED = StartHistory()


def _spread(values: Sequence[int], default: int) -> tuple[int, int]:
    """Median and 95th percentile of measurements, or what is assumed without any."""
    if not values:
        return default, default * _UNMEASURED_SPREAD
    ordered = sorted(values)
    # Nearest rank, so that both are times that were measured.
    return ordered[(len(ordered) - 1) // 2], ordered[-(-len(ordered) * 19 // 20) - 1]

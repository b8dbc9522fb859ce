"""Samples as the text that Prometheus reads. Imported when metrics are asked for: it takes some megabytes."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from .metrics import BUCKETS_S, Durations, Kind, Metric, Sample


class Exposition(Collector):
    """A registry of our own: no library's metrics get in unasked.

    Args:
        catalogue: every metric that there is; those without a number are named all the same.
        process: whether it tells of the daemon itself, too: memory, processor time, open files, its start.
    """

    def __init__(self, catalogue: Sequence[Metric], *, process: bool = True) -> None:
        self._catalogue = catalogue
        self._samples: tuple[Sample, ...] = ()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        if process:
            ProcessCollector(registry=self._registry)

    def render(self, samples: Iterable[Sample], accept: str) -> tuple[bytes, str]:
        """The text and its content type, in a form that whoever asks accepts."""
        self._samples = tuple(samples)
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Family]:
        """What the registry asks for."""
        for metric in self._catalogue:
            yield _family(metric, [each for each in self._samples if each.metric is metric])


def _family(metric: Metric, found: list[Sample]) -> Family:
    match metric.kind:
        case Kind.GAUGE:
            gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for each in found:
                gauge.add_metric(each.labels, _number(each))
            return gauge
        case Kind.COUNTER:
            counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
            for each in found:
                counter.add_metric(each.labels, _number(each))
            return counter
        case Kind.HISTOGRAM:
            histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for each in found:
                assert isinstance(each.value, Durations), "the catalogue says so"
                histogram.add_metric(each.labels, _buckets(each.value), each.value.sum_s)
            return histogram


def _number(sample: Sample) -> float:
    assert not isinstance(sample.value, Durations), "the catalogue says so"
    return float(sample.value)


def _buckets(took: Durations) -> list[tuple[str, float]]:
    """Cumulative, as Prometheus has them."""
    total = 0
    found = []
    for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), took.counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found

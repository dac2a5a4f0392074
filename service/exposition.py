"""The text of a metrics page, at the cost of its values: what does not change of a line is made once.

With a thousand adapters a page has 80,000 lines. prometheus-client makes a sample and a line of each anew, which takes a second
of processor time that requests have to share.
"""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]


class Page:
    """For metrics that belong to no registry. Rendered by generate_latest once for each new series, which the format is taken from."""

    def __init__(self) -> None:
        self._families: list[MetricWrapperBase] = []
        self._heads: dict[tuple[str, Labels], list[str]] = {}

    def add(self, family: MetricWrapperBase) -> None:
        """From now on this metric is on the page."""
        self._families.append(family)

    def text(self) -> bytes:
        """As generate_latest of a registry with these metrics."""
        heads: dict[tuple[str, Labels], list[str]] = {}
        parts: list[str] = []
        for family in self._families:
            parts += _title(family)
            for labels, series in _series(family):
                key = (family._name, labels)
                values = [sample.value for sample in series._child_samples()]
                heads[key] = found = self._heads.get(key) or _heads(family, labels, series)
                parts += [f"{head} {_text(value)}\n" for head, value in zip(found, values, strict=True)]
        self._heads = heads  # without those of series that are gone
        return "".join(parts).encode()


def _series(family: MetricWrapperBase) -> Iterable[tuple[Labels, MetricWrapperBase]]:
    if not family._labelnames:
        return [((), family)]
    with family._lock:
        return [(tuple(labels), series) for labels, series in family._metrics.items()]


def _title(family: MetricWrapperBase) -> list[str]:
    """HELP and TYPE."""
    return _lines(family, [])


def _heads(family: MetricWrapperBase, labels: Labels, series: MetricWrapperBase) -> list[str]:
    """The lines of one series, each without its value."""
    names = dict(zip(family._labelnames, labels, strict=True))
    samples = [(family._name + s.name, names | s.labels) for s in series._child_samples()]
    return [line.rsplit(" ", 1)[0] for line in _lines(family, samples)[2:]]


def _lines(family: MetricWrapperBase, samples: Sequence[tuple[str, dict[str, str]]]) -> list[str]:
    """What generate_latest makes of these samples."""
    metric = family._get_metric()  # type: ignore[no-untyped-call]
    for name, labels in samples:
        metric.add_sample(name, labels, 0.0)
    registry = CollectorRegistry()
    registry.register(_Once(metric))
    return generate_latest(registry).decode().splitlines(keepends=True)


class _Once(Collector):
    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> list[Metric]:
        return [self._metric]


def _text(value: float) -> str:
    return "0.0" if value == 0 else str(floatToGoString(value))  # type: ignore[no-untyped-call]

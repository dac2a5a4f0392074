"""Latency, tokens and adapters as Prometheus sees them; vLLM's own metrics stand beside these on the same page.

Only known adapters are label values (the base goes by its own id), and known ones are always there,
at zero if nothing happened: a name that vanishes from a dashboard looks like a fault.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.errors import REASONS
from service.exposition import Page
from service.inference import INFERENCE

# A second series for each, saying when it began, is of no use here.
disable_created_metrics()  # type: ignore[no-untyped-call]
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_KINDS = ("prompt", "completion")


@dataclass(frozen=True)
class Snapshot:
    """What is true at the moment of a scrape. Bytes, by part and by adapter."""

    engine_up: bool
    memory: dict[str, int]
    memory_limit: int
    adapter_bytes: dict[str, int]
    resident: frozenset[str]


class Metrics:
    """The service's own metrics; it is also what the engine tells of its requests (service.engine.measured.Observer)."""

    def __init__(self, base_id: str) -> None:
        self._base_id = base_id
        self.registry, self._page = CollectorRegistry(), Page()
        self._known: set[str] = set()

        def histogram(name: str, text: str, labels: Iterable[str], buckets: tuple[float, ...]) -> Histogram:
            made = Histogram(f"patchbay_{name}", text, tuple(labels), buckets=buckets, registry=None)
            self._page.add(made)
            return made

        def counter(name: str, text: str, labels: Iterable[str] = ()) -> Counter:
            made = Counter(f"patchbay_{name}", text, tuple(labels), registry=None)
            self._page.add(made)
            return made

        self.duration = histogram(
            "request_duration_seconds", "From request to last byte.", ("adapter", "route", "status"), _SECONDS
        )
        self.first = histogram("time_to_first_token_seconds", "From arrival to the first token.", ("adapter",), _SECONDS)
        self.between = histogram("inter_token_seconds", "Between one token and the next.", ("adapter",), _SHORT)
        self.queue = histogram("queue_seconds", "Waiting for the engine to begin.", ("adapter",), _SHORT)
        self.tokens = counter("tokens_total", "Tokens read and written.", ("adapter", "kind"))
        self.loads = counter("adapter_loads_total", "Loads of an adapter's weights into the engine.", ("adapter",))
        self.load_seconds = histogram("adapter_load_seconds", "Loading a stored adapter.", (), _SHORT)
        self.evictions = counter("adapter_evictions_total", "Idle adapters put out to make room for another.")
        self.switches = counter("adapter_switches_total", "Changes of an adapter's live version.", ("adapter",))
        self.refused = counter("uploads_refused_total", "Uploads refused, by their first problem.", ("reason",))
        self.restarts = counter("engine_restarts_total", "Times the engine was built again after it died.")
        self.evaluations = Gauge("patchbay_evaluations_running", "Evaluations under way.", registry=self.registry)
        self.score = Gauge(
            "patchbay_evaluation_score", "Newest score of an adapter's evaluation.", ("adapter", "metric"), registry=self.registry
        )
        for reason in REASONS:
            self.refused.labels(reason)
        self.know(base_id)

    def know(self, label: str) -> None:
        """From now on this adapter is always there."""
        self._known.add(label)
        for family in (self.first, self.between, self.queue, self.loads, self.switches):
            family.labels(label)
        for kind in _KINDS:
            self.tokens.labels(label, kind)
        for route in INFERENCE:
            self.duration.labels(label, route, "200")

    def forget(self, label: str) -> None:
        """Takes a deleted adapter's series away."""
        self._known.discard(label)
        for family in (self.first, self.between, self.queue, self.loads, self.switches, self.tokens, self.duration, self.score):
            family.remove_by_labels({"adapter": label})

    def _label(self, engine_name: str | None) -> str | None:
        label = self._base_id if engine_name is None else engine_name.partition("@")[0]
        return label if label in self._known else None

    def request(self, label: str, route: str, status: int, seconds: float) -> None:
        """One answered request."""
        if label in self._known:
            self.duration.labels(label, route, str(status)).observe(seconds)

    def first_token(self, name: str | None, since_arrival: float, queued: float) -> None:
        """See Observer."""
        if label := self._label(name):
            self.first.labels(label).observe(since_arrival)
            self.queue.labels(label).observe(queued)

    def next_tokens(self, name: str | None, seconds_per_token: float, count: int) -> None:
        """See Observer."""
        if label := self._label(name):
            series = self.between.labels(label)
            for _ in range(count):
                series.observe(seconds_per_token)

    def finished(self, name: str | None, prompt_tokens: int, completion_tokens: int) -> None:
        """See Observer."""
        if label := self._label(name):
            self.tokens.labels(label, "prompt").inc(prompt_tokens)
            self.tokens.labels(label, "completion").inc(completion_tokens)

    def watch(self, look: Callable[[], Snapshot]) -> None:
        """What is asked for at each scrape."""
        self.registry.register(_State(look))

    def page(self) -> bytes:
        """The text of /metrics: ours, then vLLM's and Python's own."""
        return self._page.text() + generate_latest(self.registry) + generate_latest(REGISTRY)


class _State(Collector):
    def __init__(self, look: Callable[[], Snapshot]) -> None:
        self._look = look

    def describe(self) -> Iterator[Metric]:
        """No names in advance: registering must not ask the engine."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The gauges of one moment."""
        now = self._look()
        up = GaugeMetricFamily("patchbay_engine_up", "1 while the engine answers.")
        up.add_metric((), float(now.engine_up))
        memory = GaugeMetricFamily("patchbay_memory_bytes", "Resident memory by part; the parts add up.", labels=("part",))
        most = GaugeMetricFamily("patchbay_memory_limit_bytes", "Memory that the processes may have on this machine.")
        most.add_metric((), now.memory_limit)
        for part, size in now.memory.items():
            memory.add_metric((part,), size)
        held = GaugeMetricFamily(
            "patchbay_adapter_bytes", "An adapter's weights, all versions that are resident.", labels=("adapter",)
        )
        resident = GaugeMetricFamily(
            "patchbay_adapter_resident", "1 while the live version is in the engine.", labels=("adapter",)
        )
        for name, size in now.adapter_bytes.items():
            held.add_metric((name,), size)
            resident.add_metric((name,), float(name in now.resident))
        return iter((up, memory, most, held, resident))

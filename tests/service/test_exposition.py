"""A metrics page is what prometheus-client makes of the same metrics, whatever comes and goes."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from service.exposition import Page


def test_the_page_is_that_of_prometheus_client() -> None:
    page, registry = Page(), CollectorRegistry()
    requests = Counter("requests_total", "With a \\ and\na line.", ("adapter", "kind"), registry=None)
    seconds = Histogram("seconds", "Time.", ("adapter",), buckets=(0.1, 1), registry=None)
    plain = Gauge("running", "No labels.", registry=None)
    for family in (requests, seconds, plain):
        page.add(family)
        registry.register(family)
    assert page.text() == generate_latest(registry)
    requests.labels('a"b', "prompt").inc(123456789)
    seconds.labels("ü").observe(0.25)
    plain.set(-1.5)
    assert page.text() == generate_latest(registry)
    seconds.labels("ü").observe(7e9)
    requests.labels("c", "prompt")
    assert page.text() == generate_latest(registry)
    requests.remove_by_labels({"adapter": "c"})
    assert page.text() == generate_latest(registry)
    assert ("requests", ("c", "prompt")) not in page._heads

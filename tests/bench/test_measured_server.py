"""The service whose measuring can be put off: off counts nothing, on counts as always."""

from types import SimpleNamespace

from bench.measured_server import Switch
from service.metrics import Metrics


def test_off_is_off_and_on_is_on_again() -> None:
    switch, metrics = Switch(), Metrics("base")
    switch.engine, switch.observer = SimpleNamespace(_llm=SimpleNamespace(observer="whom it tells")), "whom it tells"

    def counted() -> float:
        metrics.request("base", "/v1/completions", 200, 0.1)
        (family,) = metrics.duration.collect()
        return sum(sample.value for sample in family.samples if sample.name.endswith("_count"))

    try:
        assert counted() == 1
        switch.off()
        assert (counted(), switch.engine._llm.observer) == (1, None)
    finally:
        switch.on()
    assert (counted(), switch.engine._llm.observer) == (2, "whom it tells")

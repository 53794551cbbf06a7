from __future__ import annotations

import pytest

from kybern.lib.metrics import Registry, watch_process


def test_exposition():
    registry = Registry()
    requests = registry.counter("requests_total", 'Requests\nby "verb".', ("verb", "code"))
    get = requests.labels("GET", 200)
    get.inc()
    get.inc(2.5)
    requests.labels('a"b\\c\nd', 500).inc()
    level = registry.gauge("level", "Level.")
    level.set(7)
    level.dec()
    registry.gauge("asked").labels().ask(lambda: 1e20)
    registry.counter("unused_total", "Nothing yet.", ("x",))
    took = registry.histogram("took_seconds", "Time.", ("verb",), buckets=(1, 0.1))
    for value in (0.05, 0.1, 0.5, 9):
        took.labels("GET").observe(value)
    registry.histogram("plain", "", buckets=(1,)).observe(2)
    assert registry.expose().decode() == (
        '# HELP requests_total Requests\\nby "verb".\n'
        "# TYPE requests_total counter\n"
        'requests_total{verb="GET",code="200"} 3.5\n'
        'requests_total{verb="a\\"b\\\\c\\nd",code="500"} 1\n'
        "# HELP level Level.\n# TYPE level gauge\nlevel 6\n"
        "# HELP asked \n# TYPE asked gauge\nasked 1e+20\n"
        "# HELP took_seconds Time.\n# TYPE took_seconds histogram\n"
        'took_seconds_bucket{verb="GET",le="0.1"} 2\n'
        'took_seconds_bucket{verb="GET",le="1"} 3\n'
        'took_seconds_bucket{verb="GET",le="+Inf"} 4\n'
        'took_seconds_sum{verb="GET"} 9.65\n'
        'took_seconds_count{verb="GET"} 4\n'
        "# HELP plain \n# TYPE plain histogram\n"
        'plain_bucket{le="1"} 0\nplain_bucket{le="+Inf"} 1\nplain_sum 2\nplain_count 1\n'
    )


def test_the_same_name_is_the_same_metric():
    registry = Registry()
    first = registry.counter("a", "", ("x",))
    assert registry.counter("a", "", ("x",)) is first
    with pytest.raises(ValueError, match="something else"):
        registry.gauge("a", "", ("x",))
    with pytest.raises(ValueError, match="something else"):
        registry.counter("a", "", ("y",))


def test_wrong_labels_and_names():
    registry = Registry()
    with pytest.raises(ValueError, match="labels"):
        registry.counter("a", "", ("x",)).labels("1", "2")
    with pytest.raises(ValueError, match="labels"):
        registry.counter("b", "", ("x",)).inc()
    with pytest.raises(ValueError, match="not the name"):
        registry.counter("a b")


def test_forgetting():
    registry = Registry()
    pods = registry.gauge("pods", "", ("node",))
    pods.labels("a").set(1)
    pods.labels("b").set(2)
    pods.remove("a")
    pods.remove("never")
    assert b'node="b"' in registry.expose()
    assert b'node="a"' not in registry.expose()
    pods.clear()
    assert registry.expose() == b""


def test_process():
    registry = Registry()
    watch_process(registry)
    page = registry.expose().decode()
    values = dict(line.split() for line in page.splitlines() if line[0] != "#")
    assert float(values["process_resident_memory_bytes"]) > 1e6
    assert float(values["process_open_fds"]) >= 3
    assert "# TYPE process_cpu_seconds_total counter" in page

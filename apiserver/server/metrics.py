"""What the server counts about itself, under upstream's metric names.

prometheus-client children are looked up once a label set and kept, because ``labels()`` builds a key on every call.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from apiserver.server.context import RequestContext

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "apiserver_request", "Requests by verb, group, version, resource, scope and code.",
    ["verb", "group", "version", "resource", "subresource", "scope", "code"], registry=REGISTRY,
)  # fmt: skip
DURATION = Histogram(
    "apiserver_request_duration_seconds", "Latency of requests that are not streams.",
    ["verb", "group", "resource"], registry=REGISTRY,
    buckets=(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
)  # fmt: skip
WATCHERS = Gauge("apiserver_longrunning_requests", "Open watches and streams.", ["verb", "resource"], registry=REGISTRY)

_counters: dict[tuple[str, ...], object] = {}
_histograms: dict[tuple[str, ...], object] = {}
_MAX_CHILDREN = 20_000


def observe(context: RequestContext, code: int, seconds: float) -> None:
    info = context.info
    if not info.is_resource:
        return
    scope = "resource" if info.name else "namespace" if info.namespace else "cluster"
    known = code != 404 or bool(info.name)  # unknown resources must not become label values
    resource = info.resource if known else ""
    key = (info.verb.upper(), info.group, info.version, resource, info.subresource if known else "", scope, str(code))
    counter = _counters.get(key)
    if counter is None:
        if len(_counters) > _MAX_CHILDREN:
            return
        counter = _counters[key] = REQUESTS.labels(*key)
    counter.inc()  # type: ignore[attr-defined]
    if info.verb != "watch":
        short = (key[0], info.group, resource)
        histogram = _histograms.get(short)
        if histogram is None:
            histogram = _histograms[short] = DURATION.labels(*short)
        histogram.observe(seconds)  # type: ignore[attr-defined]

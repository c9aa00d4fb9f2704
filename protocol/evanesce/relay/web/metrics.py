"""What a relay counts of itself: sums over all mailboxes, on a published list (spec 22.9).

No label holds anything that a client has chosen: paths, reasons and frames come from closed lists.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["METRICS", "Metrics"]

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# name, labels, what it is: the published list. Names of counters end in _total when shown.
METRICS: Final[dict[str, tuple[str, tuple[str, ...], str]]] = {
    "evanesce_requests": ("counter", ("path", "status"), "Requests answered"),
    "evanesce_request_seconds": ("histogram", ("path",), "Time from request to answer"),
    "evanesce_requests_in_flight": ("gauge", (), "Requests that are being answered"),
    "evanesce_body_bytes": ("gauge", (), "Bytes of bodies in memory"),
    "evanesce_items": ("counter", ("request", "outcome"), "Items of put and recall"),
    "evanesce_sessions": ("gauge", (), "Open WebSockets"),
    "evanesce_sessions_ended": ("counter", ("code",), "WebSockets that ended, by close code"),
    "evanesce_frames": ("counter", ("frame", "outcome"), "Frames answered"),
    "evanesce_deliveries": ("counter", (), "Envelopes pushed"),
    "evanesce_delivered_bytes": ("counter", (), "Bytes of envelopes pushed"),
    "evanesce_notices": ("counter", (), "Notices of disclosure pushed"),
    "evanesce_undrained_bytes": ("gauge", (), "Bytes written to readers who have not taken them"),
    "evanesce_rate_entries": ("gauge", (), "Clients whose rate is known"),
    "evanesce_store_rows": ("gauge", (), "Rows in the store, blanks included"),
    "evanesce_store_bytes": ("gauge", (), "Bytes of sealed data in the store"),
    "evanesce_store_limit_bytes": ("gauge", (), "Bytes that the store may take"),
    "evanesce_ticks": ("counter", ("outcome",), "Rounds of forgetting"),
    "evanesce_clock_jump_seconds": ("gauge", (), "Seconds that the time of day has jumped by"),
    "evanesce_ready": ("gauge", (), "1 when it takes requests and keys are destroyed in time"),
}


class Metrics:
    """One counter, gauge or histogram for each name of the list, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for name, (kind, labels, said) in METRICS.items():
            if kind == "counter":
                self._counters[name] = Counter(name, said, labels, registry=self.registry)
            elif kind == "gauge":
                self._gauges[name] = Gauge(name, said, labels, registry=self.registry)
            else:
                self._histograms[name] = Histogram(
                    name, said, labels, registry=self.registry, buckets=_SECONDS
                )

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Count up."""
        counter = self._counters[name]
        (counter.labels(*labels) if labels else counter).inc(by)

    def set(self, name: str, value: float) -> None:
        """Set a gauge."""
        self._gauges[name].set(value)

    def add(self, name: str, value: float) -> None:
        """Move a gauge."""
        self._gauges[name].inc(value)

    def observe(self, name: str, label: str, value: float) -> None:
        """Note a duration in seconds."""
        self._histograms[name].labels(label).observe(value)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them; not when each was made (`_created`)."""
        lines = generate_latest(self.registry).splitlines(keepends=True)
        return b"".join(line for line in lines if b"_created" not in line)

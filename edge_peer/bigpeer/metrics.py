"""
GET /metrics: the Big Peer in numbers, as Prometheus reads them.

The library counts what happens (requests); what is (documents, links) is asked when
somebody looks. Labels are of bounded number: paths as they are in the API, media, and
the COLLECTION_COUNT_MAX first collections by name.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from edge_peer.bigpeer.keys import Key
from edge_peer.bigpeer.refusal import Refusal

if TYPE_CHECKING:
    from edge_peer.bigpeer.tenant import Tenant

COLLECTION_COUNT_MAX = 100
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)


class Metrics:
    def __init__(self, big: "Tenant") -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "edge_peer_http_requests", "Requests of the API that were answered.",
            ["path", "status"], registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "edge_peer_http_request_seconds", "How long their answers took.",
            ["path"], registry=self.registry, buckets=_SECONDS,
        )  # fmt: skip
        self.registry.register(_Now(big))
        ProcessCollector(registry=self.registry)

    def add_sessions(self, count: Callable[[], int]) -> None:
        gauge = Gauge("edge_peer_sessions", "Browsers signed in.", registry=self.registry)
        gauge.set_function(count)

    def count(self, path: str, status: int, seconds: float) -> None:
        """path: as the API has it, with the names of its variables."""
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)


async def show(big: "Tenant", request: Request, key: Key) -> Response:
    """Raises Refusal for a key that does not read everything: collections are named."""
    if not key.permissions.reads_everything():
        raise Refusal(403, "forbidden", "this is for a key that reads everything")
    return Response(generate_latest(big.metrics.registry), media_type=CONTENT_TYPE_LATEST)


class _Now(Collector):
    """What is, at the moment of looking."""

    def __init__(self, big: "Tenant") -> None:
        self._big = big

    def collect(self) -> Iterable[Metric]:
        big = self._big
        status = big.store.status()
        for name, text in (
            ("documents", "Documents in the store, deleted ones with them."),
            ("documents_max", "How many it takes."),
            ("used_bytes", "Bytes of documents."),
            ("quota_bytes", "How many it takes."),
            ("attachment_bytes", "Bytes of attachments."),
            ("attachment_bytes_max", "How many it takes."),
        ):
            yield _gauge(name, text, status[name])
        yield _gauge("transaction_id", "The number of the newest change.", big.transaction_id())
        yield _gauge("live_queries", "Streams of live queries that are open.", len(big.streams))
        links = Tally(link["medium"] for link in big.links.status())
        yield _by_label("links", "Open links to peers.", "medium", links)
        behind = {one.id: big.transaction_id() - one.cursor for one in big.webhooks.all()}
        text = "Transactions that each has not been told yet."
        yield _by_label("webhook_behind", text, "webhook", behind)
        names = big.store.log.collections()[:COLLECTION_COUNT_MAX]
        totals = {name: big.store.log.totals(name) for name in names}
        counts = {name: count for name, (count, _) in totals.items()}
        yield _by_label("collection_documents", "Documents of each.", "collection", counts)
        sizes = {name: size for name, (_, size) in totals.items()}
        yield _by_label("collection_bytes", "Bytes of each.", "collection", sizes)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"edge_peer_{name}", text, value=value)


def _by_label(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(f"edge_peer_{name}", text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family

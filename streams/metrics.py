"""Show the figures of a running process in Prometheus' text format; no label carries a personal value."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from streams.taking import Figures


def exposition(figures: Figures, counts: Mapping[str, int], waiting: int) -> bytes:
    """Give the figures as text."""
    registry = CollectorRegistry()
    for name, text, value in (
        ("lineage_events", "Events taken", figures.events),
        ("lineage_dead_letters", "Events that went to the dead letters", figures.dead_letters),
        ("lineage_batches", "Batches written", figures.batches),
        ("lineage_rows", "Rows written", figures.rows),
        ("lineage_edges", "Logical edges that the events touched", figures.edges),
        ("lineage_retries", "Batches that had to be tried again", figures.retries),
        ("lineage_failures", "Internal errors that were worked around", figures.failures),
    ):
        Counter(name, text, registry=registry).inc(value)
    Gauge("lineage_journal_waiting", "Events that wait for their facts", registry=registry).set(waiting)
    rows = Gauge("lineage_graph_rows", "Rows in the graph's file", ["kind"], registry=registry)
    for kind, count in counts.items():
        rows.labels(kind).set(count)
    slow = Gauge("lineage_batch_seconds", "Time of the last batches", ["quantile"], registry=registry)
    times = sorted(figures.batch_seconds)
    for quantile in (0.5, 0.99):
        slow.labels(str(quantile)).set(times[min(len(times) - 1, int(quantile * len(times)))] if times else 0)
    return generate_latest(registry)

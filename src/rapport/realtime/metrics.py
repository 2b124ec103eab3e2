"""What real time counts of itself, for /metrics."""

from prometheus_client import Counter, Gauge, Histogram

ACCEPTED = Counter("rapport_events_accepted_total", "Events stored", ["origin"])
DUPLICATES = Counter("rapport_events_duplicate_total", "Duplicate events, recognised by ID", ["origin"])
REJECTED = Counter("rapport_events_rejected_total", "Events that could not be used, by reason", ["origin", "reason"])
FILED = Counter("rapport_events_filed_total", "Events written to the warehouse")
HANDLED_SECONDS = Histogram(
    "rapport_event_handled_seconds",
    "Seconds from the acceptance of an event until its triggers were evaluated",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
WAITING = Gauge("rapport_events_waiting", "Accepted events whose triggers have not been evaluated yet")
UNFILED = Gauge("rapport_events_unfiled", "Accepted events that the warehouse does not have yet")

"""Prometheus metrics: nothing until switched on, and then a fixed set with few labels.

Callers ask `metrics.active` once and count only if it is not None. Labels are names of agents, methods, states and
peers from configuration; never ids of tasks, contexts or callers.
"""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from a2a_bridge.errors import ConfigError

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LONG_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The metrics of one process, in a registry of their own unless one is given."""

    def __init__(self, registry: Any = None) -> None:
        try:
            import prometheus_client as prometheus
        except ImportError:
            raise ConfigError(
                'metrics need prometheus-client, which is not installed: pip install "a2a-agent-bridge[metrics]"'
            ) from None
        self._prometheus = prometheus
        self.registry = prometheus.CollectorRegistry() if registry is None else registry
        if registry is None:
            prometheus.ProcessCollector(registry=self.registry)

        def counter(name: str, text: str, *labels: str) -> Any:
            return prometheus.Counter(name, text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Any:
            return prometheus.Gauge(name, text, labels, registry=self.registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Any:
            return prometheus.Histogram(name, text, labels, buckets=buckets, registry=self.registry)

        self.requests = counter("a2a_requests_total", "Requests answered.", "method", "binding", "code")
        self.request_seconds = histogram(
            "a2a_request_duration_seconds",
            "Until the answer, or until the stream opened.",
            SECONDS,
            "method",
            "binding",
        )
        self.tasks = counter("a2a_tasks_total", "Turns that ended, by the task's state then.", "agent", "state")
        self.in_progress = gauge("a2a_tasks_in_progress", "Turns that run now.", "agent")
        self.task_seconds = histogram("a2a_task_duration_seconds", "Length of a turn.", LONG_SECONDS, "agent", "state")
        self.streams = gauge("a2a_stream_connections", "Streams that are open.", "agent")
        self.stream_events = counter("a2a_stream_events_total", "Events written to streams.", "agent", "type")
        self.push = counter("a2a_push_deliveries_total", "Webhook deliveries, by what came of them.", "outcome")
        self.client_requests = counter("a2a_client_requests_total", "Calls to other agents.", "peer", "method", "code")
        self.client_seconds = histogram(
            "a2a_client_request_duration_seconds", "Calls to other agents.", LONG_SECONDS, "peer", "method"
        )
        self.circuit = gauge("a2a_circuit_state", "1 while calls to an endpoint are held back.", "peer")
        self.rounds = counter("groupchat_rounds_total", "Runs of rooms, by why they stopped.", "chat", "outcome")
        self.turn_seconds = histogram(
            "groupchat_turn_duration_seconds", "Turns of seats.", LONG_SECONDS, "chat", "speaker"
        )
        self.turns = counter("groupchat_turns_total", "Turns of seats.", "chat", "speaker", "outcome")
        self.tokens = counter("groupchat_tokens_total", "Tokens used by seats.", "chat", "speaker", "direction")
        gauge("a2a_bridge_build_info", "Versions, always 1.", "version", "python").labels(
            _our_version(), platform.python_version()
        ).set(1)

    def text(self) -> tuple[bytes, str]:
        """Everything in Prometheus' text format, and its content type."""
        return self._prometheus.generate_latest(self.registry), self._prometheus.CONTENT_TYPE_LATEST


def _our_version() -> str:
    try:
        return version("a2a-agent-bridge")
    except PackageNotFoundError:
        return "unknown"


active: Metrics | None = None
"""The metrics of this process, or None while they are off."""


def switch_on(registry: Any = None) -> Metrics:
    """Count from now on; calling it again keeps what has been counted, unless a registry is given."""
    global active
    if active is None or registry is not None:
        active = Metrics(registry)
    return active


def switch_off() -> None:
    """Count no more, and forget."""
    global active
    active = None

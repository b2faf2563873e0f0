"""What a served process lets its operators see, in one place; all of it is for the whole process."""

from dataclasses import dataclass

from a2a_bridge.observe import metrics, requests, spans


@dataclass(frozen=True, slots=True)
class Observe:
    """What is watched; everything is off unless switched on, and then costs next to nothing.

    `metrics`: count, and show it at /metrics (extra `metrics`). `traces`: OpenTelemetry spans, by the tracer provider
    that OpenTelemetry was configured with (extra `otel`); `a2a-bridge serve` configures one, as the variables OTEL_*
    say. `requests`: a log line for each request.
    """

    metrics: bool = False
    traces: bool = False
    requests: bool = False

    def switch_on(self) -> None:
        """Switch on what is asked for; what is not asked for is left as it is. ConfigError names a missing extra."""
        if self.metrics:
            metrics.switch_on()
        if self.traces:
            spans.switch_on()
        if self.requests:
            requests.switch_log(on=True)

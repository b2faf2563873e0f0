"""OpenTelemetry spans: off until somebody switches them on, and then of metadata only.

`with span(name, kind, attributes) as open_span:` is one span; inside it the trace context of `observe/trace.py` is that
span's, so it goes out with calls and webhooks, is kept with tasks, and is the parent of what comes later in another
process. OpenTelemetry's own current span is set as well, so that other instrumentation nests where it belongs. While
tracing is off a span costs less than a microsecond and nothing of OpenTelemetry is imported.

The block may be left in another context than the one it was entered in, as an async generator's may: what was
current before is put back, no token is used.
"""

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from types import TracebackType
from typing import Any, Literal

from a2a_bridge.errors import ConfigError
from a2a_bridge.observe import trace
from a2a_bridge.observe.names import ERROR_TYPE

Kind = Literal["internal", "server", "client"]
Attribute = str | int | float | bool

_log = logging.getLogger(__name__)

LAST_SPANS_SECONDS = 3.0
"""How long the end of a process waits for the last spans to be taken."""

_SERVICE = "a2a-bridge"
_MISSING = 'traces need OpenTelemetry, which is not installed: pip install "a2a-agent-bridge[otel]"'

_otel: "_OpenTelemetry | None" = None


class _OpenTelemetry:
    """What we use of the API, imported once; `tracer` makes the spans."""

    def __init__(self, provider: Any) -> None:
        try:
            from opentelemetry import context
            from opentelemetry import trace as api
        except ImportError:
            raise ConfigError(_MISSING) from None
        self.api, self.context = api, context
        self.tracer = api.get_tracer("a2a_bridge", tracer_provider=provider)
        kinds = api.SpanKind
        self.kinds = {"internal": kinds.INTERNAL, "server": kinds.SERVER, "client": kinds.CLIENT}

    def parent(self) -> Any:
        """The context that a new span belongs to: OpenTelemetry's current span unless our trace is another one."""
        ours = trace.current_traceparent()
        current = self.api.get_current_span().get_span_context()
        if ours is None or (current.is_valid and current.trace_id == int(ours[3:35], 16)):
            return None
        remote = self.api.SpanContext(
            int(ours[3:35], 16),
            int(ours[36:52], 16),
            is_remote=True,
            trace_flags=self.api.TraceFlags(int(ours[53:], 16)),
        )
        return self.api.set_span_in_context(self.api.NonRecordingSpan(remote))

    def enter(self, made: Any) -> Any:
        """Make a span the current one; returns what was current before."""
        before = self.context.get_current()
        self.context.attach(self.api.set_span_in_context(made, before))
        return before


def switch_on(provider: Any = None) -> None:
    """Make spans from now on, with this tracer provider; None: the one that OpenTelemetry was configured with.

    ConfigError, which names what to install, when OpenTelemetry is not there.
    """
    global _otel
    _otel = _OpenTelemetry(provider)


@contextmanager
def exporting() -> Iterator[None]:
    """Inside, spans go where the variables OTEL_* say, unless somebody has set up OpenTelemetry in this process; at the
    end the last of them are sent, within `LAST_SPANS_SECONDS`. For whoever runs a process.

    OTEL_TRACES_EXPORTER names exporters: otlp, over HTTP, if it is not set; console; none. The service is called
    `a2a-bridge` if they do not say how. ConfigError names an exporter that is not installed.
    """
    from opentelemetry import trace as api

    if not isinstance(api.get_tracer_provider(), api.ProxyTracerProvider):
        yield
        return
    try:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigError(_MISSING) from None
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: _SERVICE}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporters = _exporters()
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    api.set_tracer_provider(provider)
    try:
        yield
    finally:
        _send_the_last(provider, exporters)


def _send_the_last(provider: Any, exporters: list[Any]) -> None:
    """A collector that cannot be reached is tried again for half a minute, and a container that does not end in time is
    killed: not so long."""
    sending = threading.Thread(target=provider.shutdown, daemon=True, name="a2a-bridge-spans")
    sending.start()
    sending.join(LAST_SPANS_SECONDS)
    if sending.is_alive():
        _log.warning("the last spans could not be sent within %g seconds, and are lost", LAST_SPANS_SECONDS)
        for exporter in exporters:
            exporter.shutdown()  # ends its attempts


def _exporters() -> list[Any]:
    found = []
    for said in os.environ.get("OTEL_TRACES_EXPORTER", "").split(","):
        name = said.strip() or "otlp"
        if name == "none":
            continue
        if name == "otlp":
            protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
            protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", protocol)
            name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
        made = next(iter(entry_points(group="opentelemetry_traces_exporter", name=name)), None)
        if made is None:
            raise ConfigError(
                f"OTEL_TRACES_EXPORTER: no exporter {name!r} is installed; with a2a-agent-bridge[otel] there are otlp"
                " (by http/protobuf), console and none"
            )
        found.append(made.load()())
    return found


def switch_off() -> None:
    """Make no more spans."""
    global _otel
    _otel = None


def is_on() -> bool:
    """Whether spans are made: ask before computing costly attributes."""
    return _otel is not None


class span:
    """One span, for the length of a `with` block. An exception that leaves the block is named in it, by its class."""

    __slots__ = ("_attributes", "_before", "_is_left", "_kind", "_made", "_name", "_trace", "_trace_id")

    def __init__(
        self, name: str, kind: Kind = "internal", attributes: Mapping[str, Attribute | None] | None = None
    ) -> None:
        self._name = name
        self._kind: Kind = kind
        self._attributes = attributes
        self._made: Any = None
        self._before: Any = None
        self._trace: str | None = None
        self._trace_id: str | None = None
        self._is_left = False

    def __enter__(self) -> "span":
        self._trace_id = trace.current_trace_id()
        if _otel is None:
            return self
        given = {name: value for name, value in (self._attributes or {}).items() if value is not None}
        made = _otel.tracer.start_span(self._name, _otel.parent(), kind=_otel.kinds[self._kind], attributes=given)
        self._made, self._before, self._trace = made, _otel.enter(made), trace.current_traceparent()
        found = made.get_span_context()
        if found.is_valid:
            self._trace_id = f"{found.trace_id:032x}"
            trace.set_current(f"00-{self._trace_id}-{found.span_id:016x}-{found.trace_flags:02x}")
        return self

    def set(self, name: str, value: Attribute | None) -> None:
        """Say one thing more about it; None says nothing."""
        if self._made is not None and value is not None:
            self._made.set_attribute(name, value)

    def fail(self, kind: str) -> None:
        """It did not do what it was for; `kind` is an error code or class, never a text."""
        if self._made is not None and _otel is not None:
            self._made.set_attribute(ERROR_TYPE, kind)
            self._made.set_status(_otel.api.StatusCode.ERROR)

    @property
    def trace_id(self) -> str | None:
        """The 32 hexadecimal digits that all of the trace share: this span's, or those that came with the request."""
        return self._trace_id

    def leave(self) -> None:
        """What was current before is current again; the span itself stays open until `end`."""
        if self._made is not None and not self._is_left:
            self._is_left = True
            trace.set_current(self._trace)
            if _otel is not None:
                _otel.context.attach(self._before)

    def end(self, error: BaseException | None = None) -> None:
        """It is over, because of this error if there is one."""
        if self._made is None:
            return
        if error is not None and not isinstance(error, GeneratorExit):
            self.fail(type(error).__name__)
        self._made.end()
        self._made = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.leave()
        self.end(error)

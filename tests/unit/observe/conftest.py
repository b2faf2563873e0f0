"""Switches that are for the whole process go back after each test."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from a2a_bridge.observe import metrics, requests, spans


@pytest.fixture
def traced() -> Iterator[InMemorySpanExporter]:
    """Traces on; the spans that ended."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.switch_on(provider)
    yield exporter
    spans.switch_off()


@pytest.fixture
def counted() -> Iterator[metrics.Metrics]:
    """Metrics on."""
    yield metrics.switch_on()
    metrics.switch_off()


@pytest.fixture
def logged() -> Iterator[None]:
    """The request log on."""
    requests.switch_log(on=True)
    yield
    requests.switch_log(on=False)

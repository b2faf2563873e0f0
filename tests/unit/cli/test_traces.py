"""Where the spans of a served process go."""

import gzip
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from a2a_bridge.testing.server import free_socket


def write_agents(folder: Path) -> None:
    """A module of one agent in a folder."""
    (folder / "mine.py").write_text("def shout(text: str) -> str:\n    return text.upper()\n")


class Collector(BaseHTTPRequestHandler):
    """Takes spans by OTLP over HTTP, as the collectors that people run do."""

    got: ClassVar[list[tuple[str, ExportTraceServiceRequest]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        self.got.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


TRACED = {"A2A_BRIDGE_OBSERVE__TRACES": "true"}


def test_traces_go_where_the_variables_of_opentelemetry_say(start: Any, run: Any, tmp_path: Path) -> None:
    """README: `traces = true`, the usual variables, nothing to write; the last spans are sent when the server stops."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        write_agents(tmp_path)
        where = f"http://127.0.0.1:{collector.server_port}"
        found = start("mine:shout", cwd=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=where, **TRACED)
        assert run("send", "-a", found.url, "hello").code == 0
        found.process.send_signal(signal.SIGTERM)
        found.process.communicate(timeout=10)
        collector.shutdown()
    paths = {path for path, _ in Collector.got}
    sent = [resource for _, request in Collector.got for resource in request.resource_spans]
    assert paths == {"/v1/traces"}
    names = {span.name for resource in sent for scope in resource.scope_spans for span in scope.spans}
    assert {"SendStreamingMessage", "invoke_agent shout"} <= names
    attributes = {item.key: item.value.string_value for resource in sent for item in resource.resource.attributes}
    assert attributes["service.name"] == "a2a-bridge"


def test_a_collector_that_does_not_answer_does_not_hold_up_the_end(start: Any, run: Any, tmp_path: Path) -> None:
    """Ours: a container that has not ended after its ten seconds is killed, and then nothing is in order."""
    with free_socket() as silent:
        silent.listen()
        write_agents(tmp_path)
        where = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        found = start("mine:shout", cwd=tmp_path, OTEL_EXPORTER_OTLP_TIMEOUT="60", **where, **TRACED)
        assert run("send", "-a", found.url, "hello").code == 0
        found.process.send_signal(signal.SIGTERM)
        _, said = found.process.communicate(timeout=10)
    assert found.process.returncode == 0
    assert b"the last spans could not be sent within 3 seconds" in said


def test_traces_to_an_exporter_that_is_not_there_stop_the_start(shell: Any, tmp_path: Path) -> None:
    """A setting that does nothing, without a word, is no setting."""
    write_agents(tmp_path)
    done = shell("serve", "mine:shout", "--port", "0", "--store", "memory", OTEL_TRACES_EXPORTER="zipkin", **TRACED)
    assert (done.code, done.out) == (2, "")
    assert "no exporter 'zipkin' is installed" in done.err

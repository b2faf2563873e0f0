"""Error objects (A2A 1.0.1 §3.3.2, §5.4, §9.5): their codes, their details, and what they never say."""

import contextlib
import inspect
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest

from a2a_bridge import errors
from a2a_bridge.agent import Caller
from a2a_bridge.bridge import Bridge
from a2a_bridge.cards.build import build_card
from a2a_bridge.errors import A2AError, StoreUnavailableError, Violation
from a2a_bridge.protocol.card import AgentCapabilities
from a2a_bridge.protocol.jsonrpc import error_object
from a2a_bridge.protocol.methods import OPERATIONS
from a2a_bridge.protocol.sse import SSEParser
from a2a_bridge.server.app import App, Served
from a2a_bridge.server.http import Forbidden, Refused, TooManyRequests, Unauthenticated, Unavailable
from a2a_bridge.server.jsonrpc import JsonRpcEndpoint
from a2a_bridge.server.operations import Operations
from a2a_bridge.server.rest import RestEndpoint
from a2a_bridge.server.sse import Streams
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.tasks.service import TaskService
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.rest_wire import RestWire, request_of
from a2a_bridge.testing.transport import AppTransport
from a2a_bridge.testing.wire import Wire, reason_of, say

CODES = {
    "TaskNotFoundError": (-32001, 404, "NOT_FOUND", "TASK_NOT_FOUND"),
    "TaskNotCancelableError": (-32002, 400, "FAILED_PRECONDITION", "TASK_NOT_CANCELABLE"),
    "PushNotificationNotSupportedError": (-32003, 400, "FAILED_PRECONDITION", "PUSH_NOTIFICATION_NOT_SUPPORTED"),
    "UnsupportedOperationError": (-32004, 400, "FAILED_PRECONDITION", "UNSUPPORTED_OPERATION"),
    "ContentTypeNotSupportedError": (-32005, 400, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED"),
    "InvalidAgentResponseError": (-32006, 500, "INTERNAL", "INVALID_AGENT_RESPONSE"),
    "ExtendedAgentCardNotConfiguredError": (-32007, 400, "FAILED_PRECONDITION", "EXTENDED_AGENT_CARD_NOT_CONFIGURED"),
    "ExtensionSupportRequiredError": (-32008, 400, "FAILED_PRECONDITION", "EXTENSION_SUPPORT_REQUIRED"),
    "VersionNotSupportedError": (-32009, 400, "FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED"),
    "InvalidRequestError": (-32600, 400, "INVALID_ARGUMENT", "INVALID_REQUEST"),
    "MethodNotFoundError": (-32601, 404, "NOT_FOUND", "METHOD_NOT_FOUND"),
    "InvalidParamsError": (-32602, 400, "INVALID_ARGUMENT", "INVALID_PARAMS"),
    "BusyError": (-32603, 429, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
    "InternalError": (-32603, 500, "INTERNAL", "INTERNAL_ERROR"),
    "JSONParseError": (-32700, 400, "INVALID_ARGUMENT", "INVALID_REQUEST"),
}


DOMAIN = "a2a-protocol.org"
TYPES = "type.googleapis.com/google.rpc."


def protocol_errors() -> dict[str, type[A2AError]]:
    found = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, A2AError)}
    found.pop("A2AError")
    return found


def test_each_error_has_the_code_of_the_specification() -> None:
    """R-ERR-01, R-ERR-02: code, HTTP status, its name and reason, written down a second time here."""
    found = {
        name: (kind.code, kind.http_status, kind.grpc_status, kind.reason) for name, kind in protocol_errors().items()
    }
    assert found == CODES


@pytest.mark.parametrize("kind", protocol_errors().values(), ids=lambda kind: kind.__name__)
def test_each_error_says_something_and_has_details(kind: type[A2AError]) -> None:
    """R-ERR-01, R-ERR-02: three members, details with their types, metadata of strings."""
    found = error_object(kind(metadata={"a": "b"}))
    assert found.keys() == {"code", "message", "data"}
    assert found["message"].endswith(".")
    assert found["data"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": kind.reason,
            "domain": "a2a-protocol.org",
            "metadata": {"a": "b"},
        }
    ]
    json.dumps(found)


class Failing:
    """An agent's service that answers every operation with one error."""

    def __init__(self, error: A2AError) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        async def operation(*given: Any) -> Any:
            raise self.error

        return operation


@pytest.mark.parametrize("kind", protocol_errors().values(), ids=lambda kind: kind.__name__)
async def test_every_row_of_the_table_is_told_by_both_bindings(start: Any, kind: type[A2AError]) -> None:
    """R-ERR-01, R-ERR-02, R-ERR-03, R-BIND-01, R-REST-09: code and 200 here, status and its name there, one reason."""
    error = kind("What happened.", violations=[Violation("message.parts", "missing")], metadata={"key": "value"})
    details = [
        {
            "@type": TYPES + "ErrorInfo",
            "reason": kind.reason,
            "domain": "a2a-protocol.org",
            "metadata": {"key": "value"},
        },
        {"@type": TYPES + "BadRequest", "fieldViolations": [{"field": "message.parts", "description": "missing"}]},
    ]
    async with serving(Failing(error)) as http:
        for method, params in (("SendMessage", say()), ("SendStreamingMessage", say()), ("GetTask", {"id": "x"})):
            request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
            response = await http.post("/", json=request)
            told = {"code": kind.code, "message": "What happened.", "data": details}
            status = 429 if kind is errors.BusyError else 200  # R-SEC-10: HTTP has a word for it
            assert (response.status_code, response.json()) == (status, {"jsonrpc": "2.0", "id": 7, "error": told})
            verb, url, body = request_of(next(o for o in OPERATIONS if o.name == method), params)
            response = await http.request(verb, url, json=body)
            told = {"code": kind.http_status, "status": kind.grpc_status, "message": "What happened."}
            assert (response.status_code, response.json()) == (kind.http_status, {"error": told | {"details": details}})


class Breaking:
    """An agent's service whose streams end with an error after their first event."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def subscribe(self, *given: Any) -> AsyncIterator[list[tuple[int, bytes]]]:
        async def rows() -> AsyncIterator[list[tuple[int, bytes]]]:
            yield [(1, b'{"task":{}}')]
            raise self.error

        return rows()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.InvalidAgentResponseError("What happened."), errors.InvalidAgentResponseError),
        (ZeroDivisionError("secret"), errors.InternalError),
    ],
    ids=["ours", "any"],
)
async def test_a_stream_that_breaks_says_so_in_the_form_of_its_binding(error: Any, kind: type[A2AError]) -> None:
    """R-JRPC-24, R-REST-22, R-ERR-06: one event named error, with the id of the request or with the status."""
    async with serving(Breaking(error)) as http:
        request = {"jsonrpc": "2.0", "id": 7, "method": "SubscribeToTask", "params": {"id": "x"}}
        event, failed = SSEParser().feed((await http.post("/", json=request)).content)
        assert (event.event, failed.event) == ("message", "error")
        found = json.loads(failed.data)
        assert (found["id"], found["error"]["code"]) == (7, kind.code)
        event, failed = SSEParser().feed((await http.get("/tasks/x:subscribe")).content)
        assert (event.data, event.id, failed.event) == ('{"task":{}}', "1", "error")
        found = json.loads(failed.data)
        assert (found["error"]["code"], found["error"]["status"]) == (kind.http_status, kind.grpc_status)
        assert "secret" not in failed.data


class Closed:
    """A gate that lets nobody in."""

    def __init__(self, refused: Refused) -> None:
        self.refused = refused

    async def admit(self, scope: Any, agent: str) -> Caller:
        raise self.refused

    def enter(self, caller: Caller, tenant: str) -> Caller:
        raise AssertionError("nobody came in")


@pytest.mark.parametrize(
    ("error", "status", "name", "header"),
    [
        (Unauthenticated(), 401, "UNAUTHENTICATED", (b"www-authenticate", b"Bearer")),
        (Forbidden(), 403, "PERMISSION_DENIED", (b"x-scope", b"a")),
        (TooManyRequests(), 429, "RESOURCE_EXHAUSTED", (b"retry-after", b"7")),
        (Unavailable(), 503, "UNAVAILABLE", (b"retry-after", b"9")),
    ],
    ids=lambda value: value if isinstance(value, int) else "",
)
async def test_a_gate_refuses_in_the_form_of_the_binding(error: Any, status: int, name: str, header: Any) -> None:
    """R-JRPC-04, R-REST-12, R-ERR-07: with its status and headers, before the body is looked at, whatever it is."""
    async with serving(Failing(error), Closed(Refused(error, headers=(header,)))) as http:
        for path in ("/", "/message:send"):
            response = await http.post(path, content=b"\xff", headers={"content-type": "text/plain"})
            assert (response.status_code, response.headers[header[0].decode()]) == (status, header[1].decode())
            found = response.json()["error"]
            assert found["message"] == error.message
            assert found.get("status", name) == name
            assert found["code"] == (status if path != "/" else error.code)
        assert (await http.get("/tasks/x")).status_code == status


@contextlib.asynccontextmanager
async def serving(service: Any, gate: Closed | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Both bindings around something that stands for the tasks."""
    card = build_card(Obedient(), url="http://test/")
    card = card.model_copy(update={"capabilities": AgentCapabilities(streaming=True)})
    operations = Operations(cast(TaskService, service), "a", card, gate=gate)
    served = Served(JsonRpcEndpoint(operations, Streams()), RestEndpoint(operations, Streams()), card)
    app = App({"a": served}, root="a", root_card=card, base_url="http://test", ready=lambda: True, lifespan=_nothing)
    async with httpx.AsyncClient(transport=AppTransport(app), base_url="http://test") as http:
        http.headers["a2a-version"] = "1.0"
        yield http


@contextlib.asynccontextmanager
async def _nothing(app: Any) -> AsyncIterator[None]:
    yield


def test_violations_are_listed_but_not_without_end() -> None:
    """R-ERR-03: fifty are enough to help and few enough to send."""
    found = error_object(errors.InvalidParamsError(violations=[Violation(f"f{n}", "wrong") for n in range(500)]))
    assert len(found["data"][1]["fieldViolations"]) == 50


async def test_thousands_of_wrong_parts_are_answered_briefly(wire: Wire) -> None:
    """R-ERR-03, R-ERR-05: a bad request must not make a large answer, nor much work: the first of a list is told."""
    for name in ("parts", "extensions", "referenceTaskIds"):
        params = say(**{name: [{}] * 5000})
        response = await wire.post({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params})
        assert response.json()["error"]["code"] == -32602
        assert response.json()["error"]["message"] == f"Invalid parameters: message.{name}[0]"


async def test_what_was_sent_does_not_come_back_in_an_error(wire: Wire) -> None:
    """R-ERR-06: an error names fields; values may be secrets."""
    params = say(parts=[{"raw": "hunter2!"}], contextId=["hunter2"], role="hunter2") | {"metadata": "hunter2"}
    for method in ("SendMessage", "GetTask", "ListTasks"):
        text = (await wire.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).text
        assert "hunter2" not in text


class Breakable(MemoryStore):
    """A store that fails in any way a test wants."""

    broken: Exception | None = None

    async def get(self, kind: str, key: str) -> Any:
        if self.broken is not None:
            raise self.broken
        return await super().get(kind, key)


@pytest.mark.parametrize("method", ["GetTask", "CancelTask", "SubscribeToTask", "SendMessage", "SendStreamingMessage"])
@pytest.mark.parametrize("kind", [Wire, RestWire])
async def test_a_fault_of_our_own_is_an_internal_error_with_an_id(
    start: Any, caplog: Any, method: str, kind: type[Wire]
) -> None:
    """R-ERR-06: the id stands in the log beside the trace, and nothing else is told."""
    store = Breakable()
    wire = kind(await start(Bridge(Obedient(), store=store)))
    store.broken = ZeroDivisionError("secret detail")
    error = await wire.error(method, say(taskId="x") if "Send" in method else {"id": "x"})
    assert (error["code"], reason_of(error)) == (-32603, "INTERNAL_ERROR")
    assert "secret" not in json.dumps(error)
    error_id = error["message"].removeprefix("Internal error ").rstrip(".")
    assert len(error_id) == 8
    assert error_id in caplog.text
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("method", ["GetTask", "CancelTask", "SubscribeToTask", "SendMessage", "SendStreamingMessage"])
async def test_a_store_that_cannot_be_reached_is_503(start: Any, method: str, caplog: Any) -> None:
    """R-JRPC-04, R-REST-12: a condition of HTTP, so that clients try again; nothing of the store is told (R-ERR-06).
    The log has a line for each, and no traceback: a full disk refuses every request."""
    store = Breakable()
    wire = Wire(await start(Bridge(Obedient(), store=store)))
    store.broken = StoreUnavailableError("the store /secret/path cannot be read")
    params = say(taskId="x") if "Send" in method else {"id": "x"}
    response = await wire.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert response.status_code == 503
    assert reason_of(response.json()["error"]) == "UNAVAILABLE"
    assert "secret" not in response.text
    verb, url, body = request_of(next(o for o in OPERATIONS if o.name == method), params)
    response = await wire.http.request(verb, url, json=body)
    assert (response.status_code, response.json()["error"]["status"]) == (503, "UNAVAILABLE")
    assert "secret" not in response.text
    said = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.getMessage() for record in said] == [f"the store failed in {method}: {store.broken}"] * 2
    assert not any(record.exc_info for record in said)


async def test_all_operations_answer_in_the_binding_that_is_there(wire: Wire) -> None:
    """R-BIND-01: the table of operations is the table of methods."""
    for operation in OPERATIONS:
        found = await wire.call(operation.name, {})
        assert found.get("error", {}).get("code") != -32601, operation.name
    assert len(OPERATIONS) == 11

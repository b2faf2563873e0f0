"""Golden files: exchanges with the server, byte for byte but for what changes from run to run.

A file in `golden/` is a scenario: requests in order, and the answers they got. Ids, times, page tokens, entity tags
and error ids are written as `<id-1>`, `<time>`, `<token-1>`, `<etag>`, `<error>`; a request may use an id or a token
that an earlier answer has shown.

To add a scenario, write a file with requests only. To record answers anew, after a change that was meant:

    RECORD_GOLDEN=1 python -m pytest tests/wire/test_golden.py -rP

which writes the files and prints what has changed in them; look at it as closely as at code.
"""

import difflib
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from a2a_bridge.agent import Traits
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.guard import Guard
from a2a_bridge.protocol.sse import SSEParser
from a2a_bridge.tasks.push import Push
from a2a_bridge.testing.agents import Obedient

GOLDEN = Path(__file__).with_name("golden")
SCENARIOS = sorted(GOLDEN.glob("*.json"))
RECORD = "RECORD_GOLDEN"

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ERROR_ID = re.compile(r"(?<=rror )[0-9a-f]{8}\b")
PLACE = re.compile(r"<(?:id|token)-\d+>")
HEADERS = (
    "content-type", "a2a-version", "a2a-extensions", "x-a2a-extensions", "allow", "cache-control", "etag", "vary",
    "x-accel-buffering", "access-control-allow-origin",
)  # fmt: skip


class Places:
    """Which volatile string stands for which place."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def place(self, kind: str, value: str) -> str:
        """`<kind-n>` for a value, the same for the same value."""
        if value not in self._shown:
            count = sum(1 for place in self._shown.values() if place.startswith(f"<{kind}-"))
            self._shown[value] = f"<{kind}-{count + 1}>"
        return self._shown[value]

    def hide(self, value: Any) -> Any:
        """An answer, with places for what is volatile."""
        if isinstance(value, dict):
            return {
                key: self._token(item) if key == "nextPageToken" else self.hide(item) for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.hide(item) for item in value]
        if not isinstance(value, str):
            return value
        value = UUID.sub(lambda found: self.place("id", found[0]), value)
        return ERROR_ID.sub("<error>", TIME.sub("<time>", value))

    def _token(self, value: str) -> str:
        return self.place("token", value) if value else ""

    def fill(self, text: str) -> str:
        """A request, with what its places stand for."""
        actual = {place: value for value, place in self._shown.items()}
        return PLACE.sub(lambda found: actual[found[0]], text)


async def ask(http: httpx.AsyncClient, request: dict[str, Any], places: Places) -> dict[str, Any]:
    """Send one request of a scenario; what came back, fit for a golden file."""
    content = request["raw"] if "raw" in request else json.dumps(request["body"]) if "body" in request else None
    headers = {"content-type": "application/json", "a2a-version": "1.0"} | request.get("headers", {})
    response = await http.request(
        request.get("method", "POST"),
        places.fill(request.get("path", "/")),
        content=None if content is None else places.fill(content),
        headers={name: value for name, value in headers.items() if value is not None},
    )
    shown = {name: response.headers[name] for name in HEADERS if name in response.headers}
    if "etag" in shown:
        shown["etag"] = "<etag>"
    found: dict[str, Any] = {"status": response.status_code, "headers": shown}
    if shown.get("content-type", "").startswith("text/event-stream"):
        events = SSEParser().feed(response.content)
        found["events"] = [{"id": event.id, "data": places.hide(json.loads(event.data))} for event in events]
    elif response.content:
        found["body"] = places.hide(response.json())
    return found


async def public(host: str, port: int) -> list[str]:
    """Every name has a public address; nothing is sent there, for the tasks have ended."""
    return ["93.184.216.34"]


def text_of(scenario: dict[str, Any]) -> str:
    return json.dumps(scenario, indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
async def test_the_server_answers_as_recorded(start: Any, path: Path) -> None:
    """Every operation over JSON-RPC, ok and refused (R-BIND-01, R-DM-01, R-DM-09, R-JRPC-04, R-JRPC-20)."""
    recorded = path.read_text("utf-8")
    scenario = json.loads(recorded)
    agents = [Obedient(), Obedient(name="careful", traits=Traits(keeps_context=True))]
    for agent in agents:
        agent.gate.open()
    push = Push(Guard(resolve=public)) if scenario.get("webhooks") else None
    moments = itertools.count(1_790_000_000)  # no two things happen at the same time: lists have one order
    options = Options(clock=lambda: float(next(moments)), push=push)
    http = await start(Bridge(agents, public_url="https://agents.example.org", options=options))
    del http.headers["a2a-version"]
    places = Places()
    for step in scenario["steps"]:
        step["response"] = await ask(http, step["request"], places)
    found = text_of(scenario)
    if os.environ.get(RECORD):
        print(
            *difflib.unified_diff(recorded.splitlines(), found.splitlines(), "recorded", "now", lineterm=""), sep="\n"
        )
        path.write_text(found, "utf-8")
    else:
        assert found == recorded


def test_every_operation_has_a_golden_file_ok_or_refused() -> None:
    """The scenarios must not lose an operation unnoticed."""
    asked = set()
    for path in SCENARIOS:
        for step in json.loads(path.read_text("utf-8"))["steps"]:
            answer = step["response"]
            told = [answer.get("body"), *(event["data"] for event in answer.get("events", ()))]
            refused = any(isinstance(body, dict) and "error" in body for body in told)
            asked.add((step["request"].get("body", {}).get("method"), "refused" if refused else "ok"))
    for method in (
        "SendMessage", "SendStreamingMessage", "GetTask", "ListTasks", "CancelTask", "SubscribeToTask",
        "message/send", "message/stream", "tasks/get", "tasks/cancel", "tasks/resubscribe",
        "CreateTaskPushNotificationConfig", "GetTaskPushNotificationConfig", "ListTaskPushNotificationConfigs",
        "DeleteTaskPushNotificationConfig", "tasks/pushNotificationConfig/set", "tasks/pushNotificationConfig/get",
        "tasks/pushNotificationConfig/list", "tasks/pushNotificationConfig/delete",
    ):  # fmt: skip
        assert {(method, "ok"), (method, "refused")} <= asked, method
    for method in ("GetExtendedAgentCard", "agent/getAuthenticatedExtendedCard"):
        assert (method, "refused") in asked, method

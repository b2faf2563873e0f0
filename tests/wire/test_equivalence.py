"""One script on every binding: what it shows, without ids and times, is the same (A2A 1.0.1 §5.1)."""

import itertools
import re
from typing import Any

import pytest

from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.rest_wire import RestWire
from a2a_bridge.testing.wire import Wire

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
WORDS = ("hello", "tokens", "direct", "ask", "auth", "fail", "refuse", "files", "tools", "crash")


class Script:
    """Calls one after the other; what came of each is kept, ids numbered in the order in which they appeared."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.shown: list[Any] = []
        self._ids: dict[str, str] = {}
        self._numbers = itertools.count(1)

    async def call(self, method: str, params: Any, **headers: str) -> Any:
        found = await self.wire.call(method, params, headers=headers)
        found = {name: found[name] for name in ("result", "error") if name in found}
        self.show(found)
        return found.get("result")

    async def stream(self, method: str, params: Any, **headers: str) -> Any:
        frames = await self.wire.frames(method, params, headers)
        self.show([(frame.id, frame.event, frame.data["result"]) for frame in frames])
        return frames

    def show(self, value: Any) -> None:
        self.shown.append(self._plain(value))

    def message(self, text: str, **members: Any) -> dict[str, Any]:
        number = next(self._numbers)
        parts = [{"text": text}]
        return {"message": {"messageId": f"m-{number}", "role": "ROLE_USER", "parts": parts, **members}}

    def _plain(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: "<token>" if key == "nextPageToken" and item else self._plain(item) for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._plain(item) for item in value]
        if not isinstance(value, str):
            return value
        value = UUID.sub(lambda found: self._ids.setdefault(found[0], f"<id-{len(self._ids) + 1}>"), value)
        return re.sub(r"(?<=rror )[0-9a-f]{8}\b", "<error>", TIME.sub("<time>", value))


async def play(script: Script, agent: Obedient) -> None:
    for word in WORDS:
        await script.call("SendMessage", script.message(word))
        await script.stream("SendStreamingMessage", script.message(word))
    asked = (await script.call("SendMessage", script.message("ask")))["task"]
    await script.call("SendMessage", script.message("red", taskId=asked["id"]))
    await script.call("SendMessage", script.message("late", taskId=asked["id"]))
    await script.call("SendMessage", script.message("x", taskId=asked["id"], contextId="other"))
    waiting = (await script.call("SendMessage", script.message("auth")))["task"]
    await script.call("GetTask", {"id": waiting["id"], "historyLength": 0})
    await script.call("CancelTask", {"id": waiting["id"], "metadata": {"why": "enough"}})
    await script.call("CancelTask", {"id": waiting["id"]})
    await script.call("SubscribeToTask", {"id": waiting["id"]})
    repeated = script.message("tokens")
    frames = await script.stream("SendStreamingMessage", repeated)
    await script.stream("SendStreamingMessage", repeated, **{"last-event-id": str(frames[1].id)})
    await script.stream("SubscribeToTask", {"id": frames[0].value["id"]}, **{"last-event-id": "1"})
    running = script.message("wait") | {"configuration": {"returnImmediately": True}}
    task = (await script.call("SendMessage", running))["task"]
    await agent.gate.reached()
    await script.call("CancelTask", {"id": task["id"]})
    for filters in ({}, {"pageSize": 3}, {"status": "TASK_STATE_FAILED", "includeArtifacts": True}, {"pageSize": 0}):
        await script.call("ListTasks", filters)
    first = await script.wire.result("ListTasks", {"pageSize": 5})
    await script.call("ListTasks", {"pageSize": 5, "pageToken": first["nextPageToken"]})
    for method in ("GetTask", "CancelTask", "SubscribeToTask"):
        await script.call(method, {"id": "nothing"})
    await script.call("SendMessage", {"message": {"messageId": "x", "role": "nobody", "parts": []}})
    await script.call("SendMessage", script.message("x"), **{"a2a-version": "1.7"})
    await script.call("GetExtendedAgentCard", {})
    for operation in ("Get", "Delete"):
        await script.call(f"{operation}TaskPushNotificationConfig", {"taskId": "x", "id": "y"})


@pytest.mark.parametrize("kind", [RestWire])
async def test_a_script_shows_the_same_on_every_binding(start: Any, kind: type[Wire]) -> None:
    """R-BIND-01, R-REST-04, R-REST-20: results, events with their numbers, errors with their fields."""
    shown = []
    for caller in (Wire, kind):
        agent = Obedient()
        moments = itertools.count(1_790_000_000)
        options = Options(clock=lambda moments=moments: float(next(moments)))
        http = await start(Bridge(agent, options=options))
        script = Script(caller(http))
        await play(script, agent)
        agent.gate.open()
        shown.append(script.shown)
    assert len(shown[0]) == len(shown[1]) > 45
    for one, other in zip(*shown, strict=True):
        assert one == other

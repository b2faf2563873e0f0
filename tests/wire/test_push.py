"""The operations on webhooks, over JSON-RPC; the golden files show each byte for byte."""

import json
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.cards.build import build_card, with_push
from a2a_bridge.errors import CardError, ConfigError
from a2a_bridge.guard import Guard
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.tasks.push import Push
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.receiver import Receiver
from a2a_bridge.testing.wire import Wire, fields_of, reason_of, say

Create = "CreateTaskPushNotificationConfig"
Get = "GetTaskPushNotificationConfig"
List = "ListTaskPushNotificationConfigs"
Delete = "DeleteTaskPushNotificationConfig"
URL = "https://hooks.example.com/"


async def public(host: str, port: int) -> list[str]:
    return ["93.184.216.34"]


@pytest.fixture
def serving(start: Any, agent: Obedient, binding: type[Wire]) -> Callable[..., Awaitable[Wire]]:
    async def served(push: Push, **options: Any) -> Wire:
        return binding(await start(Bridge(agent, options=Options(push=push), **options)))

    return served


@pytest.fixture
async def wire(serving: Any) -> Wire:
    """Every name is public here."""
    return await serving(Push(Guard(resolve=public)))


@pytest.mark.parametrize("text", ["hello", "ask"])
async def test_configs_can_be_kept_read_and_deleted(wire: Wire, text: str) -> None:
    """R-PUSH-01, R-PUSH-04, R-PUSH-05, R-PUSH-06, R-PUSH-07: on a task that has ended just as on one that waits."""
    task = await wire.send(text)
    first = await wire.result(Create, {"taskId": task["id"], "url": URL})
    second = await wire.result(Create, {"taskId": task["id"], "url": URL, "id": "mine", "token": "tok"})
    assert first["id"] != second["id"] == "mine"
    assert await wire.result(Get, {"taskId": task["id"], "id": "mine"}) == second
    assert (await wire.result(List, {"taskId": task["id"]}))["configs"] == [second, first]
    assert await wire.result(Delete, {"taskId": task["id"], "id": first["id"]}) == {}
    assert (await wire.result(List, {"taskId": task["id"]}))["configs"] == [second]
    assert reason_of(await wire.error(Get, {"taskId": task["id"], "id": first["id"]})) == "TASK_NOT_FOUND"
    await wire.result(Delete, {"taskId": task["id"], "id": "mine"})
    assert await wire.result(List, {"taskId": task["id"]}) == {}


@pytest.mark.parametrize("found", ["a/b", "%25", "100%", "a%2Fb", "a:cancel", "ü", "a b", "..b", "+"])
async def test_an_id_of_the_client_is_found_under_just_that_id(wire: Wire, found: str) -> None:
    """R-REST-03: in a path it is decoded once, so that no two ids are one."""
    task = await wire.send("ask")
    made = await wire.result(Create, {"taskId": task["id"], "url": URL, "id": found})
    assert made["id"] == found
    assert await wire.result(Get, {"taskId": task["id"], "id": found}) == made
    await wire.result(Delete, {"taskId": task["id"], "id": found})
    assert await wire.result(List, {"taskId": task["id"]}) == {}


@pytest.mark.parametrize("operation", [Create, Get, List, Delete])
async def test_somebody_elses_task_is_not_there(wire: Wire, operation: str) -> None:
    """R-PUSH-08, R-ERR-04: answered byte for byte like a task that does not exist."""
    task = await wire.send("hello")
    await wire.result(Create, {"taskId": task["id"], "url": URL, "id": "c"})
    more = {"id": "c", "url": URL, "tenant": "other"}
    foreign = await wire.call(operation, {"taskId": task["id"]} | more)
    assert foreign == await wire.call(operation, {"taskId": "x"} | more)
    assert len((await wire.result(List, {"taskId": task["id"]}))["configs"]) == 1


async def test_credentials_are_told_once(wire: Wire, serving: Any) -> None:
    """R-PUSH-17: by Create; by Get and List only when that is switched on."""
    said = {"url": URL, "id": "c", "token": "tok", "authentication": {"scheme": "Basic", "credentials": "secret"}}
    open_ = await serving(Push(Guard(resolve=public), shows_credentials=True))
    for served, hidden in ((wire, True), (open_, False)):
        task = await served.send("hello")
        made = await served.result(Create, {"taskId": task["id"]} | said)
        assert made["authentication"] == {"scheme": "Basic", "credentials": "secret"}
        found = [await served.result(Get, {"taskId": task["id"], "id": "c"})]
        found += (await served.result(List, {"taskId": task["id"]}))["configs"]
        shown = {"scheme": "Basic"} if hidden else made["authentication"]
        assert [config["authentication"] for config in found] == [shown, shown]


async def test_a_task_has_only_so_many_configs(serving: Any) -> None:
    """Issue: n-1, n, n+1; replacing one is no more."""
    wire = await serving(Push(Guard(resolve=public), per_task=3))
    task = await wire.send("ask")
    for number in range(3):
        await wire.result(Create, {"taskId": task["id"], "url": URL, "id": str(number)})
    error = await wire.error(Create, {"taskId": task["id"], "url": URL})
    assert (error["code"], "3 push notification configs" in error["message"]) == (-32004, True)
    params = say("go", taskId=task["id"]) | {"configuration": {"taskPushNotificationConfig": {"url": URL}}}
    assert (await wire.error("SendMessage", params))["code"] == -32004
    await wire.result(Create, {"taskId": task["id"], "url": URL, "id": "2"})
    await wire.result(Delete, {"taskId": task["id"], "id": "0"})
    await wire.result(Create, {"taskId": task["id"], "url": URL})


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"url": "https://hooks.example.com/" + "a" * 2048}, "url"),
        ({"id": "a" * 129}, "id"),
        ({"id": "a\u0000"}, "id"),
        ({"token": "a\nb"}, "token"),
        ({"token": "é"}, "token"),
        ({"token": "a" * 4097}, "token"),
        ({"authentication": {"scheme": "", "credentials": "x"}}, "authentication.scheme"),
        ({"authentication": {"scheme": "a b", "credentials": "x"}}, "authentication.scheme"),
        ({"authentication": {"scheme": "Bearer", "credentials": "x\r\nHost: y"}}, "authentication.credentials"),
        ({"authentication": {"credentials": "x"}}, "authentication.scheme"),
    ],
)
async def test_what_cannot_travel_in_a_header_is_refused(wire: Wire, config: Any, field: str) -> None:
    """R-ERR-03, R-ERR-05: told when it is registered, not when it is sent."""
    task = await wire.send("hello")
    error = await wire.error(Create, {"taskId": task["id"], "url": URL} | config)
    assert (error["code"], fields_of(error)) == (-32602, [field])


async def test_the_log_says_whose_webhook_was_refused(serving: Any, caplog: pytest.LogCaptureFixture) -> None:
    """R-SEC-06, R-SEC-07: host, reason, agent and the hash of the caller, as the lines of requests have it; never what
    may be a secret."""
    caplog.set_level(logging.INFO)
    wire = await serving(Push())
    said = {"url": "https://me:canary-1@10.0.0.1:8443/canary-2?x=canary-3", "token": "canary-4"}
    for url in ("https://10.0.0.1/canary-2?x=canary-3", said["url"]):
        more = {"configuration": {"taskPushNotificationConfig": said | {"url": url}}}
        assert (await wire.error("SendMessage", say("hello") | more))["code"] == -32602
    [first, second] = [vars(record)["fields"] for record in caplog.records if record.message == "webhook refused"]
    assert first["host"] == second["host"] == "10.0.0.1"
    assert first["agent"] == "obedient"
    assert first["caller"] == second["caller"]
    assert re.fullmatch("[0-9a-f]{12}", first["caller"])
    assert "not on the public internet" in first["reason"]
    assert "canary" not in str([vars(record) for record in caplog.records])


async def test_secrets_are_nowhere_in_the_clear(serving: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """R-SEC-06: not in the store, not in the log, whatever becomes of the delivery; and the key file is the owner's."""
    caplog.set_level(logging.DEBUG)
    canaries = ["canary-url", "canary-token", "canary-credentials"]
    async with Receiver(404, 503) as hook:
        wire = await serving(Push(Guard(loopback=True)), store=SQLiteStore(tmp_path / "s.sqlite"))
        said = {
            "url": hook.url + "/canary-url?x=canary-url", "token": "canary-token",
            "authentication": {"scheme": "Bearer", "credentials": "canary-credentials"},
        }  # fmt: skip
        await wire.result("SendMessage", say("hello") | {"configuration": {"taskPushNotificationConfig": said}})
        (got, *_) = await hook.until(2)
        assert "canary-credentials" in got.headers["authorization"]
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    written = caplog.text + json.dumps([str(vars(record)) for record in caplog.records])
    assert "webhook event given up" in written
    for canary in canaries:
        assert canary.encode() not in kept
        assert canary not in written
    assert (tmp_path / "s.sqlite.key").stat().st_mode & 0o077 == 0


async def test_a_key_of_the_settings_needs_no_file(serving: Any, tmp_path: Path) -> None:
    """Our decision: the key is a setting, or a file beside the store; the file is made with the first webhook."""
    wire = await serving(Push(Guard(resolve=public), key="k" * 32), store=SQLiteStore(tmp_path / "a.sqlite"))
    other = await serving(Push(Guard(resolve=public)), store=SQLiteStore(tmp_path / "b.sqlite"))
    for served in (wire, other):
        task = await served.send("hello")
        assert not list(tmp_path.glob("*.key"))
        await served.result(Create, {"taskId": task["id"], "url": URL})
    assert [path.name for path in tmp_path.glob("*.key")] == ["b.sqlite.key"]


async def test_a_store_that_is_opened_with_another_key_says_so(serving: Any, start: Any, tmp_path: Path) -> None:
    """Our decision: what was sealed is lost to whoever has lost the key; the server works, and says what is wrong."""
    path = tmp_path / "s.sqlite"
    first = Bridge(Obedient(), store=SQLiteStore(path), options=Options(push=Push(Guard(resolve=public), key="a" * 32)))
    wire = Wire(await start(first))
    task = await wire.send("ask")
    await wire.result(Create, {"taskId": task["id"], "url": URL, "id": "c"})
    await first.stop()
    wire = await serving(Push(Guard(resolve=public), key="b" * 32), store=SQLiteStore(path))
    error = await wire.error(Get, {"taskId": task["id"], "id": "c"})
    assert reason_of(error) == "UNAVAILABLE"
    await wire.result(Create, {"taskId": task["id"], "url": URL, "id": "c"})
    assert (await wire.result(Get, {"taskId": task["id"], "id": "c"}))["url"] == URL


def test_what_cannot_be_kept_stops_the_start(tmp_path: Path) -> None:
    """Our decision: a key that is none, and a card that promises what is switched off."""
    with pytest.raises(ConfigError, match="32"):
        Bridge(Obedient(), store=SQLiteStore(tmp_path / "s"), options=Options(push=Push(key="short")))
    card = with_push(build_card(Obedient(), url=URL))
    with pytest.raises(CardError, match="pushNotifications"):
        Bridge(Obedient(), cards={"obedient": card}, options=Options(push=None))
    Bridge(Obedient(), cards={"obedient": card})

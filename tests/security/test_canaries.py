"""Secrets go where they belong and nowhere else: twenty planted, none found in log, traces, metrics, errors or store.

The same scenario runs first on a build that leaks on purpose, where every one of them must be found: a search that
finds nothing there would prove nothing.
"""

import base64
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from forge import Keys, claims, token
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from a2a_bridge.agent import Ask, Turn
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.chat.assistant import AssistantAgent
from a2a_bridge.cli.callers import auth_of
from a2a_bridge.config import load_config
from a2a_bridge.errors import ConfigError
from a2a_bridge.guard import Guard
from a2a_bridge.observe import log, metrics, requests, spans
from a2a_bridge.observe.switches import Observe
from a2a_bridge.server.auth import Auth, Tokens
from a2a_bridge.server.identity import ApiKeys, Basic, Key
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.tasks.push import Push
from a2a_bridge.testing.agents import Scripted
from a2a_bridge.testing.server import running
from a2a_bridge.testing.wire import Wire, eventually, say

NAMES = (
    "api key in a header",
    "api key in a query",
    "api key in a cookie",
    "api key from the environment",
    "wrong api key",
    "wrong bearer token",
    "wrong basic password",
    "basic password",
    "id inside a good token",
    "token of a webhook",
    "credentials of a webhook",
    "query of a webhook",
    "user information of a webhook that is refused",
    "answer to an auth ask",
    "data in an answer to an auth ask",
    "metadata of an answer to an auth ask",
    "key of a model",
    "credentials in an exception",
    "key that webhooks are sealed with",
    "proxy authorization",
)


class Leaky:
    """An app that writes down every request as it came."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            leak("%r %r", scope["query_string"], scope["headers"])
            for name, value in scope["headers"]:
                if name == b"authorization" and value.lower().startswith(b"basic "):
                    leak("%r", base64.b64decode(value[6:]))
                if name == b"authorization" and value.count(b".") == 2:
                    leak("%r", base64.urlsafe_b64decode(value.split(b".")[1] + b"=="))

        async def noted() -> Message:
            message = await receive()
            leak("%r", message.get("body"))
            return message

        await self._app(scope, noted, send)


def leak(text: str, *values: Any) -> None:
    logging.getLogger("leak").warning(text, *values)


class Gone:
    """A webhook that is not there any more; `asked` counts who tried."""

    def __init__(self) -> None:
        self.app = Starlette(routes=[Route("/hook", self.answer, methods=["POST"])])
        self.asked = 0

    async def answer(self, request: Request) -> Response:
        self.asked += 1
        return Response(status_code=410)

    async def drain(self) -> None: ...

    def hurry(self) -> None: ...

    def waits(self) -> str:
        return ""


class Scene:
    """A server with everything in it that has to do with secrets, and everything that can be seen of it."""

    def __init__(self, folder: Path, tokens: Tokens, keys: Keys) -> None:
        self.canaries = {name: f"{secrets.token_hex(16)}canary" for name in NAMES}
        self.folder, self.tokens, self.keys = folder, tokens, keys
        self.errors: list[str] = []

    async def behave(self, turn: Turn) -> AsyncGenerator[Any, None]:
        """Asks for credentials, takes them, or breaks with some in its exception."""
        if turn.text == "auth":
            yield Ask("Log in first.", kind="auth")
        elif turn.text == "crash":
            used = self.canaries["credentials in an exception"]
            raise RuntimeError(f"401 from upstream; the request had Authorization: Bearer {used}")
        else:
            yield "Thank you."

    def bridge(self, url: str) -> Bridge:
        c = self.canaries
        schemes = {
            "header": ApiKeys([Key.of("ann", c["api key in a header"])], name="X-Key"),
            "query": ApiKeys([Key.of("ann", c["api key in a query"])], name="k", location="query"),
            "cookie": ApiKeys([Key.of("ann", c["api key in a cookie"])], name="k", location="cookie"),
            "basic": Basic([Key.of("ann", c["basic password"])]),
            "bearer": self.tokens,
            **auth_of(self.settings().auth).schemes,
        }
        model = AssistantAgent(
            "model",
            llm_config={
                "model": "m",
                "base_url": "http://127.0.0.1:1/v1",
                "api_key": c["key of a model"],
                "max_retries": 0,
            },
        )
        push = Push(guard=Guard(loopback=True), key=c["key that webhooks are sealed with"])
        options = Options(observe=Observe(metrics=True, requests=True), push=push)
        store = SQLiteStore(self.folder / "store" / "tasks.sqlite")
        agents = {"one": Scripted(self.behave), "model": model}
        return Bridge(agents, store=store, public_url=url, auth=Auth(schemes=schemes), options=options)

    def settings(self) -> Any:
        file = self.folder / "a2a-bridge.toml"
        keys = 'keys = [{ principal = "env", secret = "${ENV_KEY}" }]'
        file.write_text(f'[auth.schemes.env]\nkind = "api_key"\nname = "X-Env"\n{keys}\n')
        found = load_config(file, {"ENV_KEY": self.canaries["api key from the environment"]})
        logging.getLogger("a2a_bridge").debug("settings: %r", found)
        try:
            load_config(file, {"A2A_BRIDGE_AUTH__SCHEMES__ENV__KIND": self.canaries["api key from the environment"]})
        except ConfigError as error:
            self.errors.append(str(error))
        return found

    async def play(self, http: httpx.AsyncClient, gone: Gone, hooks: str) -> None:
        """Every canary is sent, or used, at least once; what was refused is kept."""
        c = self.canaries
        good = {"x-key": c["api key in a header"]}
        wire = Wire(http, "/one/")

        async def knock(headers: dict[str, str], query: str = "") -> httpx.Response:
            call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say()}
            answer = await http.post(f"/one/{query}", json=call, headers={**headers, "accept": "application/json"})
            self.errors.append(answer.text)
            return answer

        await knock({"cookie": f"k={c['api key in a cookie']}"})
        await knock({}, f"?k={quote(c['api key in a query'])}")
        await knock({"x-env": c["api key from the environment"]})
        await knock(basic(c["basic password"]))
        await knock({"authorization": f"Bearer {token(self.keys.ec, payload=claims(jti=c['id inside a good token']))}"})
        accepted = len([text for text in self.errors if "TASK_STATE_COMPLETED" in text])
        assert accepted == 5
        await knock({"x-key": c["wrong api key"], "proxy-authorization": f"Basic {c['proxy authorization']}"})
        await knock({"authorization": f"Bearer {c['wrong bearer token']}"})
        await knock(basic(c["wrong basic password"]))
        hook = {
            "url": f"{hooks}/hook?sig={c['query of a webhook']}",
            "token": c["token of a webhook"],
            "authentication": {"scheme": "Bearer", "credentials": c["credentials of a webhook"]},
        }
        asked = say("auth") | {"configuration": {"taskPushNotificationConfig": hook}}
        task = (await wire.result("SendMessage", asked, headers=good))["task"]["id"]
        data = {"code": c["data in an answer to an auth ask"]}
        answer = say(
            taskId=task,
            parts=[{"text": c["answer to an auth ask"]}, {"data": data}],
            metadata={"x": c["metadata of an answer to an auth ask"]},
        )
        assert "Thank you" in str(await wire.result("SendMessage", answer, headers=good))
        bad = {"taskId": task, "url": f"https://me:{c['user information of a webhook that is refused']}@hooks.example/"}
        self.errors.append(str(await wire.error("CreateTaskPushNotificationConfig", bad, headers=good)))
        for method in ("ListTaskPushNotificationConfigs", "GetTask"):
            found = await wire.result(method, {"taskId": task, "id": task}, headers=good)
            if method == "GetTask":
                self.errors.append(str(found))
        self.errors.append(str(await wire.result("SendMessage", say("crash"), headers=good)))
        broken = Wire(http, "/model/")
        params = say()
        self.errors.append(str(await broken.result("SendMessage", params, headers=good)))
        await eventually(lambda: gone.asked > 0)
        self.errors.append(http_metrics().decode())


def http_metrics() -> bytes:
    assert metrics.active is not None
    return metrics.active.text()[0]


def basic(password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"ann:{password}".encode()).decode()}


def forms(canary: str) -> list[bytes]:
    """How it could stand somewhere: as it is, or in base64 of itself or of name and password."""
    return [canary.encode(), base64.b64encode(canary.encode()), base64.b64encode(f"ann:{canary}".encode())]


def found_in(places: Mapping[str, bytes], canaries: Mapping[str, str]) -> dict[str, list[str]]:
    """The canaries that can be seen, and where."""
    seen = {
        name: [place for place, said in places.items() if any(form in said for form in forms(canary))]
        for name, canary in canaries.items()
    }
    return {name: where for name, where in seen.items() if where}


@pytest.fixture
def traced() -> Iterator[InMemorySpanExporter]:
    """Traces on, kept in memory; everything that is for the whole process goes back afterwards."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.switch_on(provider)
    yield exporter
    spans.switch_off()
    metrics.switch_off()
    requests.switch_log(on=False)


async def seen(
    scene: Scene, exporter: InMemorySpanExporter, heard: Callable[[], str], wrap: Callable[[ASGIApp], ASGIApp]
) -> dict[str, list[str]]:
    """Play the scene and look everywhere."""

    def wrapped(url: str) -> Bridge:
        bridge = scene.bridge(url)
        bridge.app = wrap(bridge.app)
        return bridge

    (scene.folder / "store").mkdir()
    gone, version = Gone(), {"A2A-Version": "1.0"}
    async with running(lambda at: gone) as hooks, running(wrapped) as url:  # type: ignore[arg-type, return-value]
        async with httpx.AsyncClient(base_url=url, headers=version, timeout=10) as http:
            await scene.play(http, gone, hooks)
        store = b"".join(file.read_bytes() for file in sorted((scene.folder / "store").iterdir()))
    made = exporter.get_finished_spans()
    told = [(span.name, dict(span.attributes or {}), span.events, span.status) for span in made]
    assert len(told) > 10
    assert b"Log in first." in store  # the look into the store sees something
    log_text = heard()
    assert "a request was refused" in log_text
    assert "401 from upstream" in log_text
    places = {
        "log": log_text.encode(),
        "traces": repr(told).encode(),
        "errors and metrics": "\n".join(scene.errors).encode(),
        "store": store + b"".join(file.read_bytes() for file in sorted((scene.folder / "store").iterdir())),
    }
    return found_in(places, scene.canaries)


async def test_none_of_twenty_secrets_is_seen_and_all_are_in_a_build_that_leaks(
    tmp_path: Path, tokens: Tokens, keys: Keys, traced: InMemorySpanExporter, capsys: pytest.CaptureFixture[str]
) -> None:
    """R-SEC-11, R-SEC-06, R-AUTHREQ-05: the leaky build first, so that the search is known to find."""
    for folder in ("leaky", "tight"):
        (tmp_path / folder).mkdir()
    scene = Scene(tmp_path / "leaky", tokens, keys)
    log.configure("debug", json_lines=True)
    logging.getLogger().handlers[0].setFormatter(logging.Formatter())  # no scrubbing
    for name in ("key of a model", "key that webhooks are sealed with", "api key from the environment"):
        leak("configured with %s", scene.canaries[name])
    leaked = await seen(scene, traced, lambda: capsys.readouterr().err, Leaky)
    assert leaked.keys() == scene.canaries.keys()

    scene = Scene(tmp_path / "tight", tokens, keys)
    log.configure("debug", json_lines=True)
    assert await seen(scene, traced, lambda: capsys.readouterr().err, lambda app: app) == {}
    assert len(scene.canaries) == 20

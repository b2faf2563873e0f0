"""Puts agents, cards, tasks, store and server together: `Bridge`, and `serve`, one of the three sync edges.

Who does what. The app's lifespan opens the store, takes up what an earlier process left, and owns one housekeeping
task. `serve` runs uvicorn (`listen.py`), whose shutdown drains the bridge first: not ready, no new sends, running
turns get their grace, streams say goodbye; then uvicorn closes its connections and the lifespan closes the store.
Under somebody else's uvicorn the streams notice the stop, within a second, and the bridge drains in the same way.
"""

import asyncio
import contextlib
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import Agent
from a2a_bridge.cards.build import build_card, input_modes, with_extended, with_push, with_url
from a2a_bridge.cards.extended import ExtendedCard, ExtendedSource
from a2a_bridge.cards.load import load_card
from a2a_bridge.cards.modes import Versions, with_old_interfaces
from a2a_bridge.cards.sign import Signer, SigningKey
from a2a_bridge.config import check_agent_name
from a2a_bridge.errors import ConfigError, StoreError
from a2a_bridge.listen import Listening, run_server, server_for
from a2a_bridge.net import SERVES
from a2a_bridge.observe import log
from a2a_bridge.observe.switches import Observe
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.server.app import App, Served
from a2a_bridge.server.auth import Auth
from a2a_bridge.server.gate import Gate, secured
from a2a_bridge.server.jsonrpc import JsonRpcEndpoint
from a2a_bridge.server.limits import Limits, Places
from a2a_bridge.server.operations import Operations, Spoken
from a2a_bridge.server.rest import RestEndpoint
from a2a_bridge.server.sse import Streams
from a2a_bridge.store.contract import Store
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.tasks.live import Bounds, Keeping
from a2a_bridge.tasks.push import Push, webhooks_in
from a2a_bridge.tasks.service import TaskService

_log = logging.getLogger(__name__)

SWEEP_SECONDS = 60.0
LAST_EVENTS_SECONDS = 0.05
"""What streams get, when the server stops, to send the last events of turns that have just been ended."""


def url_name(name: str) -> str:
    """The agent's name as it stands in a URL: lower case, anything else becomes a hyphen."""
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64].strip("-")
    try:
        return check_agent_name(found)
    except ValueError as error:
        raise ConfigError(f"{error} (from {name!r}; pass name= to choose one)") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What else can be said about a server.

    `observe`: what operators see, for the whole process. `push`: what webhooks are allowed; None: there are none.
    `versions`: of A2A, and how cards show them. `signing_keys`: what cards are signed with, all of them or those of the
    agents that are named; several while keys change. `extended_cards`: those for callers who have said who they are, by
    URL name: a card, its file, or a function from the caller and the public card. `keeping`: for how long what is kept.
    `clock`: seconds since 1970.
    """

    observe: Observe = Observe()
    push: Push | None = Push()
    versions: Versions = Versions()
    signing_keys: Sequence[SigningKey] | Mapping[str, Sequence[SigningKey]] = ()
    extended_cards: Mapping[str, ExtendedSource] = field(default_factory=dict)
    keeping: Keeping = Keeping()
    clock: Callable[[], float] = time.time


class Bridge:
    """Agents, served over A2A from one ASGI app.

    `agents`: anything `adapt` takes, a list of such things, or a mapping from URL names to them. `store`: memory if
    not given. `root`: the agent that also stands at the root of the URL; the first one if not given. `public_url`:
    where callers reach the server; cards name it. `cards`: cards to serve instead of built ones, by URL name; a path
    is loaded. `auth`: who may call; what it asks for stands in the cards, and what the cards promise is enforced.
    `options`: the rest. Raises ConfigError when a card promises what is not configured.
    """

    def __init__(
        self,
        agents: Any,
        *,
        store: Store | None = None,
        root: str | None = None,
        public_url: str = "http://127.0.0.1:8080",
        cards: Mapping[str, AgentCard | Path | str] | None = None,
        limits: Limits = Limits(),
        auth: Auth = Auth(),
        options: Options = Options(),
    ) -> None:
        self.agents = _named_agents(agents)
        self.store: Store = MemoryStore() if store is None else store
        options.observe.switch_on()
        self.limits, self.auth, self.public_url = limits, auth, public_url
        self._is_open = False
        self._ready = False
        self._draining: asyncio.Task[None] | None = None
        self._hurried = asyncio.Event()
        self._streams = Streams(ping=limits.ping, send_timeout=limits.send, on_exit=self._begin_to_drain)
        base = public_url.rstrip("/")
        known = dict(cards or {})
        if unknown := known.keys() - self.agents.keys():
            raise ConfigError(f"cards are given for agents that are not served: {', '.join(sorted(unknown))}")
        durable = not isinstance(self.store, MemoryStore)
        hooks = webhooks_in(
            self.store, options.push, durable=durable, clock=options.clock, forget_after=options.keeping.tasks
        )
        self._pushes = hooks is not None
        self._versions = options.versions
        self._signers = _signers(self.agents, options.signing_keys)
        self._extended = options.extended_cards
        _check_extended(self.agents, auth, self._extended)
        self.cards = {key: self._card(key, known.get(key), f"{base}/{key}/") for key in self.agents}
        self.service = TaskService(
            self.agents,
            self.store,
            clock=options.clock,
            keeping=options.keeping,
            bounds=Bounds(limits.turn, limits.runs, limits.queue, limits.history, limits.log),
            durable=durable,
            input_modes={key: input_modes(card) for key, card in self.cards.items()},
            webhooks=hooks,
        )
        self._gate = Gate(auth, self.cards, limits) if auth.is_asked or limits.rate else None
        self._places = Places(limits.streams, limits.caller_streams)
        served = {key: self._served(key, limits) for key in self.agents}
        root = next(iter(self.agents)) if root is None else root
        if root not in self.agents:
            raise ConfigError(f"root={root!r} is none of the agents: {', '.join(self.agents)}")
        self.app: ASGIApp = App(
            served,
            root=root,
            root_card=self._card(root, known.get(root), f"{base}/"),
            base_url=base,
            versions=options.versions,
            ready=lambda: self._ready,
            lifespan=self._lifespan,
        )

    def _card(self, key: str, card: AgentCard | Path | str | None, url: str) -> AgentCard:
        """The card of an agent that is reached at `url`: the one that was given, or one built from what it is."""
        if card is None:
            found = build_card(self.agents[key], url=url)
            found = with_push(found) if self._pushes else found
        else:
            found = with_url(
                card if isinstance(card, AgentCard) else load_card(card),
                url,
                push=self._pushes,
                extended=key in self._extended,
            )
        found = with_extended(found) if key in self._extended else found
        found = with_old_interfaces(found, url) if self._versions.v03 else found
        return secured(found, self.auth)

    def _served(self, key: str, limits: Limits) -> Served:
        signer, extended = self._signers.get(key), self._extended.get(key)
        operations = Operations(
            self.service,
            key,
            self.cards[key],
            gate=self._gate,
            extended_card=None if extended is None else ExtendedCard(extended, self.cards[key], signer),
            spoken=Spoken(self._versions.spoken, self._versions.lenient),
            max_parts=limits.parts,
            places=self._places,
        )
        return Served(
            JsonRpcEndpoint(operations, self._streams, max_body=limits.body, max_depth=limits.depth),
            RestEndpoint(operations, self._streams, max_body=limits.body, max_depth=limits.depth),
            self.cards[key],
            signer,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    async def open(self) -> None:
        """Open the store and take up unfinished tasks, if that has not been done; StoreUnavailableError says why the
        store cannot be had, or cannot be written to."""
        if self._is_open:
            return
        await self.store.open()
        try:
            await self.service.start()
            self._is_open = True
        finally:
            if not self._is_open:  # a full disk, or cancelled: nobody else ends what has been taken up
                await self.service.stop(0, self._hurried)
                await self.store.close()

    async def start(self) -> None:
        """Open what is not open, and be ready; the app's lifespan calls it."""
        await self.open()
        self._housekeeping = asyncio.get_running_loop().create_task(self._sweep(), name=SERVES)
        self._ready = True
        threading.Thread(target=_warm, daemon=True, name="a2a-bridge-warm").start()

    async def drain(self) -> None:
        """Not ready, no new sends, running turns get their grace, streams end. Calling it again waits for the same."""
        await asyncio.shield(self._begin_to_drain())

    def hurry(self) -> None:
        """A drain waits no longer for running turns: they are cut as at the end of the grace."""
        self._hurried.set()

    def waits(self) -> str:
        """What a drain would wait for, in words; empty if for nothing."""
        running = self.service.running
        turns = "1 turn" if running == 1 else f"{running} turns"
        return f"waiting up to {self.limits.grace:g} s for {turns}" if running else ""

    def _begin_to_drain(self) -> "asyncio.Task[None]":
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())
        return self._draining

    async def _drain(self) -> None:
        self._ready = False
        await self.service.stop(self.limits.grace, self._hurried)
        if len(self._streams):
            await asyncio.sleep(LAST_EVENTS_SECONDS)
        self._streams.end_all()

    async def stop(self) -> None:
        """Drain, then close the store; the app's lifespan calls it."""
        await self.drain()
        self._housekeeping.cancel()
        await self.store.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.service.sweep()
            except StoreError:
                _log.exception("old tasks could not be removed")


def _warm() -> None:
    """Pay early for what is imported late."""
    import anyio._backends._asyncio  # noqa: F401


def _named_agents(agents: Any) -> dict[str, Agent]:
    if isinstance(agents, Mapping):
        found = [(check_agent_name(str(key)), adapt(value)) for key, value in agents.items()]
    elif isinstance(agents, Sequence) and not isinstance(agents, str):
        found = [(url_name(agent.name), agent) for agent in map(adapt, agents)]
    else:
        agent = adapt(agents)
        found = [(url_name(agent.name), agent)]
    if not found:
        raise ConfigError("there is no agent to serve")
    if twice := sorted(key for key, times in Counter(key for key, _ in found).items() if times > 1):
        raise ConfigError(
            f"two agents have the same name in URLs: {', '.join(twice)}. Name them yourself,"
            ' in a dict instead of a list: {"first": agent, "second": other}'
        )
    return dict(found)


def _check_extended(agents: Mapping[str, Agent], auth: Auth, extended: Mapping[str, ExtendedSource]) -> None:
    """R-EXTC-01: an extended card needs callers who can say who they are."""
    if unknown := extended.keys() - agents.keys():
        raise ConfigError(f"extended cards are given for agents that are not served: {', '.join(sorted(unknown))}")
    if extended and not auth.schemes:
        raise ConfigError("extended cards are for callers who authenticate, and nobody can: configure auth")


def _signers(
    agents: Mapping[str, Agent], keys: Sequence[SigningKey] | Mapping[str, Sequence[SigningKey]]
) -> dict[str, Signer]:
    by_name = keys if isinstance(keys, Mapping) else dict.fromkeys(agents, keys)
    if unknown := by_name.keys() - agents.keys():
        raise ConfigError(f"signing keys are given for agents that are not served: {', '.join(sorted(unknown))}")
    return {name: Signer(found) for name, found in by_name.items() if found}


async def serve_async(
    agents: Any,
    *,
    name: str | None = None,
    description: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    public_url: str | None = None,
    store: Store | str | Path | None = None,
    auth: Auth = Auth(),
) -> None:
    """`serve` inside a running event loop. Cancelling it stops the server in good order: running turns get their grace,
    and the store is closed; a second time, at once."""
    bridge = _bridge(agents, name, description, _public(public_url, host, port), store, auth)
    await server_for(bridge, Listening(host, port), ready=partial(_announce, bridge)).serve()


def serve(
    agents: Any,
    *,
    name: str | None = None,
    description: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    public_url: str | None = None,
    store: Store | str | Path | None = None,
    auth: Auth = Auth(),
) -> None:
    """Serve agents over A2A until the process is asked to stop; blocks.

    `agents`: one of anything `adapt` takes, or several in a list. `name` and `description` are for a single one.
    Each is at /NAME/, the first one at the root too. `store` None: a SQLite file `a2a-bridge-<first agent>.sqlite` in
    the working directory, which belongs to one process; a path: that file; "memory": kept as long as the process; a
    store: that one. `public_url`: where callers reach it, if that is not http://host:port. `auth`: who may call. A
    `host` that others reach needs schemes in it, or `Auth(allow_anonymous=True)`. Raises StoreUnavailableError or
    ConfigError when the store or the port is taken or strangers could call, and RuntimeError inside a running event
    loop: `await serve_async(...)` there.
    """
    if _loop_is_running():
        raise RuntimeError(
            "serve() cannot run inside a running event loop: use `await serve_async(...)` of a2a_bridge.bridge there;"
            " in a notebook `serving = asyncio.create_task(serve_async(...))`, and `serving.cancel()` to stop"
        )
    bridge = _bridge(agents, name, description, _public(public_url, host, port), store, auth)
    log.configure()
    run_server(bridge, Listening(host, port), ready=partial(_announce, bridge))


def _announce(bridge: Bridge) -> None:
    kept = getattr(bridge.store, "path", None)
    for key, card in bridge.cards.items():
        fields = {"url": card.supported_interfaces[0].url, "tasks": "in memory" if kept is None else str(kept)}
        _log.info("serving %s", bridge.agents[key].name, extra={"fields": fields})


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _public(public_url: str | None, host: str, port: int) -> str:
    """Never 0.0.0.0 in a card: nobody can call that."""
    shown = "127.0.0.1" if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return public_url or f"http://{shown}:{port}"


def _bridge(
    agents: Any,
    name: str | None,
    description: str | None,
    public_url: str,
    store: Store | str | Path | None,
    auth: Auth,
) -> Bridge:
    if name is not None or description is not None:
        if isinstance(agents, Mapping | list | tuple):
            raise ConfigError("name= and description= are for one agent; of several, each has its own")
        agents = adapt(agents, name=name, description=description)
    if store == "memory":
        store = MemoryStore()
    elif store is None:
        store = f"a2a-bridge-{next(iter(_named_agents(agents)))}.sqlite"
    if isinstance(store, str | Path):
        store = SQLiteStore(store)
    options = Options()
    return Bridge(agents, store=store, public_url=public_url, auth=auth, options=options)

"""`a2a-bridge serve`: publish agents until the process is asked to stop."""

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from a2a_bridge.adaptation import adapt, adapters
from a2a_bridge.agent import Agent
from a2a_bridge.bridge import Bridge, Options, url_name
from a2a_bridge.cards.modes import Versions
from a2a_bridge.cards.sign import SigningKey, load_signing_key
from a2a_bridge.chat import prices
from a2a_bridge.cli.callers import auth_of
from a2a_bridge.cli.fault import UNREACHABLE, CommandError, Fault, usage
from a2a_bridge.cli.main import leave
from a2a_bridge.cli.options import flat
from a2a_bridge.cli.output import note
from a2a_bridge.cli.remotes import unread_cards
from a2a_bridge.cli.target import load_target
from a2a_bridge.config import CONFIG_FILE, PushSettings, Settings, StoreSettings, load_config
from a2a_bridge.guard import Guard
from a2a_bridge.listen import TLS, Listening, check_bind, run_server
from a2a_bridge.observe import log, spans
from a2a_bridge.observe.switches import Observe
from a2a_bridge.server.limits import Limits
from a2a_bridge.store.contract import Store
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.tasks.live import Keeping
from a2a_bridge.tasks.push import Push

_log = logging.getLogger(__name__)

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What stands above environment and file."""

    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]TARGET", show_default=False, help="MODULE:ATTRIBUTE of an agent, or the URL of one."
        ),
    ] = None
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="A2A_BRIDGE_CONFIG", metavar="FILE", help=f"Default: {CONFIG_FILE}, if no TARGET is given."
        ),
    ] = None
    host: Annotated[str | None, typer.Option(help="Listen here.  [default: 127.0.0.1]")] = None
    port: Annotated[int | None, typer.Option(help="Listen on this port; 0: a free one.  [default: 8080]")] = None
    store: Annotated[
        str | None,
        typer.Option(metavar="memory|FILE", help="Where tasks are kept.  [default: a2a-bridge-AGENT.sqlite]"),
    ] = None
    name: Annotated[str | None, typer.Option(help="Name of the agent, if it is the only TARGET.")] = None
    description: Annotated[str | None, typer.Option(help="What it does, likewise.")] = None
    public_url: Annotated[str | None, typer.Option(metavar="URL", help="Where callers reach this server.")] = None
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="Anybody who reaches the server may call, not only this machine.")
    ] = False


@app.command("serve")
@flat
def serve(options: ServeOptions) -> None:
    """Publish agents over A2A, until the process is asked to stop.

    TARGETs are served beside the agents of the file, if one is named. Settings come from flags, then from A2A_BRIDGE_*
    variables, HOST, PORT and LOG_LEVEL, then from the file.
    """
    settings = _settings(options)
    log.configure(settings.server.log_level)
    prices.table()  # what is wrong with it is said now, not after the first call of a model
    agents, cards = _agents(options, settings)
    server = settings.server
    auth = auth_of(settings.auth)
    check_bind(server.host, auth)
    port = _port_to_use(server.host, server.port)
    base = server.model_copy(update={"port": port}).base_url
    limits = Limits(**server.limits.model_dump())
    bridge = Bridge(
        agents,
        store=_store(settings.store, next(iter(agents))),
        root=server.root,
        public_url=base,
        cards=cards,
        limits=limits,
        auth=auth,
        options=Options(
            observe=Observe(**settings.observe.model_dump()),
            push=_push(settings.push),
            keeping=Keeping(**settings.keeping.model_dump()),
            versions=Versions(**settings.versions.model_dump()),
            signing_keys=_signing_keys(settings, agents),
            extended_cards={key: said.extended_card for key, said in settings.agents.items() if said.extended_card},
        ),
    )
    tls = None if server.tls is None else TLS(**server.tls.model_dump())
    signal.signal(signal.SIGTERM, leave)  # uvicorn hands the signal on when it is done
    try:
        with spans.exporting() if settings.observe.traces else contextlib.nullcontext():
            listening = Listening(server.host, port, server.log_level, tls, server.allowed_hosts, server.keep_alive)
            run_server(bridge, listening, ready=lambda: _announce(bridge, base, settings))
    except SystemExit as end:  # uvicorn's codes for a failed start mean other things in our table
        raise typer.Exit(1 if end.code else 0) from None


def _settings(options: ServeOptions) -> Settings:
    path = options.config
    if path is None and not options.targets and Path(CONFIG_FILE).is_file():
        path = Path(CONFIG_FILE)
    flags: dict[str, dict[str, Any]] = {
        "server": {"host": options.host, "port": options.port, "public_url": options.public_url},
        "auth": {"allow_anonymous": options.allow_anonymous or None},
    }
    settings = load_config(path, os.environ, flags=flags)
    if options.store is None:
        return settings
    if options.store == "memory":
        return settings.model_copy(update={"store": StoreSettings(kind="memory")})
    chosen = StoreSettings(path=Path(options.store), sync=settings.store.sync)
    return settings.model_copy(update={"store": chosen})


def _agents(options: ServeOptions, settings: Settings) -> tuple[dict[str, Agent], dict[str, Path | str]]:
    targets = [_named(target) for target in options.targets or []]
    if (options.name or options.description) and len(targets) != 1:
        raise usage("--name and --description are for a single TARGET", "several have a name each: NAME=TARGET")
    if options.name and targets[0][0]:
        raise usage("--name and NAME= both name the agent", "one of the two")
    adapters()  # before the user's modules: an adapter may have to silence its framework before that is imported
    found = [
        (key, True, said.target, adapt(_object(said.target), name=said.name, description=said.description))
        for key, said in settings.agents.items()
    ]
    for said_name, target in targets:
        name = said_name or options.name
        agent = adapt(_object(target), name=name, description=options.description)
        found.append(("", name is not None, target, agent))
    unread = unread_cards([agent for *_, agent in found])
    agents: dict[str, Agent] = {}
    for (given, named, target, agent), why in zip(found, unread, strict=True):
        key = given or url_name(agent.name)
        if why is not None:
            if not named:
                hint = f"start it, or give it a name: NAME={target}"
                raise CommandError(Fault(UNREACHABLE, f"{target}: {why}", hint))
            _say(f"{key}: {why}. It is served all the same, and each call tries again", logging.WARNING)
        if key in agents:
            raise usage(f"{target}: there is an agent {key!r} already", f"another name for this one: NAME={target}")
        agents[key] = agent
    if not agents:
        raise usage(
            "there is nothing to serve", f"a2a-bridge serve MODULE:ATTRIBUTE, or [agents.NAME] in {CONFIG_FILE}"
        )
    return agents, {key: said.card for key, said in settings.agents.items() if said.card is not None}


def _signing_keys(settings: Settings, agents: Iterable[str]) -> dict[str, list[SigningKey]]:
    """The keys of each agent: its own, else those of [cards]."""
    said = dict.fromkeys(agents, settings.cards.signing_keys)
    said |= {key: agent.signing_keys for key, agent in settings.agents.items() if agent.signing_keys}
    return {key: [load_signing_key(source) for source in sources] for key, sources in said.items()}


def _named(target: str) -> tuple[str | None, str]:
    """The name before a target, if there is one: a URL may have an equals sign of its own."""
    name, equals, rest = target.partition("=")
    return (name, rest) if name and equals and ":" not in name else (None, target)


def _object(target: str) -> Any:
    return target if target.startswith(("http://", "https://")) else load_target(target)


def _push(settings: PushSettings) -> Push | None:
    if not settings.enabled:
        return None
    guard = Guard(frozenset(settings.ports), settings.loopback, settings.allow, settings.only)
    return Push(guard, settings.key, settings.per_task, settings.shows_credentials)


def _store(settings: StoreSettings, first: str) -> Store:
    if settings.kind == "memory":
        return MemoryStore()
    return SQLiteStore(settings.path or Path(f"a2a-bridge-{first}.sqlite"), sync=settings.sync)


def _port_to_use(host: str, port: int) -> int:
    """The port, or for 0 one that is free now: cards name it, so it must be known before the server binds."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            told = f"cannot listen on {host}:{port}: {error.strerror or error}"
            raise usage(told, "another one: --port 0") from error
        return int(probe.getsockname()[1])


def _announce(bridge: Bridge, base: str, settings: Settings) -> None:
    """Say who is served where, what to type next, and where tasks are kept."""
    for key, agent in bridge.agents.items():
        _say(f"{agent.name}: {base}/{key}/")
    if settings.server.host in ("0.0.0.0", "::", "") and settings.server.public_url is None:
        told = f"cards say {base}, which others cannot reach: set --public-url or A2A_BRIDGE_PUBLIC_URL"
        _say(told, logging.WARNING)
    if not settings.auth.schemes and settings.server.public_url is None and settings.server.tls is None:
        _say(f"Try it: a2a-bridge send -a {base}/{next(iter(bridge.agents))} hello")
    store = bridge.store
    kept = store.path if isinstance(store, SQLiteStore) else "memory: they are gone when this server stops"
    _say(f"Tasks are kept in {kept}")


def _say(text: str, level: int = logging.INFO) -> None:
    """On standard error: as it is on a terminal, else as a line of the log, where all lines have one form."""
    if sys.stderr.isatty():
        note(f"Warning: {text}" if level > logging.INFO else text)
    else:
        _log.log(level, "%s", text)

"""The settings of a served process: `a2a-bridge.toml`, the environment, and what they mean together.

Precedence: flag, then environment, then file, then default. Every key is known or an error: a setting with a typo must
not be a setting that is silently off. Strings of the file may hold `${NAME}` and `${NAME:-default}`; `$${` is a plain
`${`. Where the environment has no NAME but a NAME_FILE, that file holds the value, as secrets of containers do. In the
environment a setting is `A2A_BRIDGE_SECTION__KEY`, and `PORT`, `HOST`, `LOG_LEVEL` and `A2A_BRIDGE_PUBLIC_URL` are
understood as well; a list is words with commas, a list of tables is JSON. Other names with our prefix and no `__` are
not ours to judge, since Kubernetes makes some of its own beside a Service called `a2a-bridge`, unless they spell a
setting with too few underscores. An empty variable is an unset one.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from a2a_bridge.auth_settings import AuthSettings, Section, Words, listed
from a2a_bridge.config_errors import sentences, setting_spelled
from a2a_bridge.errors import ConfigError

CONFIG_FILE = "a2a-bridge.toml"
ENV_PREFIX = "A2A_BRIDGE_"
RESERVED_NAMES = frozenset(
    {"tasks", "v1", "healthz", "readyz", "health", "metrics", "extendedAgentCard", "message:send", "message:stream"}
)
"""Path segments that mean something else under our server, so no agent may be called so."""

_AGENT_NAME = re.compile(r"[a-z0-9-]{1,64}")
_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_PLAIN_ENV = {
    "HOST": ("server", "host"),
    "PORT": ("server", "port"),
    "LOG_LEVEL": ("server", "log_level"),
    "A2A_BRIDGE_PUBLIC_URL": ("server", "public_url"),
}
_FILES = ((("store",), ("path",)), (("server", "tls"), ("certfile", "keyfile", "ca_certs")))
_EVERYWHERE = ("0.0.0.0", "::", "")


def _is_key(said: object) -> bool:
    """Whether a setting is a private key itself, and not the name of its file."""
    return isinstance(said, str) and said.lstrip().startswith(("-----BEGIN", "{"))


class CardSettings(Section):
    """What cards are signed with: private keys, by file, or as `${NAME}` if the environment holds one."""

    signing_keys: Annotated[
        tuple[str, ...], BeforeValidator(lambda said: (said,) if _is_key(said) else listed(said))
    ] = Field(default=(), repr=False)


class AgentSettings(CardSettings):
    """One agent: `target` is `module:attribute`, any object that `adapt` takes, or a URL; `card` is the file of its
    card, `extended_card` that of the one for callers who have said who they are. Without keys of its own, those of
    [cards] count."""

    target: str = Field(
        pattern=r"^([A-Za-z_][\w.]*:[A-Za-z_][\w.]*|https?://\S+)$",
        description="module:attribute, such as app.agents:planner, or the URL of an A2A agent",
    )
    card: Path | None = None
    extended_card: Path | None = None
    name: str | None = Field(default=None, min_length=1)
    description: str | None = Field(default=None, min_length=1)


class LimitSettings(Section):
    """What one server allows: `a2a_bridge.server.limits.Limits` tells what each one bounds. Sizes in bytes, times in
    seconds; 0 where it is permitted: no limit."""

    body: int = Field(default=4 * 1024 * 1024, ge=1024)
    depth: int = Field(default=64, ge=8, le=256)
    parts: int = Field(default=256, ge=0)
    rate: float = Field(default=0.0, ge=0)
    burst: int = Field(default=40, ge=1)
    attempts: float = Field(default=1.0, ge=0)
    attempts_burst: int = Field(default=20, ge=1)
    streams: int = Field(default=2000, ge=0)
    caller_streams: int = Field(default=500, ge=0)
    runs: int = Field(default=1000, ge=0)
    queue: int = Field(default=100, ge=0)
    history: int = Field(default=1000, ge=0)
    log: int = Field(default=64 * 1024 * 1024, ge=0)
    turn: float = Field(default=1800.0, gt=0)
    grace: float = Field(default=10.0, ge=0)
    ping: float = Field(default=15.0, ge=0)
    send: float = Field(default=30.0, gt=0)


class TLSSettings(Section):
    """Our certificate, and whose client certificates are good; PEM files."""

    certfile: Path
    keyfile: Path | None = None
    ca_certs: Path | None = None
    client_required: bool = False


class ServerSettings(Section):
    """Where we listen, under which address others reach us, and what we allow.

    `root` is the agent that also stands at the root of the URL: the first one if not given. `allowed_hosts`: names of
    ours in the Host header, beside loopback and that of `public_url`; checked on loopback, elsewhere if any are given;
    "*" switches the check off. `keep_alive`: seconds that a connection may wait for its next request, longer than a
    proxy in front lets it.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: str | None = None
    root: str | None = None
    limits: LimitSettings = LimitSettings()
    tls: TLSSettings | None = None
    allowed_hosts: Words = ()
    keep_alive: int = Field(default=75, ge=1)
    log_level: Literal["critical", "error", "warning", "info", "debug"] = "info"

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("public_url")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", value):
            raise ValueError("must be an absolute URL such as https://agents.example.org, without ? and #")
        return value

    @property
    def base_url(self) -> str:
        """What stands in cards: `public_url`, else the listening address, never an address that means "everywhere"."""
        if self.public_url is not None:
            return self.public_url.rstrip("/")
        host = "127.0.0.1" if self.host in _EVERYWHERE else self.host
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"


class StoreSettings(Section):
    """Where tasks are kept.

    `path` is the SQLite file: `a2a-bridge-AGENT.sqlite` in the working directory if not given, after the first agent.
    `sync`: `normal` survives a killed process, `full` also a power failure.
    """

    kind: Literal["memory", "sqlite"] = "sqlite"
    path: Path | None = None
    sync: Literal["normal", "full"] = "normal"

    @model_validator(mode="after")
    def _only_what_is_used(self) -> "StoreSettings":
        if self.path is not None and self.path.name == "memory":
            raise ValueError('path is a file: a store in memory is kind = "memory"')
        if self.kind == "memory" and self.model_fields_set & {"path", "sync"}:
            raise ValueError('kind "memory" has neither path nor sync: remove them, or use kind "sqlite"')
        return self


class KeepingSettings(Section):
    """For how long what is kept, in seconds: the events of a finished task, the task itself, a task that waits for
    an answer, and the message ids that make a repeated send harmless."""

    events: float = Field(default=24 * 3600.0, gt=0)
    tasks: float = Field(default=30 * 24 * 3600.0, gt=0)
    waiting: float = Field(default=7 * 24 * 3600.0, gt=0)
    sent: float = Field(default=600.0, gt=0)


class ObserveSettings(Section):
    """What operators see: `metrics` at /metrics, OpenTelemetry `traces`, a log line for each of the `requests`."""

    metrics: bool = False
    traces: bool = False
    requests: bool = False


class PushSettings(Section):
    """Webhooks of tasks. Without more, they may be at https URLs of public hosts, port 443.

    `key` is what they are kept encrypted with, 32 characters or more: a file beside the store if not given. `ports` are
    the ports they may have. `loopback` opens this machine, by http too: for development. `allow` are names
    (`*.example.org` too), addresses and networks of one's own for which neither address nor scheme nor port is judged;
    `only`, if given, are the only ones that may be called at all. `per_task` bounds their number,
    `shows_credentials` lets Get and List tell credentials again.
    """

    enabled: bool = True
    key: str | None = Field(default=None, min_length=32, repr=False)
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (443,)
    loopback: bool = False
    allow: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    per_task: int = Field(default=10, ge=1, le=1000)
    shows_credentials: bool = False

    @field_validator("ports", "allow", "only", mode="before")
    @classmethod
    def _with_commas(cls, value: object) -> object:
        return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _only_what_is_used(self) -> "PushSettings":
        if not self.enabled and (unused := self.model_fields_set - {"enabled"}):
            raise ValueError(f"enabled = false leaves nothing for {', '.join(sorted(unused))}: remove one or the other")
        return self


class VersionSettings(Section):
    """Which versions of A2A are spoken: 1.0 always, 0.3 beside it on the same URLs if `v03`.

    `card`: what a reader of the card gets that names no version; "hybrid" if not given, or "v1" without 0.3.
    `lenient`: a call that names no version means the one its method or path belongs to, instead of 0.3.
    """

    v03: bool = True
    card: Literal["v1", "hybrid", "negotiated"] | None = None
    lenient: bool = False

    @model_validator(mode="after")
    def _needs_0_3(self) -> "VersionSettings":
        if not self.v03 and self.card not in (None, "v1"):
            raise ValueError(f'card "{self.card}" is for servers that speak 0.3: set v03 = true, or card = "v1"')
        return self


class Settings(Section):
    """Everything that `a2a-bridge.toml` can say."""

    agents: Mapping[str, AgentSettings] = Field(default_factory=dict)
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    store: StoreSettings = StoreSettings()
    keeping: KeepingSettings = KeepingSettings()
    observe: ObserveSettings = ObserveSettings()
    push: PushSettings = PushSettings()
    versions: VersionSettings = VersionSettings()
    cards: CardSettings = CardSettings()

    @field_validator("agents")
    @classmethod
    def _names(cls, agents: Mapping[str, AgentSettings]) -> Mapping[str, AgentSettings]:
        for name in agents:
            check_agent_name(name)
        return agents


def check_agent_name(name: str) -> str:
    """The name, if an agent may have it in a URL; ValueError says why not."""
    if name in RESERVED_NAMES:
        raise ValueError(f"{name!r} is a path of the server itself: choose another name for the agent")
    if not _AGENT_NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be part of a URL: an agent's name is 1 to 64 of a-z, 0-9 and -")
    return name


def load_config(
    path: Path | None, env: Mapping[str, str], *, flags: Mapping[str, Mapping[str, Any]] | None = None
) -> Settings:
    """The settings of a file (None: no file), of an environment and of flags, which are sections of keys.

    A flag that is None was not given. Paths in the file are relative to the file's folder. Raises ConfigError, which
    names the source, the key and the reason.
    """
    found = _read(path, env) if path is not None else {}
    sources: dict[tuple[str, ...], str] = {}
    for name, where, value in _from_env(env):
        _put(found, where, value)
        sources[where] = name
    for section, keys in (flags or {}).items():
        for key, value in keys.items():
            if value is not None:
                _put(found, (section, key), value)
                sources[section, key] = "--" + key.replace("_", "-")
    try:
        return Settings.model_validate(found)
    except ValidationError as error:
        problems = [f"{_source(where, path, sources)}: {said}" for where, said in sentences(error, Settings)]
    raise ConfigError("; ".join(problems[:5]))


def _read(path: Path, env: Mapping[str, str]) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    _check_secrets(raw, path)
    found: dict[str, Any] = _interpolated(raw, env, (str(path),))
    return _anchored(found, path.parent)


def _check_secrets(raw: Any, path: Path) -> None:
    """A secret does not stand in a file that is copied and committed."""
    for where, table in {"cards": raw.get("cards"), **_table(raw, "agents")}.items():
        said = _table(table).get("signing_keys")
        if any(map(_is_key, said if isinstance(said, list) else (said,))):
            raise ConfigError(f"{path}: {where}: signing_keys: a private key must not stand in the file: name its file")
    schemes = _table(_table(raw, "auth"), "schemes")
    for name, scheme in schemes.items():
        keys = _table(scheme).get("keys")
        for index, key in enumerate(keys if isinstance(keys, list) else ()):
            secret = _table(key).get("secret")
            if secret is not None and not (isinstance(secret, str) and _VARIABLE.fullmatch(secret)):
                raise ConfigError(
                    f"{path}: auth.schemes.{name}.keys[{index}].secret: a secret must not stand in the file: write"
                    " ${NAME} and set it in the environment, or give its digest"
                )


def _table(value: Any, name: str | None = None) -> dict[str, Any]:
    found = value.get(name) if name is not None and isinstance(value, dict) else value
    return found if isinstance(found, dict) else {}


def _anchored(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths of the file, seen from the file; one that exists only for others (a shipped card) is left as it is."""
    for keeper, names in _FILES:
        table: Any = found
        for step in keeper:
            table = _table(table, step)
        for name in names:
            if isinstance(table.get(name), str):
                table[name] = str(folder / table[name])
    for scheme in _table(_table(found, "auth"), "schemes").values():
        if isinstance(file := _table(scheme).get("jwks_file"), str):
            scheme["jwks_file"] = str(folder / file)
    for table in (_table(found, "cards"), *map(_table, _table(found, "agents").values())):
        _anchor_cards(table, folder)
    return found


def _anchor_cards(table: dict[str, Any], folder: Path) -> None:
    for name in ("card", "extended_card"):
        if isinstance(card := table.get(name), str) and (folder / card).exists():
            table[name] = str(folder / card)
    if isinstance(keys := table.get("signing_keys"), list):
        table["signing_keys"] = [
            str(folder / key) if isinstance(key, str) and not _is_key(key) else key for key in keys
        ]


def _interpolated(value: Any, env: Mapping[str, str], where: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {name: _interpolated(item, env, (*where, name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_interpolated(item, env, where) for item in value]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        name, default = match.groups()
        if name is None:
            return "${"
        if found := env.get(name) or _secret(f"{name}_FILE", env):
            return found
        if default is None:
            told = f"the environment has no {name}; set it, or write ${{{name}:-default}}"
            raise ConfigError(f"{where[0]}: {'.'.join(where[1:])}: {told}")
        return default

    return _VARIABLE.sub(replaced, value)


def _secret(name: str, env: Mapping[str, str]) -> str:
    """What the file holds that this variable names; empty if there is no such variable."""
    file = env.get(name)
    if not file:
        return ""
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{name}: {file}: cannot be read: {said}") from error


def _refuse_too_few_underscores(env: Mapping[str, str]) -> None:
    for name, value in env.items():
        if not name.startswith(ENV_PREFIX) or "__" in name or not value or value.startswith("tcp://"):
            continue  # with tcp:// it is the port of a Service, as Kubernetes tells it
        steps = setting_spelled(name.removeprefix(ENV_PREFIX).lower(), Settings)
        if steps is not None:
            meant = "__".join(steps).upper()
            more = "" if len(steps) > 1 else "__KEY, one variable for each key"
            raise ConfigError(f"{name}: there is no such setting. Did you mean {ENV_PREFIX}{meant}{more}?")


def _from_env(env: Mapping[str, str]) -> list[tuple[str, tuple[str, ...], str]]:
    """Settings in the environment, each as (variable, where it belongs, value); the more special ones come later."""
    _refuse_too_few_underscores(env)
    found: list[tuple[str, tuple[str, ...], str]] = [
        (name, where, env[name]) for name, where in _PLAIN_ENV.items() if env.get(name)
    ]
    for name, value in sorted(env.items()):
        if not name.startswith(ENV_PREFIX) or "__" not in name or not value:
            continue
        where = tuple(name.removeprefix(ENV_PREFIX).lower().split("__"))
        if where[0] == "agents" and len(where) == 3:
            where = (where[0], where[1].replace("_", "-"), where[2])
        found.append((name, where, value))
    return found


def _put(found: dict[str, Any], where: tuple[str, ...], value: Any) -> None:
    for step in where[:-1]:
        inner = found.setdefault(step, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{step}: must be a table")
        found = inner
    found[where[-1]] = value


def _source(where: tuple[str, ...], path: Path | None, sources: Mapping[tuple[str, ...], str]) -> str:
    """Who said it: the variable or flag that set it, or what is around it, or without a file something in it."""
    for length in range(len(where), 0, -1):
        if found := sources.get(where[:length]):
            return found
    near = [name for place, name in sources.items() if where[:1] == place[:1] and where[:-1] == place[: len(where) - 1]]
    if near and path is None:
        return near[0]
    return str(path) if path is not None else "settings"

"""Settings: what the file, the environment and flags mean together, and what is refused."""

import re
from pathlib import Path

import pytest

from a2a_bridge.auth_settings import ApiKeySettings
from a2a_bridge.config import (
    CONFIG_FILE,
    KeepingSettings,
    LimitSettings,
    Settings,
    StoreSettings,
    check_agent_name,
    load_config,
)
from a2a_bridge.errors import ConfigError

WHOLE = """
[agents.planner]
target = "app.agents:planner"
card = "planner.json"
name = "planner"
description = "Plans."

[agents.room]
target = "app.agents:room"

[server]
host = "0.0.0.0"
port = 9000
public_url = "https://agents.example.org/"
root = "room"
log_level = "DEBUG"

[server.limits]
body = 1048576
depth = 32
turn = 60
grace = 2.5
ping = 0
send = 5

[store]
kind = "sqlite"
path = "tasks.sqlite"
sync = "full"

[keeping]
events = 60
tasks = 3600
waiting = 120
sent = 10
"""


@pytest.fixture
def write(tmp_path: Path):  # type: ignore[no-untyped-def]
    def write(text: str) -> Path:
        path = tmp_path / CONFIG_FILE
        path.write_text(text, "utf-8")
        return path

    return write


def test_a_file_with_every_setting_is_read(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Architecture §3: the whole of a2a-bridge.toml."""
    (tmp_path / "planner.json").write_text("{}")
    settings = load_config(write(WHOLE), {})
    assert list(settings.agents) == ["planner", "room"]
    assert settings.agents["planner"].card == tmp_path / "planner.json"
    assert settings.server.port == 9000
    assert settings.server.log_level == "debug"
    assert settings.server.base_url == "https://agents.example.org"
    assert settings.server.root == "room"
    assert settings.server.limits == LimitSettings(body=1048576, depth=32, turn=60, grace=2.5, ping=0, send=5)
    assert settings.keeping == KeepingSettings(events=60, tasks=3600, waiting=120, sent=10)
    assert (settings.store.path, settings.store.sync) == (tmp_path / "tasks.sqlite", "full")


def test_without_a_file_and_environment_there_are_defaults() -> None:
    """Conventions §2.6: port 8080, and a loopback address until somebody says otherwise."""
    settings = load_config(None, {})
    assert settings == Settings()
    assert settings.server.base_url == "http://127.0.0.1:8080"
    assert (settings.server.limits.body, settings.server.limits.depth) == (4 * 1024 * 1024, 64)
    assert settings.store == StoreSettings(kind="sqlite", path=None, sync="normal")


def test_a_flag_beats_the_environment_which_beats_the_file(write) -> None:  # type: ignore[no-untyped-def]
    """Precedence flag, environment, file, default; a flag that is None was not given."""
    path = write("[server]\nport = 1\nhost = 'a'\nlog_level = 'error'\n")
    env = {"PORT": "2", "HOST": "b"}
    settings = load_config(path, env, flags={"server": {"port": 3, "host": None}})
    assert (settings.server.port, settings.server.host, settings.server.log_level) == (3, "b", "error")


def test_the_prefixed_name_beats_the_plain_one() -> None:
    """Our decision: the more special name wins."""
    env = {"PORT": "2", "A2A_BRIDGE_SERVER__PORT": "4", "A2A_BRIDGE_PUBLIC_URL": "https://x.example"}
    settings = load_config(None, env)
    assert settings.server.port == 4
    assert settings.server.public_url == "https://x.example"


def test_the_environment_can_name_agents_and_stores() -> None:
    """Nested names are joined with __; an agent's name has - where a variable has _."""
    env = {"A2A_BRIDGE_AGENTS__MARKET_CREW__TARGET": "demo:crew", "A2A_BRIDGE_STORE__KIND": "memory"}
    env["A2A_BRIDGE_SERVER__LIMITS__BODY"] = "2048"
    settings = load_config(None, env)
    assert settings.agents["market-crew"].target == "demo:crew"
    assert settings.store.kind == "memory"
    assert settings.server.limits.body == 2048


def test_variables_of_kubernetes_and_empty_ones_are_no_settings() -> None:
    """A Service called a2a-bridge makes these in every pod of its namespace."""
    env = {"A2A_BRIDGE_PORT": "tcp://10.0.0.1:8080", "A2A_BRIDGE_SERVICE_HOST": "10.0.0.1", "PORT": ""}
    assert load_config(None, env) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("A2A_BRIDGE_AUTH_ALLOW_ANONYMOUS", "true", "A2A_BRIDGE_AUTH__ALLOW_ANONYMOUS"),
        ("A2A_BRIDGE_SERVER_LIMITS_RATE", "5", "A2A_BRIDGE_SERVER__LIMITS__RATE"),
        ("A2A_BRIDGE_SERVER_TLS_CERTFILE", "x", "A2A_BRIDGE_SERVER__TLS__CERTFILE"),
        ("A2A_BRIDGE_AUTH", '{"allow_anonymous": true}', "A2A_BRIDGE_AUTH__KEY, one variable for each key"),
    ],
)
def test_a_setting_with_too_few_underscores_is_not_silently_off(name: str, value: str, meant: str) -> None:
    """Ours: it is the usual mistake, and what it leaves off is noticed late."""
    with pytest.raises(ConfigError) as told:
        load_config(None, {name: value})
    assert str(told.value) == f"{name}: there is no such setting. Did you mean {meant}?"
    assert load_config(None, {"A2A_BRIDGE_SERVER_PORT": "tcp://10.0.0.1:8080", name: ""}) == Settings()


def test_a_secret_may_be_in_a_file_that_a_variable_names(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Ours: secrets of containers are files. The variable itself counts more; a file that is not there is named."""
    path = write("[push]\nkey = '${PUSH_KEY:-none}'\n")
    (tmp_path / "secret").write_text("k" * 40 + "\n")
    env = {"PUSH_KEY_FILE": str(tmp_path / "secret")}
    assert load_config(path, env).push.key == "k" * 40
    assert load_config(path, {**env, "PUSH_KEY": "e" * 40}).push.key == "e" * 40
    with pytest.raises(ConfigError, match="PUSH_KEY_FILE: /nowhere/x: cannot be read: No such file or directory"):
        load_config(path, {"PUSH_KEY_FILE": "/nowhere/x"})


def test_tables_in_the_environment_are_json() -> None:
    """README: any setting can come from the environment."""
    env = {
        "A2A_BRIDGE_AUTH__SCHEMES__KEY__KIND": "api_key",
        "A2A_BRIDGE_AUTH__SCHEMES__KEY__KEYS": '[{"principal": "ann", "digest": "sha256:00", "scopes": ["call"]}]',
        "A2A_BRIDGE_AUTH__REQUIRE": '[{"key": ["call"]}]',
    }
    auth = load_config(None, env).auth
    assert auth.require == ({"key": ("call",)},)
    assert isinstance(auth.schemes["key"], ApiKeySettings)
    assert auth.schemes["key"].keys[0].principal == "ann"
    with pytest.raises(ConfigError, match=r"AUTH__REQUIRE: auth\.require: must be a list of tables"):
        load_config(None, {**env, "A2A_BRIDGE_AUTH__REQUIRE": "key"})


def test_a_store_in_memory_is_not_a_file_of_that_name() -> None:
    """Ours: `--store memory` and `store="memory"` mean no file, so this cannot mean one."""
    with pytest.raises(ConfigError, match=r'A2A_BRIDGE_STORE__PATH: store: path is a file: .* kind = "memory"'):
        load_config(None, {"A2A_BRIDGE_STORE__PATH": "memory"})


def test_strings_are_filled_from_the_environment(write) -> None:  # type: ignore[no-untyped-def]
    """${NAME}, ${NAME:-default}, and $${ for a plain ${."""
    path = write(
        "[server]\nport = '${MY_PORT:-8081}'\nhost = '${MY_HOST}'\n"
        "[agents.a]\ntarget = 'a:b'\ndescription = 'costs $${x} or $5'\n"
    )
    settings = load_config(path, {"MY_HOST": "::1"})
    assert settings.server.base_url == "http://[::1]:8081"
    assert settings.agents["a"].description == "costs ${x} or $5"


def test_a_variable_that_is_not_set_is_an_error_with_its_place(write) -> None:  # type: ignore[no-untyped-def]
    """A secret that is missing must not become an empty string."""
    with pytest.raises(
        ConfigError, match=r"toml: server\.host: the environment has no MY_HOST; .*\$\{MY_HOST:-default\}"
    ):
        load_config(write("[server]\nhost = '${MY_HOST}'\n"), {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nporrt = 1\n", r'server\.porrt: there is no such setting\. Did you mean "port"\?'),
        ("[serve]\nport = 1\n", r'serve: there is no such setting\. Did you mean "server"\?'),
        (
            "[agents.a]\ntarget = 'a:b'\nzzz = 1\n",
            r"agents\.a\.zzz: there is no such setting; known: signing_keys, ",
        ),
        ("[server.limits]\nbod = 1\n", r'server\.limits\.bod: there is no such setting\. Did you mean "body"\?'),
        ("[server.limits]\nbody = 'big'\n", r"server\.limits\.body: "),
        ("[agents.a]\ntarget = 'http://'\n", r"agents\.a\.target"),
        ("[agents.a]\ncard = 'x'\n", r"agents\.a\.target: is missing: it must be module:attribute"),
        ("[agents.a]\ntarget = 'a.b'\n", r"agents\.a\.target"),
        ("[agents.tasks]\ntarget = 'a:b'\n", "'tasks' is a path of the server itself"),
        ("[agents.A_B]\ntarget = 'a:b'\n", "'A_B' cannot be part of a URL"),
        ("[server]\nport = 70000\n", r"server\.port: must be a whole number from 0 to 65535, not 70000"),
        ("[server]\nport = 1.5\n", r"server\.port: must be a whole number from 0 to 65535, not 1\.5"),
        ("port = 1\n", r"port: there is no such setting\. It belongs to \[server\]"),
        ("[server]\nlog_level = 'warn'\n", 'must be "critical", .* or "debug", not "warn". Did you mean "warning"'),
        ("[server.limits]\nturn = 0\n", r"server\.limits\.turn: must be a number above 0, not 0"),
        ("[server.limits]\nbody = []\n", r"body: must be a whole number, 1024 or more, not a list"),
        ("[server]\nhost = {}\n", r"server\.host: must be a text, not a table"),
        ("[observe]\nmetrics = 'perhaps'\n", r'observe\.metrics: must be true or false, not "perhaps"'),
        ("[push]\nports = [443, 0]\n", r"push\.ports\[1\]: must be a whole number from 1 to 65535, not 0"),
        ("[push]\nkey = 'tooshort'\n", r"push\.key: must be a text of 32 characters or more$"),
        ("[server.tls]\nkeyfile = 'x'\n", r"server\.tls\.certfile: is missing: it must be the name of a file"),
        ("[agents]\na = 'x:y'\n", r'agents\.a: must be a table, not "x:y"'),
        ("[agents.a]\ntarget = 'a:b'\nname = ''\n", r"agents\.a\.name: must not be empty"),
        ("[auth.schemes.k]\nname = 'x'\n", r'auth\.schemes\.k\.kind: must be "api_key", "basic", "jwt" or "mtls"$'),
        ("[auth.schemes.k]\nkind = 'api_key'\nkeys = []\n", r"auth\.schemes\.k\.keys: must not be empty$"),
        (
            "[auth.schemes.k]\nkind = 'api_key'\nkeys = [{ principal = 'a', digst = 'x' }]\n",
            r'auth\.schemes\.k\.keys\[0\]\.digst: there is no such setting\. Did you mean "digest"\?$',
        ),
        (
            "[auth.schemes.k]\nkind = 'jwt'\nissuer = 'i'\naudience = 'a'\nscopes = 'a b'\n",
            r"auth\.schemes\.k\.scopes: must be a table of texts$",
        ),
        ("[auth]\nrequire = ['k']\n", r"auth\.require\[0\]: must be a table"),
        ("[server]\npublic_url = 'agents.example'\n", r"server\.public_url: must be an absolute URL"),
        ("[server]\nlog_level = 'loud'\n", r"server\.log_level"),
        ("[store]\nkind = 'memory'\npath = 'x'\n", r"store: kind .memory. has neither path nor sync"),
        ("[store]\nkind = 'redis'\n", r"store\.kind"),
        ("server = 1\n", "server: "),
        ("[server\n", "not TOML"),
    ],
)
def test_a_wrong_file_names_the_key_and_the_reason(write, text: str, said: str) -> None:  # type: ignore[no-untyped-def]
    """No option that is silently ignored."""
    with pytest.raises(ConfigError, match=rf"a2a-bridge\.toml: .*{said}|a2a-bridge\.toml: {said}"):
        load_config(write(text), {})


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"A2A_BRIDGE_SERVER__PORRT": "1"}, r'A2A_BRIDGE_SERVER__PORRT: server\.porrt: .*"port"'),
        ({"PORT": "tcp://1"}, r'PORT: server\.port: must be a whole number from 0 to 65535, not "tcp://1"'),
        ({"A2A_BRIDGE_NOTHING__PORT": "1"}, "A2A_BRIDGE_NOTHING__PORT: nothing: there is no such setting"),
        ({"A2A_BRIDGE_PUSH__PORTS": "1,x"}, r"A2A_BRIDGE_PUSH__PORTS: push\.ports\[1\]: "),
        ({"A2A_BRIDGE_AGENTS__A__CARD": "x"}, r"A2A_BRIDGE_AGENTS__A__CARD: agents\.a\.target: is missing"),
    ],
)
def test_a_wrong_variable_is_named(env: dict[str, str], said: str) -> None:
    """The message says which variable to change."""
    with pytest.raises(ConfigError, match=said):
        load_config(None, env)


def test_a_wrong_flag_is_named() -> None:
    """The message says which flag to change."""
    with pytest.raises(ConfigError, match="--public-url: "):
        load_config(None, {}, flags={"server": {"public_url": "nope"}})


def test_a_variable_inside_a_plain_value_is_refused(write) -> None:  # type: ignore[no-untyped-def]
    """A file that says `server = 1` and a variable that says server.port contradict each other."""
    with pytest.raises(ConfigError, match="server: must be a table"):
        load_config(write("server = 1\n"), {"PORT": "1"})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Our decision."""
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load_config(tmp_path / "none.toml", {})


@pytest.mark.parametrize("name", ["v1", "message:send", "extendedAgentCard", "", "a" * 65, "ä", "a/b"])
def test_names_that_would_break_urls_are_refused(name: str) -> None:
    """Architecture §3: names in URLs, and the reserved ones."""
    with pytest.raises(ValueError, match=r"choose another name|cannot be part"):
        check_agent_name(name)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_an_address_that_means_everywhere_never_gets_into_a_card(host: str) -> None:
    """Conventions §2.2: the number-one deployment mistake."""
    assert load_config(None, {}, flags={"server": {"host": host}}).server.base_url == "http://127.0.0.1:8080"


def test_versions_of_the_protocol_are_chosen(write) -> None:  # type: ignore[no-untyped-def]
    """R-CARD-03, R-VER-06: by the file or the environment; a card of 0.3 without 0.3 contradicts itself."""
    said = load_config(write('[versions]\ncard = "negotiated"\nlenient = true\n'), {}).versions
    assert (said.v03, said.card, said.lenient) == (True, "negotiated", True)
    assert load_config(None, {"A2A_BRIDGE_VERSIONS__V03": "false"}).versions.v03 is False
    with pytest.raises(ConfigError, match="for servers that speak"):
        load_config(write('[versions]\nv03 = false\ncard = "hybrid"\n'), {})
    with pytest.raises(ConfigError, match='Did you mean "lenient"'):
        load_config(write("[versions]\nlenint = true\n"), {})


def test_keys_of_cards_are_files_or_variables(write) -> None:  # type: ignore[no-untyped-def]
    """Files are seen from the settings file; a variable may hold the key itself, with commas in it or not."""
    path = write(
        '[cards]\nsigning_keys = ["keys/a.pem", "${CARD_KEY}"]\n'
        '[agents.a]\ntarget = "a:b"\nsigning_keys = ["b.jwk"]\n[agents.c]\ntarget = "a:b"\n'
    )
    jwk = '{"kty": "EC", "d": "secret"}'
    settings = load_config(path, {"CARD_KEY": jwk})
    assert settings.cards.signing_keys == (str(path.parent / "keys/a.pem"), jwk)
    assert settings.agents["a"].signing_keys == (str(path.parent / "b.jwk"),)
    assert settings.agents["c"].signing_keys == ()
    assert "secret" not in repr(settings)
    for said, expected in ((jwk, (jwk,)), ("a.pem, b.pem", ("a.pem", "b.pem"))):
        assert load_config(None, {"A2A_BRIDGE_CARDS__SIGNING_KEYS": said}).cards.signing_keys == expected


@pytest.mark.parametrize("table", ["cards", "agents.a"])
@pytest.mark.parametrize("key", ["-----BEGIN PRIVATE KEY-----", '{\\"kty\\": \\"EC\\"}'])
def test_a_private_key_does_not_stand_in_the_file(write, table: str, key: str) -> None:  # type: ignore[no-untyped-def]
    """A settings file is copied and committed; the error does not repeat the key."""
    path = write(f'[{table}]\nsigning_keys = ["{key}"]\n')
    with pytest.raises(ConfigError, match="must not stand in the file") as error:
        load_config(path, {})
    assert "kty" not in error.value.message
    assert "BEGIN" not in error.value.message


def test_no_word_of_the_library_is_in_an_error(write) -> None:  # type: ignore[no-untyped-def]
    """Every setting, given what it cannot be, is answered in our words: the ones above know but some of them."""
    for name, table in Settings.model_fields.items():
        for key in getattr(table.annotation, "model_fields", {}):
            with pytest.raises(ConfigError) as error:
                load_config(write(f"[{name}]\n{key} = [[1979-05-27]]\n"), {})
            assert re.search(rf"{name}\.{key}(\[0\]|): (must be|there is)", error.value.message), error.value.message
            assert not re.search("[Ii]nput|should|valid|required|permitted", error.value.message), error.value.message

"""serve: targets, the file, flags, and starts that cannot be."""

import json
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from joserfc import jwk

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def write_agents(folder: Path) -> None:
    """A module of one agent in a folder."""
    (folder / "mine.py").write_text('def shout(text: str) -> str:\n    "Shouts."\n    return text.upper()\n')


def test_a_file_says_what_is_served_and_where(start, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Architecture §3: targets, cards, names, limits, the store; paths are relative to the file."""
    write_agents(tmp_path)
    card = json.loads(run("card", "get", "-a", str(HERE.parents[2] / "agent_cards" / "planner.json"), "-o", "json").out)
    (tmp_path / "card.json").write_text(json.dumps(card | {"name": "Shouter", "supportedInterfaces": []}))
    (tmp_path / "a2a-bridge.toml").write_text(
        '[agents.loud]\ntarget = "mine:shout"\ncard = "card.json"\n'
        '[agents.other]\ntarget = "mine:${WHICH:-shout}"\nname = "other"\ndescription = "The same."\n'
        '[server]\nroot = "other"\nlog_level = "info"\n[server.limits]\nbody = 2048\n'
        '[store]\npath = "kept.sqlite"\nsync = "full"\n'
    )
    served = start(cwd=tmp_path)
    named = run("card", "get", "-a", served.agent("loud"), "-o", "json").json
    assert (named["name"], named["supportedInterfaces"][0]["url"]) == ("Shouter", f"{served.url}/loud/")
    assert run("card", "get", "-a", served.url, "-o", "json").json["description"] == "The same."
    assert "Text: HI" in run("send", "-a", served.url, "hi").out
    assert run("send", "-a", served.url, "x" * 3000).code != 0
    assert (tmp_path / "kept.sqlite").exists()


def test_flags_beat_the_environment(start, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Flag, then environment, then file."""
    write_agents(tmp_path)
    served = start(
        "mine:shout", "--name", "Big Voice", "--description", "Very loud.", "--public-url", "https://voices.example",
        "--store", "memory", cwd=tmp_path, A2A_BRIDGE_PUBLIC_URL="https://wrong.example", PORT="1", LOG_LEVEL="info",
    )  # fmt: skip
    card = run("card", "get", "-a", served.agent("big-voice"), "-o", "json").json
    assert (card["name"], card["description"]) == ("Big Voice", "Very loud.")
    assert card["supportedInterfaces"][0]["url"] == "https://voices.example/big-voice/"
    assert list(tmp_path.glob("*.sqlite")) == []


def test_a_url_can_be_served_too(start, served, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Whatever adapt takes: somebody's endpoint under a name of ours."""
    front = start(served.agent("echo"), "--name", "front", "--store", "memory", cwd=tmp_path)
    assert "Text: hello " in run("send", "-a", front.agent("front"), "hello").out


def test_what_somebody_elses_card_says_is_said_of_it_here(start, served, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Ours: its name is part of the URL, and its description is on our card."""
    theirs = run("card", "get", "-a", served.agent("echo"), "-o", "json").json
    front = start(served.agent("echo"), "--store", "memory", cwd=tmp_path)
    ours = run("card", "get", "-a", front.agent("echo"), "-o", "json").json
    assert (ours["name"], ours["description"]) == (theirs["name"], theirs["description"])


DEAD = "http://127.0.0.1:9/"


def test_a_target_that_nobody_can_reach_is_said_at_once(start, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Ours: one that has a name is served, since it may come yet; one that has none cannot be."""
    nameless = run("serve", DEAD, "--port", "0", "--store", "memory")
    assert nameless.code == 3
    assert f"Error: {DEAD}: cannot connect to {DEAD}" in nameless.err
    assert f"start it, or give it a name: NAME={DEAD}" in nameless.err
    (tmp_path / "a2a-bridge.toml").write_text(f'[agents.far]\ntarget = "{DEAD}"\n[store]\nkind = "memory"\n')
    for words in ((), (DEAD, "--name", "far", "--store", "memory")):
        heard = start(*words, cwd=tmp_path).heard
        assert f'"level": "warning", "event": "far: cannot connect to {DEAD}' in heard
        assert "It is served all the same, and each call tries again" in heard


def test_where_it_listens_is_said_when_it_does(start, shell, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Ours: after the store is open and the port is bound; with the file, and what to type next, which works. No
    terminal is there, so each line is an object of the log (README)."""
    write_agents(tmp_path)
    served = start("mine:shout", cwd=tmp_path)
    lines = [json.loads(line)["event"] for line in served.heard.splitlines()][-3:]
    file = tmp_path / "a2a-bridge-shout.sqlite"
    hint = f"a2a-bridge send -a {served.url}/shout hello"
    assert lines == [f"shout: {served.url}/shout/", f"Try it: {hint}", f"Tasks are kept in {file}"]
    assert "Text: HELLO" in shell(*hint.split()[1:]).out
    taken = shell("serve", "mine:shout", "--port", "0")
    assert (taken.code, taken.out) == (2, "")
    assert "belongs to process" in taken.err
    assert "http://" not in taken.err


def test_a_connection_is_kept_for_as_long_as_the_setting_says(start, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Ours: longer than the proxy in front keeps it, or the proxy writes into one that is being closed."""
    write_agents(tmp_path)
    served = start("mine:shout", "--store", "memory", cwd=tmp_path, A2A_BRIDGE_SERVER__KEEP_ALIVE="1")
    with socket.create_connection(("127.0.0.1", httpx.URL(served.url).port), timeout=4.0) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        heard = b""
        while more := connection.recv(4096):
            heard += more
    assert heard.startswith(b"HTTP/1.1 200")


def test_serve_stops_when_it_is_asked_to(start, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Exit code 0 on SIGTERM."""
    write_agents(tmp_path)
    served = start("mine:shout", "--store", "memory", cwd=tmp_path)
    served.process.terminate()
    served.process.communicate(timeout=10)
    assert served.process.returncode == 0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with modules; what a start in this process changes is put back: log, search path, modules."""
    write_agents(tmp_path)
    with (tmp_path / "mine.py").open("a") as file:
        file.write("number = 7\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    log, loaded = logging.getLogger(), set(sys.modules)
    handlers, level = list(log.handlers), log.level
    yield tmp_path
    log.handlers[:] = handlers
    log.setLevel(level)
    for name in set(sys.modules) - loaded:
        if name in ("mine",):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "there is nothing to serve"),
        (("mine",), 2, "'mine' is not MODULE:ATTRIBUTE"),
        (("mine:number",), 2, "int is not an agent"),
        (("mine:shout", "mine:shout"), 2, "there is an agent 'shout' already"),
        (("mine:shout", "mine:shout"), 2, "another name for this one: NAME=mine:shout"),
        (("a=mine:shout", "a=mine:shout"), 2, "there is an agent 'a' already"),
        (("a=mine:shout", "--name", "b"), 2, "--name and NAME= both name the agent"),
        (("mine:shout", "mine:shout", "--name", "x"), 2, "single TARGET"),
        (("mine:shout", "--public-url", "x"), 2, "--public-url: server.public_url: must be an absolute URL"),
        (("mine:shout", "--config", "none.toml"), 2, "none.toml: cannot be read"),
        (("mine:shout", "--name", "tasks"), 2, "'tasks' is a path of the server itself"),
        (("mine:shout", "--store", "no/folder/x.sqlite"), 2, "does not exist"),
        (("mine:shout", "--host", "203.0.113.7", "--allow-anonymous"), 2, "cannot listen on 203.0.113.7:0"),
        (("mine:shout", "--host", "203.0.113.7"), 2, "nothing says who may call"),
        (("--config", "root.toml"), 2, "root='nobody' is none of the agents: loud"),
        (("--config", "card.toml"), 1, "none.json: the agent card cannot be read"),
        (("mine:shout", "--config", "same.toml"), 2, "there is an agent 'shout' already"),
    ],
)
def test_what_cannot_be_served_is_a_sentence(  # type: ignore[no-untyped-def]
    run, here: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    """No traceback, and standard output stays empty."""
    loud = '[agents.loud]\ntarget = "mine:shout"\n'
    (here / "root.toml").write_text(f'{loud}[server]\nroot = "nobody"\n[store]\nkind = "memory"\n')
    (here / "card.toml").write_text(f'{loud}card = "none.json"\n')
    (here / "same.toml").write_text(loud.replace("loud", "shout"))
    done = run("serve", "--port", "0", *words)
    assert done.code == code
    assert done.out == ""
    assert said in done.err
    assert "Traceback" not in done.err


def test_prices_that_cannot_be_read_stop_the_start(run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """Ours: else they are missed after the first call of a model, which has been paid for by then."""
    monkeypatch.setenv("A2A_BRIDGE_PRICES", "none.json")
    done = run("serve", "mine:shout", "--port", "0", "--store", "memory")
    assert (done.code, done.out) == (2, "")
    assert "A2A_BRIDGE_PRICES=none.json: a JSON object of model:" in done.err


def test_a_taken_port_and_a_taken_store_are_sentences(start, shell, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Exit code 2, before anything is started."""
    write_agents(tmp_path)
    served = start("mine:shout", "--store", "one.sqlite", cwd=tmp_path)
    port = served.url.rpartition(":")[2]
    taken = shell("serve", "mine:shout", "--port", port, "--store", "memory")
    assert taken.code == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in taken.err
    held = shell("serve", "mine:shout", "--port", "0", "--store", "one.sqlite")
    assert held.code == 2
    assert "belongs to process" in held.err
    assert "--store FILE" in held.err
    assert "Traceback" not in held.err


def test_each_of_several_targets_may_have_a_name(start, shell, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Ours: the same agent twice, or two of one name, without touching their code."""
    write_agents(tmp_path)
    served = start("mine:shout", "other=mine:shout", "--store", "memory", cwd=tmp_path)
    assert f"shout: {served.url}/shout/" in served.heard
    assert f"other: {served.url}/other/" in served.heard
    assert "Text: HELLO" in shell("send", "-a", f"{served.url}/other", "hello").out


def test_an_address_that_means_everywhere_is_warned_about(start, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Conventions §2.2: the warning names the setting, and the card does not say 0.0.0.0."""
    write_agents(tmp_path)
    served = start("mine:shout", "--store", "memory", "--allow-anonymous", cwd=tmp_path, HOST="0.0.0.0")
    assert "set --public-url or A2A_BRIDGE_PUBLIC_URL" in served.heard
    assert "shout: http://127.0.0.1:" in served.heard


def test_cards_of_the_file_are_signed_and_extended(start, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """R-SIGN-04, R-EXTC-01: a key of all, one of an agent's own, and a card for those who are known."""
    write_agents(tmp_path)
    keys = {name: jwk.ECKey.generate_key("P-256", {"kid": name}) for name in ("all", "own")}
    for name, key in keys.items():
        (tmp_path / f"{name}.jwk").write_text(json.dumps(key.as_dict(private=True)))
        (tmp_path / f"{name}.pub").write_text(json.dumps(key.as_dict(private=False)))
    more = json.loads((ROOT / "agent_cards" / "planner.json").read_text()) | {"description": "For those who are known."}
    (tmp_path / "more.json").write_text(json.dumps(more))
    (tmp_path / "a2a-bridge.toml").write_text(
        '[agents.loud]\ntarget = "mine:shout"\nsigning_keys = ["own.jwk"]\nextended_card = "more.json"\n'
        '[agents.quiet]\ntarget = "mine:shout"\n'
        '[cards]\nsigning_keys = ["all.jwk"]\n[store]\nkind = "memory"\n'
        '[auth.schemes.key]\nkind = "api_key"\n'
        'keys = [{ principal = "ann", secret = "${ANNS_KEY}" }]\n'
    )
    served = start("--config", "a2a-bridge.toml", cwd=tmp_path, ANNS_KEY="0123456789-0123456789-ann")
    for agent, name in (("loud", "own"), ("quiet", "all")):
        done = run("card", "verify", served.agent(agent), "--key", str(tmp_path / f"{name}.pub"))
        assert done.out == f"Verified: yes\nKey: {name}\nAlgorithm: ES256\n", done.err
    headers = {"a2a-version": "1.0", "x-api-key": "0123456789-0123456789-ann"}
    extended = httpx.get(served.agent("loud") + "/extendedAgentCard", headers=headers).content
    (tmp_path / "extended.json").write_bytes(extended)
    assert json.loads(extended)["description"] == "For those who are known."
    assert run("card", "verify", str(tmp_path / "extended.json"), "--key", str(tmp_path / "own.pub")).code == 0


def test_a_key_that_cannot_be_had_stops_the_start(shell, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Ours: no card goes out unsigned that was meant to be signed."""
    write_agents(tmp_path)
    (tmp_path / "a2a-bridge.toml").write_text(
        '[agents.loud]\ntarget = "mine:shout"\n[cards]\nsigning_keys = ["missing.pem"]\n[store]\nkind = "memory"\n'
    )
    done = shell("serve", "--port", "0", "--config", "a2a-bridge.toml")
    assert done.code == 2
    assert "missing.pem: the key cannot be read" in done.err

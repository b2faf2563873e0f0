"""Credentials and the choice of an interface, from the command line, the environment and files."""

import base64
import json
from typing import Any

import pytest

CARD = "/.well-known/agent-card.json"
TASK = {"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_COMPLETED"}}


@pytest.fixture
def guarded(fixed: Any) -> Any:
    """An agent over HTTP+JSON that declares a key and a token flow on its own origin, and gives out tokens."""
    card = {
        "name": "guarded",
        "supportedInterfaces": [
            {"url": f"{fixed.url}/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {"url": f"{fixed.url}/api", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
        ],
        "securitySchemes": {
            "key": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key"}},
            "oauth": {"oauth2SecurityScheme": {"flows": {"clientCredentials": {"tokenUrl": f"{fixed.url}/token"}}}},
        },
    }
    fixed.answers[CARD] = (200, json.dumps(card).encode())
    fixed.answers["/api/tasks/t1?historyLength=0"] = (200, json.dumps(TASK).encode())
    fixed.answers["/token"] = (200, b'{"access_token":"fresh","token_type":"bearer"}')
    return fixed


BASIC = "Basic " + base64.b64encode(b"me:pass").decode()


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        (["--bearer", "abc"], "authorization", "Bearer abc"),
        (["--basic", "me:pass"], "authorization", BASIC),
        (["--api-key", "k1"], "x-key", "k1"),
        (["--client-id", "me", "--client-secret", "x"], "authorization", "Bearer fresh"),
        (["--header", "X-Mine: yes"], "x-mine", "yes"),
        (["--extension", "urn:a", "--extension", "urn:b"], "a2a-extensions", "urn:a, urn:b"),
    ],
)
def test_each_credential_has_an_option(guarded: Any, run: Any, options: list[str], name: str, value: str) -> None:
    """a2a-cli 0.2: flags, with the variables A2ACLI_*; over the binding that was asked for."""
    done = run("task", "get", "t1", "-a", guarded.url, "--binding", "http+json", *options)
    assert (done.code, done.err) == (0, "")
    assert guarded.seen[-1][name] == value


def test_credentials_come_from_the_environment_too(guarded: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where other users of the machine do not see them."""
    monkeypatch.setenv("A2ACLI_API_KEY", "k2")
    monkeypatch.setenv("A2ACLI_BINDING", "HTTP+JSON")
    assert run("task", "get", "t1", "-a", guarded.url).code == 0
    assert guarded.seen[-1]["x-key"] == "k2"


def test_what_may_be_repeated_comes_from_files_too(guarded: Any, run: Any, tmp_path: Any) -> None:
    """Parted by spaces, as in a variable; a header has spaces in it, and a line of its own."""
    (tmp_path / ".env").write_text("A2ACLI_EXTENSION=urn:a urn:b\nA2ACLI_HEADER=X-Mine: you and me\n")
    done = run("task", "get", "t1", "-a", guarded.url, "--binding", "HTTP+JSON")
    assert (done.code, done.err) == (0, "")
    assert guarded.seen[-1]["a2a-extensions"] == "urn:a, urn:b"
    assert guarded.seen[-1]["x-mine"] == "you and me"


@pytest.mark.parametrize("command", [["task", "get", "t1", "-a"], ["card", "lint"], ["check"]])
def test_a_secret_from_a_file_is_sent_without_its_line_end(
    guarded: Any, run: Any, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """And one that cannot be sent at all, such as a whole PEM file, is wrong use and never shown."""
    monkeypatch.setenv("A2ACLI_BEARER", "s3cret\n")
    run(*command, guarded.url)
    assert "Bearer s3cret" in [seen.get("authorization") for seen in guarded.seen]
    guarded.seen.clear()
    monkeypatch.setenv("A2ACLI_BEARER", "-----BEGIN s3cret\ns3cret\n-----END\n")
    done = run(*command, guarded.url)
    assert (done.code, guarded.seen) == (2, [])
    assert "the bearer token holds a line break" in done.err
    assert "s3cret" not in done.err + done.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--basic", "me"], "--basic is USER:PASSWORD"),
        (["--client-id", "me"], "--client-id and --client-secret belong together"),
        (["--token-url", "https://h/t"], "need --client-id"),
        (["--key", "key.pem"], "--key needs --cert"),
        (["--bearer", "s\x003cret"], "the bearer token holds a character that cannot be sent"),
        (["--binding", "GRPC"], "'GRPC' is not spoken here"),
        (["--protocol-version", "0.2"], "'0.2' is not spoken here"),
    ],
)
def test_options_that_make_no_sense_are_wrong_use(guarded: Any, run: Any, options: list[str], says: str) -> None:
    """Exit code 2, and nothing is sent: no option is silently ignored."""
    done = run("task", "get", "t1", "-a", guarded.url, *options)
    assert done.code == 2
    assert says in done.err
    assert guarded.seen == []


def test_a_certificate_that_cannot_be_read_is_wrong_use(run: Any) -> None:
    """Exit code 2."""
    done = run("task", "get", "t1", "-a", "https://127.0.0.1:9/", "--cert", "nowhere.pem")
    assert done.code == 2
    assert "nowhere.pem" in done.err


@pytest.mark.parametrize("reference", ["notaurl::::", "http://", "https://[::1", "http://h:99999/", "ftp://h/"])
@pytest.mark.parametrize("command", [["send", "hey", "-a"], ["check"], ["card", "lint"]])
def test_what_is_no_url_is_wrong_use(run: Any, command: list[str], reference: str) -> None:
    """And no error of ours."""
    done = run(*command, reference)
    assert (done.code, done.out) == (2, "")
    assert "unexpected" not in done.err

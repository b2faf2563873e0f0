"""`a2a-bridge card lint|sign|verify|diff`: what they say, and how they exit."""

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk

CARD = {
    "name": "a",
    "description": "Does it.",
    "version": "1.0.0",
    "supportedInterfaces": [
        {"url": "https://agents.example.org/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    ],
    "capabilities": {"streaming": True},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain"],
    "skills": [{"id": "s", "name": "S", "description": "Does it.", "tags": ["t"]}],
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A card and a pair of keys in the working directory."""
    key = jwk.ECKey.generate_key("P-256", {"kid": "k1"})
    (tmp_path / "card.json").write_text(json.dumps(CARD))
    (tmp_path / "key.pem").write_bytes(key.as_pem(private=True))
    (tmp_path / "pub.pem").write_bytes(key.as_pem(private=False))
    (tmp_path / "key.jwk").write_text(json.dumps(key.as_dict(private=True)))
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    return tmp_path


def write(folder: Path, file: str, **change: Any) -> None:
    (folder / file).write_text(json.dumps({**CARD, **change}))


def test_lint_tells_code_place_and_hint(files: Path, run) -> None:  # type: ignore[no-untyped-def]
    """Ours: a golden text; errors exit with one."""
    write(files, "bad.json", description="", provider={"url": "http://example.org", "organization": "E"}, url="x")
    done = run("card", "lint", "bad.json")
    assert (done.code, done.err) == (1, "")
    assert done.out == (
        "Card: bad.json (hybrid)\n"
        "C103 error description: is required and empty\n"
        "C202 warning provider.url: is http: anybody on the way can read and change it\n"
        "    use https\n"
        "C303 warning supportedInterfaces: has no interface of 0.3, but there are members of 0.3\n"
        "    list the 0.3 interface, or remove url, preferredTransport, protocolVersion\n"
        "C705 warning description: is empty, so the card cannot be signed: verifiers read that in different ways\n"
        "    give it a value, or leave it out if it is optional\n"
        "C701 note signatures: nobody can tell whether it was changed\n"
        "    a2a-bridge card sign --key KEY\n"
        "Found: 1 error, 3 warnings\n"
    )


def test_lint_as_json_has_one_report_a_card(files: Path, run) -> None:  # type: ignore[no-untyped-def]
    """Ours: for programs; warnings count with --strict only."""
    write(files, "http.json", iconUrl="http://example.org/i")
    done = run("card", "lint", "card.json", "http.json", "-o", "json")
    assert done.code == 0
    assert [(each["card"], each["version"], each["errors"], each["warnings"]) for each in done.json] == [
        ("card.json", "1.0", 0, 0), ("http.json", "1.0", 0, 1),
    ]  # fmt: skip
    assert done.json[1]["findings"][0] == {
        "code": "C202", "severity": "warning", "field": "iconUrl",
        "message": "is http: anybody on the way can read and change it", "hint": "use https",
    }  # fmt: skip
    assert run("card", "lint", "card.json", "--strict").code == 0
    assert run("card", "lint", "http.json", "--strict").code == 1


def test_lint_of_what_is_no_card_is_a_finding(files: Path, run) -> None:  # type: ignore[no-untyped-def]
    """Ours: a text that cannot be read is judged, not a failure of the command."""
    (files / "text.json").write_text("hello")
    done = run("card", "lint", "text.json")
    assert done.code == 1
    assert "C001 error" in done.out


def test_lint_takes_the_card_from_a_pipe(shell) -> None:  # type: ignore[no-untyped-def]
    """Ours: `-` is standard input."""
    done = shell("card", "lint", "-", stdin=json.dumps(CARD))
    assert (done.code, done.out.splitlines()[0]) == (0, "Card: standard input (1.0)")


def test_lint_finds_nothing_wrong_with_what_we_serve(served, run) -> None:  # type: ignore[no-untyped-def]
    """R-CARD-08, R-CARD-09: but that it is served to this machine alone, and not signed."""
    done = run("card", "lint", served.agent("echo"), served.url, "-o", "json")
    assert done.code == 0
    for report in done.json:
        assert {finding["code"] for finding in report["findings"]} <= {"C203", "C701"}


def test_lint_judges_how_a_card_is_served(fixed, run) -> None:  # type: ignore[no-untyped-def]
    """R-CARD-08, R-SEC-13: no max-age, no tag, an interface elsewhere."""
    fixed.answers["/.well-known/agent-card.json"] = (200, json.dumps(CARD).encode())
    done = run("card", "lint", fixed.url, "-o", "json")
    assert {finding["code"] for finding in done.json[0]["findings"]} == {"C701", "C801", "C802", "C805"}
    assert fixed.seen[0]["a2a-version"] == "1.0"


@pytest.mark.parametrize("command", ["lint", "verify", "diff"])
def test_a_card_that_cannot_be_had_exits_with_three(command: str, files: Path, fixed, run) -> None:  # type: ignore[no-untyped-def]
    """Ours: no file, no card at the server, no server."""
    more = {"lint": (), "verify": ("--key", "pub.pem"), "diff": ("card.json",)}[command]
    for reference in ("missing.json", fixed.url, "http://127.0.0.1:9/"):
        done = run("card", command, reference, *more, "--timeout", "5")
        assert done.code == 3, done.err


@pytest.mark.parametrize(
    "arguments", [("lint",), ("verify", "card.json"), ("sign", "card.json"), ("diff", "card.json")]
)
def test_what_is_missing_on_the_line_is_wrong_use(arguments: tuple[str, ...], files: Path, run) -> None:  # type: ignore[no-untyped-def]
    """Exit code 2."""
    assert run("card", *arguments).code == 2


def test_a_signed_card_is_verified_and_a_changed_one_is_not(files: Path, run) -> None:  # type: ignore[no-untyped-def]
    """R-SIGN-04, R-SIGN-05: with a PEM key and with a key set; the card goes to standard output or to a file."""
    signed = run("card", "sign", "card.json", "--key", "key.jwk")
    assert signed.code == 0
    (files / "signed.json").write_text(signed.out)
    done = run("card", "verify", "signed.json", "--jwks", "jwks.json")
    assert (done.code, done.out) == (0, "Verified: yes\nKey: k1\nAlgorithm: ES256\n")
    as_json = run("card", "verify", "signed.json", "--key", "pub.pem", "-o", "json").json
    assert as_json == {"verified": True, "keyId": "k1", "algorithm": "ES256", "card": CARD}
    (files / "signed.json").write_text(signed.out.replace("Does it.", "Does more.", 1))
    changed = run("card", "verify", "signed.json", "--jwks", "jwks.json")
    assert (changed.code, changed.out) == (1, "")
    assert "no signature can be trusted" in changed.err
    unsigned = run("card", "verify", "card.json", "--jwks", "jwks.json", "-o", "json")
    assert (unsigned.code, unsigned.json["error"]["code"]) == (1, "A2ACLI_ERR_CARD_INVALID")


def test_sign_writes_a_file_and_keeps_the_signatures_there_are(files: Path, run) -> None:  # type: ignore[no-untyped-def]
    """R-SIGN-07: two keys, one after the other; the id and the algorithm may be chosen."""
    assert run("card", "sign", "card.json", "--key", "key.pem", "--kid", "new", "--out", "one.json").code == 0
    assert run("card", "sign", "one.json", "--key", "key.jwk", "--alg", "ES256", "--out", "two.json").code == 0
    assert len(json.loads((files / "two.json").read_text())["signatures"]) == 2
    assert "Key: new" in run("card", "verify", "two.json", "--key", "pub.pem").out
    assert "Key: k1" in run("card", "verify", "two.json", "--jwks", "jwks.json").out


def test_sign_refuses_what_cannot_be_signed_and_never_shows_the_key(files: Path, run) -> None:  # type: ignore[no-untyped-def]
    """R-SIGN-02: a public key, a card without interfaces, a file that is no key."""
    assert "public key" in run("card", "sign", "card.json", "--key", "pub.pem").err
    write(files, "none.json", supportedInterfaces=None)
    assert run("card", "sign", "none.json", "--key", "key.pem").code == 1
    (files / "broken.pem").write_text((files / "key.pem").read_text().replace("A", "%"))
    done = run("card", "sign", "card.json", "--key", "broken.pem")
    assert done.code == 2
    assert (files / "key.pem").read_text().splitlines()[1][:20] not in done.err


def test_a_card_with_errors_is_signed_by_force_only(files: Path, run) -> None:  # type: ignore[no-untyped-def]
    """R-SIGN-02: a signature vouches for what it covers; what is wrong is told as lint tells it, warnings apart."""
    interface = {**CARD["supportedInterfaces"][0], "protocolVersion": "one"}  # type: ignore[index]
    write(files, "bad.json", supportedInterfaces=[interface], iconUrl="http://example.org/i")
    done = run("card", "sign", "bad.json", "--key", "key.pem", "--out", "signed.json")
    assert (done.code, done.out, (files / "signed.json").exists()) == (1, "", False)
    assert "C205 error supportedInterfaces[0].protocolVersion" in done.err
    assert "Found: 1 error, 0 warnings" in done.err
    assert "Error: bad.json was not signed" in done.err
    assert "--force" in done.err
    assert "C202" not in done.err
    assert run("card", "sign", "bad.json", "--key", "key.pem", "--out", "signed.json", "--force").code == 0
    assert run("card", "verify", "signed.json", "--key", "pub.pem").code == 0
    write(files, "empty.json", description="")
    forced = run("card", "sign", "empty.json", "--key", "key.pem", "--force")
    assert "read what is empty differently" in forced.err


@pytest.mark.parametrize(
    ("options", "variables", "name", "value"),
    [
        (["--bearer", "abc"], {}, "authorization", "Bearer abc"),
        ([], {"A2ACLI_BEARER": "abc"}, "authorization", "Bearer abc"),
        ([], {"A2ACLI_BASIC": "me:pass"}, "authorization", "Basic bWU6cGFzcw=="),
        (["--api-key", "k1"], {}, "x-api-key", "k1"),
        (["--header", "X-Key: a b", "--header", "x-more: 1"], {}, "x-key", "a b"),
        ([], {"A2ACLI_HEADER": "X-Key: a b\nX-More: 1\n"}, "x-more", "1"),
        (["--client-id", "me", "--client-secret", "x", "--token-url", "TOKENS"], {}, "authorization", "Bearer fresh"),
    ],
)
@pytest.mark.parametrize("command", ["lint", "verify", "diff"])
def test_a_card_that_is_not_public_is_asked_for_with_credentials(  # type: ignore[no-untyped-def]
    command: str, options: list[str], variables: dict[str, str], name: str, value: str,
    files: Path, fixed, run, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The options of `send`, by every command that judges a card."""
    signed = json.loads(run("card", "sign", "card.json", "--key", "key.pem").out)
    fixed.answers["/.well-known/agent-card.json"] = lambda seen: (
        (200, json.dumps(signed).encode()) if seen.get(name) == value else (401, b"")
    )
    fixed.answers["/token"] = (200, b'{"access_token":"fresh","token_type":"bearer"}')
    more = {"lint": (), "verify": ("--key", "pub.pem"), "diff": ("card.json",)}[command]
    refused = run("card", command, fixed.url, *more)
    assert refused.code == 4
    assert "--api-key" in refused.err
    for variable, said in variables.items():
        monkeypatch.setenv(variable, said)
    given = [f"{fixed.url}/token" if option == "TOKENS" else option for option in options]
    done = run("card", command, fixed.url, *more, *given)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("said", ["X-Key", "X Key: s3cret", "X-Key: s3cret\nX-Other: 1", "X-Key: s3cr\u00e9t"])
def test_a_header_that_is_none_is_wrong_use_and_not_repeated(said: str, fixed, run) -> None:  # type: ignore[no-untyped-def]
    """Nothing is sent."""
    done = run("card", "lint", fixed.url, "--header", said)
    assert (done.code, fixed.seen) == (2, [])
    assert "--header is 'NAME: VALUE'" in done.err
    assert "s3cr" not in done.err.replace(said, "")
    twice = run("send", "-a", fixed.url, "--text", "hi", "--header", "a: 1", "--header", "A: 2")
    assert (twice.code, "given twice" in twice.err) == (2, True)


def test_verify_accepts_no_algorithm_that_was_not_named(files: Path, run) -> None:  # type: ignore[no-untyped-def]
    """R-SIGN-06."""
    run("card", "sign", "card.json", "--key", "key.pem", "--out", "signed.json")
    assert run("card", "verify", "signed.json", "--key", "pub.pem", "--alg", "EdDSA").code == 1
    assert run("card", "verify", "signed.json", "--key", "pub.pem", "--alg", "none").code == 2


def test_diff_tells_what_breaks_from_what_does_not(files: Path, run) -> None:  # type: ignore[no-untyped-def]
    """Ours: a golden text; only what breaks exits with one."""
    write(files, "more.json", defaultInputModes=["text/plain", "image/png"], version="1.1.0")
    done = run("card", "diff", "card.json", "more.json")
    assert (done.code, done.out) == (
        0,
        "D203 compatible defaultInputModes: an input mode is new\n  + image/png\n"
        "D211 compatible version: words changed\n  - 1.0.0\n  + 1.1.0\n"
        "Found: 0 breaking, 2 in all\n",
    )
    back = run("card", "diff", "more.json", "card.json", "-o", "json")
    assert back.code == 1
    assert back.json["breaking"] == 1
    assert back.json["changes"][0] == {
        "code": "D103", "breaking": True, "field": "defaultInputModes", "before": "image/png",
        "message": "an input mode is no longer taken",
    }  # fmt: skip


def test_diff_compares_a_card_of_0_3_with_its_successor(files: Path, run) -> None:  # type: ignore[no-untyped-def]
    """R-CARD-12: clients of 0.3 lose their interface."""
    old = {name: value for name, value in CARD.items() if name != "supportedInterfaces"}
    (files / "old.json").write_text(
        json.dumps({**old, "url": "https://agents.example.org/", "protocolVersion": "0.3.0"})
    )
    done = run("card", "diff", "old.json", "card.json", "-o", "json")
    assert [change["code"] for change in done.json["changes"]] == ["D101", "D201"]


def test_what_a_card_says_does_not_reach_the_terminal_as_control(files: Path, run) -> None:  # type: ignore[no-untyped-def]
    """R-SEC-14: a card is somebody's words."""
    write(files, "evil.json", defaultInputModes=["\x1b[31m"], name="a\x1b[2Jb")
    for done in (run("card", "lint", "evil.json"), run("card", "diff", "card.json", "evil.json")):
        assert "\x1b" not in done.out

"""Every block of the README does what it says."""

import ast
import asyncio
import json
import re
import tomllib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk

import a2a_bridge.bridge
from a2a_bridge.auth_settings import ApiKeySettings, AuthSettings, CertificateSettings, TokenSettings
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.cards.sign import load_signing_key
from a2a_bridge.config import AgentSettings, TLSSettings, load_config
from a2a_bridge.errors import CardError
from a2a_bridge.testing.fake_model import Conversation, Said
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.server import free_socket, running

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def run_block(having: str, replaced: Mapping[str, str] = {}) -> dict[str, Any]:
    """Run the one Python block of the README that has these words in it; the names that it makes."""
    found = [block for block in blocks("python") if having in block]
    assert len(found) == 1, f"{len(found)} Python blocks of README.md have {having!r} in them, not one"
    (block,) = found
    for old, new in replaced.items():
        assert old in block
        block = block.replace(old, new)
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)
    return names


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.splitlines()[0])
def test_what_a_block_of_the_readme_imports_is_there(block: str) -> None:
    """Ours: also of a block that no test here runs."""
    imports = [node for node in ast.parse(block).body if isinstance(node, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, type_ignores=[]), "README.md", "exec"), {})


@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: block.splitlines()[0])
def test_a_block_of_settings_in_the_readme_is_valid(block: str, tmp_path: Path) -> None:
    """Ours: a key that is spelled wrong there would be refused here."""
    (tmp_path / "a2a-bridge.toml").write_text(block.replace("sha256:...", f"sha256:{'0' * 64}"))
    load_config(tmp_path / "a2a-bridge.toml", {})


def test_what_the_readme_links_to_is_there() -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target]
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_clients_of_the_readme_can_be_made() -> None:
    names = run_block("ClientCredentials(")
    assert names["seat"].url == "https://agents.example"


def test_the_seat_of_the_readme_can_be_made() -> None:
    names = run_block("archivist = Seat(")
    assert names["archivist"].timeout == 60


async def test_the_room_of_the_readme_that_is_kept_is_gone_on_with(
    published: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that has ended gives what it came to."""
    few = {"MaxMessageTermination(50)": "MaxMessageTermination(2)"}
    names = run_block("async def go_on()", {"http://127.0.0.1:8080": published} | few)
    assert (await names["kept"].chat("hello")).stop.kind == "terminated"
    await names["go_on"]()
    assert capsys.readouterr().out.endswith("HELLO\n")


async def test_the_careful_client_of_the_readme_believes_a_signed_card(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no other: the same program with another server's key set refuses the card."""
    monkeypatch.chdir(tmp_path)
    key = jwk.ECKey.generate_key("P-256")
    options = Options(signing_keys=[load_signing_key(key.as_dict(private=True))])

    def shout(text: str) -> str:
        return text.upper()

    async with running(lambda url: Bridge(shout, public_url=url, options=options)) as url:
        names = run_block("async def careful()", {"https://agents.example.org": url})
        (tmp_path / "jwks.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
        await names["careful"]()
        assert capsys.readouterr().out.strip()
        stranger = jwk.ECKey.generate_key("P-256").as_dict(private=False)
        (tmp_path / "jwks.json").write_text(json.dumps({"keys": [stranger]}))
        with pytest.raises(CardError, match="no signature can be trusted"):
            await names["careful"]()


def test_the_agents_with_tools_and_code_of_the_readme_can_be_made() -> None:
    names = run_block("BubblewrapExecutor()")
    assert names["refund"].approval == "human"
    assert names["assistant"].traits.keeps_context
    assert not names["runner"].is_passive


def leaves(table: Mapping[str, Any], above: str = "") -> set[str]:
    """The dotted names of all settings of a model's JSON."""
    found: set[str] = set()
    for key, value in table.items():
        found |= leaves(value, f"{above}{key}.") if isinstance(value, Mapping) else {above + key}
    return found


def test_the_example_of_the_settings_file_is_valid_and_shows_every_key_with_its_default() -> None:
    example = ROOT / "examples" / "a2a-bridge.toml"
    settings, defaults = load_config(example, {}), load_config(None, {})
    assert settings.model_dump(exclude={"agents"}) == defaults.model_dump(exclude={"agents"})
    text = re.sub(r"^# (?=\w+ = |\[|\]| )", "", example.read_text("utf-8"), flags=re.MULTILINE)
    whole = tomllib.loads(text)
    tls, schemes = whole["server"].pop("tls"), whole["auth"].pop("schemes")
    known = leaves(settings.model_dump(exclude={"agents"})) - {"server.tls"}
    assert leaves(whole) == known | {f"agents.planner.{key}" for key in AgentSettings.model_fields}
    assert tls.keys() == TLSSettings.model_fields.keys()
    kinds = {"api_key": ApiKeySettings, "jwt": TokenSettings, "mtls": CertificateSettings}
    assert {scheme["kind"]: scheme.keys() | {"jwks_file"} for scheme in schemes.values()} == {
        kind: model.model_fields.keys() | {"jwks_file"} for kind, model in kinds.items()
    }
    AuthSettings.model_validate({"schemes": schemes})


@pytest.fixture
async def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[str]:
    """The first block of the README, served on a free port instead of 8080; gives its URL."""
    handed: list[Bridge] = []
    bound = free_socket()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(a2a_bridge.bridge, "_loop_is_running", lambda: False)
    monkeypatch.setattr(a2a_bridge.bridge, "run_server", lambda bridge, listening, ready: handed.append(bridge))
    run_block("serve(shout)", {"serve(shout)": f"serve(shout, port={bound.getsockname()[1]})"})
    async with running(lambda url: handed[0], bound) as url:
        yield url


async def test_a_function_is_published_and_the_client_of_the_readme_talks_to_it(
    published: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run_block("async def ask()", {"http://127.0.0.1:8080": published})
    await names["ask"]()
    shown = capsys.readouterr().out
    assert shown.startswith("HELLO\n")
    assert "HELLO AGAIN" in shown
    assert shown.endswith(" TASK_STATE_COMPLETED\n")


def test_the_test_of_the_readme_that_needs_no_model_passes() -> None:
    run_block("def test_the_writer_answers()")["test_the_writer_answers"]()


async def test_the_room_of_the_readme_talks_to_its_end(
    published: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same block with a real server in its seat and a fake model at the HTTP edge."""
    order = iter(["researcher", "critic", "shout", "END"])

    def in_turn(conversation: Conversation) -> Said:
        if conversation.schema is None:
            return Said("Mobile wallets grow.")
        return Said(json.dumps({"next": next(order), "reason": "it is their turn"}))

    with FakeOpenAI(in_turn) as model:
        monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
        here = {"http://127.0.0.1:8080": published}
        names = await asyncio.to_thread(run_block, "initiate_chat(manager", here)
    shown = capsys.readouterr().out
    assert "Identify three emerging fintech trends." in shown
    assert {"researcher", "critic", "shout"} <= {entry["name"] for entry in names["result"].chat_history}
    assert "converged" in shown


def test_kagent_runs_what_compose_runs() -> None:
    """Ours: the command of the one is tried in the tests, so that of the other is the same but for its URL."""
    composed = re.search(
        r"^  planner:\n(?:    .*\n)*?    command: (\[.*\])$", (ROOT / "compose.yaml").read_text("utf-8"), re.M
    )
    kagent = (ROOT / "examples" / "kagent.yaml").read_text("utf-8")
    command, arguments = re.search(r"cmd: (.*)", kagent), re.search(r"args: (\[.*\])", kagent)
    assert composed
    assert command
    assert arguments
    elsewhere = arguments[1].replace("planner.kagent:", "planner:")
    assert [command[1], *json.loads(elsewhere)] == json.loads(composed[1])


def test_the_debate_of_the_readme_can_be_had() -> None:
    """Issue 4: the block makes three seats of three models, and a protocol."""
    debate = run_block("Rounds(rounds=3")["debate"]
    assert [seat.key for seat in debate.groupchat.seats] == ["sceptic", "optimist", "auditor"]
    assert (debate.protocol.rounds, debate.protocol.decide) == (3, "confidence")

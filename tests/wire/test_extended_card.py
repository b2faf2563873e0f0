"""The extended card over the wire: for callers who say who they are, each their own (A2A 1.0.1 §3.1.11, §13.3)."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwk

from a2a_bridge.agent import Caller
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.cards.build import build_card
from a2a_bridge.cards.sign import TrustedKeys, load_signing_key, verify_card
from a2a_bridge.client.auth import ApiKey
from a2a_bridge.client.client import Client, Trust
from a2a_bridge.errors import CardError, ConfigError, ExtendedAgentCardNotConfiguredError
from a2a_bridge.protocol.card import AgentCapabilities, AgentCard, AgentSkill
from a2a_bridge.protocol.security import ScopeList, SecurityRequirement
from a2a_bridge.server.auth import Auth
from a2a_bridge.server.identity import ApiKeys, Key
from a2a_bridge.testing.agents import Obedient

KEYS = {"ann": "ann-0123456789-abcdefgh", "bob": "bob-0123456789-abcdefgh", "eve": "eve-0123456789-abcdefgh"}
AUTH = Auth({"key": ApiKeys([Key.of(name, secret) for name, secret in KEYS.items()])})
CALL = {"jsonrpc": "2.0", "id": 1, "method": "GetExtendedAgentCard"}


def own(caller: Caller, card: AgentCard) -> AgentCard | None:
    """A card with a skill for each caller but eve, who has none."""
    if caller.principal == "eve":
        return None
    skill = AgentSkill(id=caller.principal, name="Mine", description="For one.", tags=("x",))
    return card.model_copy(update={"skills": (*card.skills, skill)})


def served(extended: Any = own, **more: Any) -> Bridge:
    return Bridge(Obedient(name="one"), auth=AUTH, options=Options(extended_cards={"one": extended}, **more))


async def asked(http: httpx.AsyncClient, who: str | None, path: str = "", **headers: str) -> httpx.Response:
    known = {} if who is None else {"x-api-key": KEYS[who]}
    return await http.get(path + "/extendedAgentCard", headers={"a2a-version": "1.0", **known, **headers})


async def test_each_caller_gets_a_card_of_its_own(start: Any) -> None:
    """R-EXTC-01, R-EXTC-02, R-SEC-05: over both bindings, at both addresses; nobody is told what is somebody else's."""
    http = await start(served())
    public = (await http.get("/.well-known/agent-card.json", headers={"a2a-version": "1.0"})).json()
    assert public["capabilities"]["extendedAgentCard"] is True
    assert len(public["skills"]) == 1
    for who in ("ann", "bob"):
        for path in ("", "/one"):
            answer = await asked(http, who, path)
            assert [skill["id"] for skill in answer.json()["skills"]] == ["one", who]
            said = {"x-api-key": KEYS[who], "a2a-version": "1.0"}
            result = (await http.post(path + "/", json=CALL, headers=said)).json()["result"]
            assert result == answer.json()
    for answer in (await asked(http, None), await http.post("/", json=CALL, headers={"a2a-version": "1.0"})):
        assert answer.status_code == 401
        assert "Mine" not in answer.text


async def test_a_caller_without_one_is_told_that_none_is_configured(start: Any) -> None:
    """R-EXTC-04, R-CAP-03: -32007 when there is none for this caller, -32004 when the card promises none."""
    http = await start(served())
    answer = await asked(http, "eve")
    assert (answer.status_code, answer.json()["error"]["details"][0]["reason"]) == (
        400, "EXTENDED_AGENT_CARD_NOT_CONFIGURED",
    )  # fmt: skip
    said = {"x-api-key": KEYS["eve"], "a2a-version": "1.0"}
    assert (await http.post("/", json=CALL, headers=said)).json()["error"]["code"] == -32007
    without = await start(Bridge(Obedient(name="one"), auth=AUTH))
    assert (await without.post("/", json=CALL, headers=said)).json()["error"]["code"] == -32004


async def test_it_is_kept_by_the_caller_alone(start: Any) -> None:
    """R-EXTC-05: private, to be asked about, with a tag that is the caller's."""
    http = await start(served(signing_keys=[load_signing_key(jwk.ECKey.generate_key("P-256").as_dict(private=True))]))
    first = await asked(http, "ann")
    assert first.headers["cache-control"] == "private, no-cache"
    assert "Authorization" in first.headers["vary"]
    tag = first.headers["etag"]
    again = await asked(http, "ann", **{"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (await asked(http, "bob", **{"if-none-match": tag})).status_code == 200


async def test_it_is_signed_and_our_client_believes_it(start: Any) -> None:
    """R-SIGN-04, R-EXTC-03: with its own signature, in place of the public card."""
    key = jwk.ECKey.generate_key("P-256")
    http = await start(served(signing_keys=[load_signing_key(key.as_dict(private=True))]))
    trusted = TrustedKeys(key.as_dict(private=False))
    assert verify_card((await asked(http, "ann")).content, trusted).body["skills"][1]["id"] == "ann"
    for who, skills in (("ann", 2), ("eve", 0)):
        client = Client(
            "http://127.0.0.1:8080",
            auth=ApiKey(KEYS[who]),
            trust=Trust(keys=trusted), transport=http._transport,
        )  # fmt: skip
        async with client:
            if skills:
                assert len((await client.extended_card()).skills) == skills
                assert len((await client.card()).skills) == skills
            else:
                with pytest.raises(ExtendedAgentCardNotConfiguredError):
                    await client.extended_card()


async def test_clients_of_0_3_get_it_in_their_form(start: Any) -> None:
    """R-COMPAT-01: by the method and at the paths of 0.3."""
    http = await start(served())
    said = {"x-api-key": KEYS["ann"], "a2a-version": "0.3"}
    call = {**CALL, "method": "agent/getAuthenticatedExtendedCard"}
    found = (await http.post("/", json=call, headers=said)).json()["result"]
    assert (found["preferredTransport"], found["skills"][1]["id"]) == ("JSONRPC", "ann")
    for path in ("/v1/card", "/agent/authenticatedExtendedCard"):
        assert (await http.get(path, headers=said)).json() == found
        assert (await http.get(path, headers={"a2a-version": "0.3"})).status_code == 401


async def test_where_anybody_may_call_the_extended_card_still_wants_a_name(start: Any) -> None:
    """R-EXTC-01: a card that makes credentials optional; without them there is no extended card."""
    card = build_card(Obedient(name="one"), url="http://x/").model_copy(
        update={
            "security_schemes": {"key": AUTH.schemes["key"].card()},
            "security_requirements": (SecurityRequirement(), SecurityRequirement(schemes={"key": ScopeList()})),
        }
    )
    http = await start(
        Bridge(Obedient(name="one"), auth=AUTH, cards={"one": card}, options=Options(extended_cards={"one": own}))
    )
    answer = await asked(http, None)
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert (await asked(http, "ann")).status_code == 200


async def test_a_function_that_fails_tells_strangers_nothing(start: Any) -> None:
    """R-ERR-06: an error and its number; the log has the rest."""

    def broken(caller: Caller, card: AgentCard) -> AgentCard:
        raise RuntimeError("secret words")

    http = await start(served(broken))
    answer = await asked(http, "ann")
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_what_cannot_be_kept_stops_the_start(tmp_path: Path) -> None:
    """R-EXTC-01, R-CARD-05: without authentication; for an agent that is not served; promised and not configured."""
    agent = Obedient(name="one")
    with pytest.raises(ConfigError, match="nobody can"):
        Bridge(agent, options=Options(extended_cards={"one": own}))
    with pytest.raises(ConfigError, match="not served: two"):
        Bridge(agent, auth=AUTH, options=Options(extended_cards={"two": own}))
    promised = build_card(agent, url="http://x/").model_copy(
        update={"capabilities": AgentCapabilities(extended_agent_card=True)}
    )
    with pytest.raises(CardError, match="extendedAgentCard is true"):
        Bridge(agent, auth=AUTH, cards={"one": promised})
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(CardError, match=r"card\.json"):
        Bridge(agent, auth=AUTH, options=Options(extended_cards={"one": tmp_path / "card.json"}))
    assert Bridge(agent, auth=AUTH, cards={"one": promised}, options=Options(extended_cards={"one": own}))

"""Signed cards and the catalogue as they are served (A2A 1.0.1 §8.4; AI Catalog 1.0)."""

import json
from typing import Any

import pytest
from joserfc import jwk

from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.cards.modes import Versions
from a2a_bridge.cards.sign import SigningKey, TrustedKeys, load_signing_key, verify_card
from a2a_bridge.client.client import Client, Trust
from a2a_bridge.errors import CardError, ConfigError
from a2a_bridge.testing.agents import Obedient

CARD = "/.well-known/agent-card.json"
CATALOG = "/.well-known/ai-catalog.json"
KEY = jwk.ECKey.generate_key("P-256", {"kid": "k"})
NEXT = jwk.OKPKey.generate_key("Ed25519", {"kid": "next"})
TRUSTED = TrustedKeys(KEY.as_dict(private=False))


def signing(*keys: Any) -> list[SigningKey]:
    return [load_signing_key(key.as_dict(private=True)) for key in keys or (KEY,)]


@pytest.mark.parametrize("version", [None, "1.0", "0.3"])
@pytest.mark.parametrize("path", ["", "/one", "/two"])
async def test_every_card_is_signed_in_each_of_its_bodies(start: Any, path: str, version: str | None) -> None:
    """R-SIGN-04, R-CARD-03: that of the root and that of each agent, pure and hybrid."""
    http = await start(Bridge([Obedient(name="one"), Obedient(name="two")], options=Options(signing_keys=signing())))
    headers = {} if version is None else {"a2a-version": version}
    answer = await http.get(path + CARD, headers=headers)
    found = verify_card(answer.content, TRUSTED).body
    assert ("url" in found) == (version == "0.3")
    assert found["name"] == ("two" if path == "/two" else "one")
    with pytest.raises(CardError):
        verify_card(answer.content.replace(b'"name":"', b'"name":"x', 1), TRUSTED)


async def test_each_agent_may_have_keys_of_its_own(start: Any) -> None:
    """R-SIGN-07: several at once while they change; agents that are not named are not signed."""
    keys = {"two": signing(KEY, NEXT)}
    http = await start(Bridge([Obedient(name="one"), Obedient(name="two")], options=Options(signing_keys=keys)))
    assert "signatures" not in (await http.get("/one" + CARD)).json()
    body = (await http.get("/two" + CARD)).content
    for key in (KEY, NEXT):
        assert verify_card(body, TrustedKeys(key.as_dict(private=False)))
    with pytest.raises(ConfigError, match="not served: three"):
        Bridge(Obedient(name="one"), options=Options(signing_keys={"three": signing()}))


async def test_the_tag_of_a_signed_card_is_that_of_its_words_and_keys(start: Any) -> None:
    """R-CARD-08, R-CARD-09: replicas agree, though each signs anew; another key is another tag."""
    one, same, other = [
        await start(Bridge(Obedient(name="one"), options=Options(signing_keys=signing(*keys))))
        for keys in ((KEY,), (KEY,), (NEXT,))
    ]
    answers = [await http.get(CARD) for http in (one, same, other)]
    tags = [answer.headers["etag"] for answer in answers]
    assert answers[0].content != answers[1].content
    assert tags[0] == tags[1] != tags[2]
    assert tags[0].startswith('W/"')
    for known in (tags[0], tags[0].removeprefix("W/")):
        assert (await one.get(CARD, headers={"if-none-match": known})).status_code == 304
    assert (await other.get(CARD, headers={"if-none-match": tags[0]})).status_code == 200


async def test_our_client_believes_our_signed_cards(start: Any) -> None:
    """R-SIGN-05: and refuses those of a server without the key."""
    http = await start(Bridge(Obedient(name="one"), options=Options(signing_keys=signing())))
    other = await start(Bridge(Obedient(name="one")))
    for source, is_signed in ((http, True), (other, False)):
        async with Client("http://127.0.0.1:8080", trust=Trust(keys=TRUSTED), transport=source._transport) as client:
            if is_signed:
                assert (await client.send("hi")).context_id
            else:
                with pytest.raises(CardError, match="not signed"):
                    await client.card()


async def test_without_0_3_there_is_one_signed_body(start: Any) -> None:
    """R-CARD-03."""
    options = Options(signing_keys=signing(), versions=Versions(v03=False))
    http = await start(Bridge(Obedient(name="one"), options=options))
    assert (await http.get(CARD)).content == (await http.get(CARD, headers={"a2a-version": "1.0"})).content


async def test_the_catalogue_names_every_agent(start: Any) -> None:
    """AI Catalog 1.0: at the well-known path, for everybody, with a tag; each entry leads to a card."""
    http = await start(Bridge([Obedient(name="one"), Obedient(name="two")], public_url="https://agents.example.org/a/"))
    answer = await http.get(CATALOG)
    assert answer.headers["content-type"] == "application/ai-catalog+json"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["access-control-allow-origin"] == "*"
    entries = json.loads(answer.content)["entries"]
    assert [entry["identifier"] for entry in entries] == [
        "urn:air:agents.example.org:a:agent:one", "urn:air:agents.example.org:a:agent:two",
    ]  # fmt: skip
    for entry in entries:
        path = entry["url"].removeprefix("https://agents.example.org/a")
        assert (await http.get(path)).json()["name"] in entry["identifier"]
    assert (await http.get(CATALOG, headers={"if-none-match": answer.headers["etag"]})).status_code == 304
    assert (await http.head(CATALOG)).headers["content-length"] == str(len(answer.content))
    assert (await http.post(CATALOG)).status_code == 405

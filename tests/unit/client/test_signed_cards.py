"""A client that has keys believes signed cards only, and of those only what is signed."""

import json
from typing import Any

import pytest
from joserfc import jwk

from a2a_bridge.cards.sign import TrustedKeys, load_signing_key, sign_card
from a2a_bridge.client.client import Client, Trust
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.errors import CardError, InvalidAgentResponseError

KEY = jwk.ECKey.generate_key("P-256", {"kid": "k"})
PUBLIC = KEY.as_dict(private=False)
SIGNER = load_signing_key(KEY.as_dict(private=True))
DONE = {"task": {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}}}


def signed(card: dict[str, Any], **more: Any) -> dict[str, Any]:
    skills = [{"id": "s", "name": "S", "description": "Does it.", "tags": ["t"]}]
    return sign_card({**card, "skills": skills, **more}, [SIGNER])


def believing(raw: Any, **more: Any) -> Client:
    return raw.client(trust=Trust(keys=TrustedKeys(PUBLIC, **more)))


async def test_a_signed_card_is_followed(raw: Any) -> None:
    """R-SIGN-05: verified once, then used like any other."""
    raw.card = signed(raw.card)
    raw.on("SendMessage", lambda exchange: exchange.result(DONE))
    async with believing(raw) as client:
        assert (await client.send("hi")).id == "t"
        assert (await RemoteAgent(client).describe()).name == "raw"


async def test_an_unsigned_or_changed_card_is_refused_before_anything_is_sent(raw: Any) -> None:
    """R-SIGN-05, R-SEC-13: nothing but the card was asked for."""
    changed = signed(raw.card)
    changed["supportedInterfaces"][0]["url"] += "/elsewhere"
    for card in (raw.card, changed, {**signed(raw.card), "signatures": []}):
        raw.card = card
        async with believing(raw) as client:
            with pytest.raises(CardError, match=r"not signed|no signature can be trusted"):
                await client.send("hi")
    assert {request.verb for request in raw.requests} == {"GET"}


async def test_what_the_signature_does_not_cover_is_not_used(raw: Any) -> None:
    """R-SIGN-08: members of 0.3 beside a signed card of 1.0, and security schemes in their form."""
    raw.card = {**signed(raw.card), "url": "https://evil.example/", "preferredTransport": "JSONRPC", "provider": None}
    async with believing(raw) as client:
        card = await client.card()
    assert [interface.url for interface in card.supported_interfaces] == [f"{raw.url}/rpc"]


async def test_a_card_with_a_member_twice_is_refused(raw: Any) -> None:
    """R-SIGN-03: judged as it came over the wire."""
    text = json.dumps(signed(raw.card))
    raw.on("card", lambda exchange: exchange.answer((text[:-1] + ', "name": "raw"}').encode()))
    async with believing(raw) as client:
        with pytest.raises(CardError, match="twice"):
            await client.card()


async def test_a_card_that_is_kept_is_judged_again_when_it_is_confirmed(raw: Any) -> None:
    """R-SIGN-07: a key that went out of date since vouches no longer, though the card has not changed."""
    text = json.dumps(signed(raw.card)).encode()
    now = 1_000.0

    async def card(exchange: Any) -> None:
        known = exchange.headers.get("if-none-match") == '"1"'
        headers = {"ETag": '"1"', "Cache-Control": "max-age=0"}
        await exchange.answer(b"" if known else text, status=304 if known else 200, headers=headers)

    raw.on("card", card)
    keys = TrustedKeys({**PUBLIC, "exp": 2_000}, clock=lambda: now)
    async with raw.client(trust=Trust(keys=keys)) as client:
        first = await client.card()
        assert await client.card() is first
        now = 3_000.0
        with pytest.raises(CardError, match="no longer valid"):
            await client.card()


async def test_the_extended_card_needs_a_signature_too(raw: Any) -> None:
    """R-SIGN-05, R-EXTC-03: it takes the place of the public one."""
    raw.card = signed(raw.card, capabilities={"streaming": True, "extendedAgentCard": True})
    more = signed({**raw.card, "signatures": []}, description="More.")
    unsigned = {**more, "signatures": []}
    raw.on(
        "GetExtendedAgentCard",
        lambda exchange: exchange.result(more), lambda exchange: exchange.result(unsigned),
        lambda exchange: exchange.result("no card"),
    )  # fmt: skip
    async with believing(raw) as client:
        assert (await client.extended_card()).description == "More."
        with pytest.raises(CardError, match="not signed"):
            await client.extended_card()
        with pytest.raises(InvalidAgentResponseError, match="not a JSON object"):
            await client.extended_card()


async def test_without_keys_signatures_are_not_looked_at(raw: Any) -> None:
    """Ours: whoever has no key cannot tell; and nothing of the extra is loaded."""
    raw.card = {**signed(raw.card), "name": "changed"}
    async with raw.client() as client:
        assert (await client.card()).name == "changed"

"""The probe at a server of ours that asks who is calling."""

from typing import Any, Literal

import pytest

from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.check.case import Verdict
from a2a_bridge.client.auth import ApiKey
from a2a_bridge.client.client import Wanted
from a2a_bridge.errors import ConnectionFailedError
from a2a_bridge.guard import Guard
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.server.auth import Auth
from a2a_bridge.server.identity import ApiKeys, Key
from a2a_bridge.tasks.push import Push
from a2a_bridge.testing.server import running

from .conftest import Spoiled, echo, findings_at

SECRET = "ann-s-key-0123456789abcdefghijklmnop"

Location = Literal["header", "query", "cookie"]


def guarded(url: str, location: Location) -> Bridge:
    """A server with API keys and an extended card."""

    def extended(caller: Any, card: AgentCard) -> AgentCard:
        return card.model_copy(update={"description": f"For {caller.principal}."})

    keys = ApiKeys([Key.of("ann", SECRET)], name="X-Key", location=location)
    options = Options(push=Push(Guard(loopback=True)), extended_cards={"echo": extended})
    return Bridge(echo, public_url=url, auth=Auth(schemes={"key": keys}), options=options)


@pytest.mark.parametrize("location", ["header", "query", "cookie"])
async def test_a_guarded_server_of_ours_passes_with_a_key(location: Location) -> None:
    """R-SEC-02, R-EXTC-01, R-EXTC-03: the key goes where the card says, and whoever has none is refused."""
    async with running(lambda url: guarded(url, location)) as url:
        findings = await findings_at(url, auth=ApiKey(SECRET))
    wrong = [(f.where, f.case.name, f.why) for f in findings if f.verdict in (Verdict.FAILED, Verdict.NOT_ASKED)]
    assert wrong == []
    right = {finding.case.name for finding in findings if finding.verdict is Verdict.OK}
    assert {"credentials-are-asked-for", "challenge", "extended-card-is-given", "extended-card-is-guarded"} <= right


@pytest.mark.parametrize("given", [None, ApiKey("eve-s-key-0123456789abcdefghijklmnop")])
async def test_without_good_credentials_nothing_is_asked(given: ApiKey | None) -> None:
    """One sentence, and not a hundred answers that are wrong for one reason."""
    async with running(lambda url: guarded(url, "header")) as url:
        with pytest.raises(ConnectionFailedError, match=r"credentials \(schemes in its card: key\)") as caught:
            await findings_at(url, auth=given)
    assert caught.value.status == 401


async def test_a_server_that_asks_to_come_again_is_asked_again() -> None:
    """R-SEC-10: a rate is no fault of the protocol. Every third answer is a refusal."""
    seen: list[int] = []

    def spoil(status: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        seen.append(status)
        return (429, {"retry-after": "0"}, b"") if len(seen) % 3 == 0 else (status, headers, body)

    async with running(lambda url: Spoiled(url, spoil)) as url:
        findings = await findings_at(url, wanted=Wanted("JSONRPC", "1.0"))
    told = [finding for finding in findings if finding.where != "CARD"]
    assert [(f.case.name, f.why) for f in told if f.verdict in (Verdict.FAILED, Verdict.NOT_ASKED)] == []


async def test_who_asks_to_wait_too_long_cannot_be_asked() -> None:
    """Longer than one question may take: neither right nor wrong."""

    def spoil(status: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return (status, headers, body) if b"supportedInterfaces" in body else (429, {"retry-after": "99"}, b"")

    async with running(lambda url: Spoiled(url, spoil)) as url:
        findings = await findings_at(url, wanted=Wanted("JSONRPC", "1.0"))
    told = [finding for finding in findings if finding.where != "CARD"]
    assert {finding.verdict for finding in told} == {Verdict.NOT_APPLICABLE}
    assert any(finding.why == "the server says HTTP 429, and to come again in 99 s" for finding in told)

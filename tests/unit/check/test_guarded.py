"""The probe at a server of ours that asks who is calling."""

from typing import Any, Literal

import pytest

from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.check.case import Verdict
from a2a_bridge.client.auth import ApiKey
from a2a_bridge.errors import ConnectionFailedError
from a2a_bridge.guard import Guard
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.server.auth import Auth
from a2a_bridge.server.identity import ApiKeys, Key
from a2a_bridge.tasks.push import Push
from a2a_bridge.testing.server import running

from .conftest import echo, findings_at

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


async def test_without_a_key_nothing_is_learned_but_the_refusals() -> None:
    """The probe tells what it sees, and goes on to its end."""
    async with running(lambda url: guarded(url, "header")) as url:
        findings = await findings_at(url)
    failed = {finding.case.name for finding in findings if finding.verdict is Verdict.FAILED}
    assert {"gets-nobody", "task-or-message"} <= failed
    assert ConnectionFailedError.__name__ not in "".join(finding.why for finding in findings)

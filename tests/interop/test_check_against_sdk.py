"""What our probe finds at a server of the official SDK (a2a-sdk 1.3.0): what is known, and nothing else.

A newer SDK may mend some of it, and then this list gets shorter.
"""

import pytest
from sdk_peer import WAYS, Way, sdk_server

from a2a_bridge.check.case import Verdict
from a2a_bridge.check.run import Probe, check_agent

CARD = {
    "card-says-how-long-it-lasts",  # no Cache-Control unless the user gives one
    "card-is-readable-in-browsers",  # no CORS
}
BOTH = CARD | {
    "version-in-the-query",  # the query is not read
    "later-minor-versions",  # only the major number is compared
    "unknown-media-types",  # checked only if the user switches it on
    "list-by-a-wrong-status",  # an unknown name becomes "any"
    "extended-card-is-guarded",  # whether anybody authenticates is left to the user
}
DEVIATIONS = {
    Way("JSONRPC", "1.0"): BOTH | {
        "slash-or-none",  # a redirect
        "other-types-are-refused",  # the Content-Type is not read
        "no-utf8",  # an internal error with the words of the exception
        "extra-members",  # the envelope is closed
    },
    Way("HTTP+JSON", "1.0"): BOTH | {
        "no-json",  # an internal error for what is no UTF-8
        "other-types",  # the Content-Type is not read
        "unknown-routes",  # plain text
        "odd-ids",  # a slash in an id is one of the path
        "wrong-queries",  # a boolean that is none is skipped
        "snake-case-in-queries",
        "slashes",
    },
    Way("JSONRPC", "0.3"): CARD | {
        "old-wrong-params",  # told as an invalid request
        "old-webhook-without-an-id",
        "old-webhook-deleted",  # the answer has no result
    },
    Way("HTTP+JSON", "0.3"): CARD,
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_the_probe_finds_what_is_known_of_the_official_sdk(way: Way) -> None:
    """Each is a rule that the SDK keeps in another way, or not; our client gets along with all of it."""
    async with sdk_server(way) as peer:
        findings = [finding async for finding in check_agent(Probe(peer.url, webhook="http://127.0.0.1:9/hook"))]
    assert {f.where for f in findings} == {"CARD", str(way)}
    wrong = {f.case.name: f.why for f in findings if f.verdict in (Verdict.FAILED, Verdict.NOT_ASKED)}
    assert wrong.keys() == DEVIATIONS[way], wrong

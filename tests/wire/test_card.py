"""The public card and the probes over HTTP (A2A 1.0.1 §8.2, §8.6)."""

from typing import Any

import httpx
import pytest

from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.cards.modes import CardMode, Versions
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.wire import Wire

CARD = "/.well-known/agent-card.json"


async def test_the_card_is_at_the_well_known_path(wire: Wire) -> None:
    """R-CARD-01, R-CARD-07: no version header, no credentials; every required member is there."""
    del wire.http.headers["a2a-version"]
    response = await wire.http.get(CARD)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    card = response.json()
    required = {"name", "description", "version", "supportedInterfaces", "capabilities", "defaultInputModes"}
    assert card.keys() >= required | {"defaultOutputModes", "skills"}
    assert all(skill["tags"] for skill in card["skills"])
    AgentCard.model_validate(card)


async def test_the_old_path_gives_the_same_card(wire: Wire) -> None:
    """R-CARD-02."""
    assert (await wire.http.get("/.well-known/agent.json")).content == (await wire.http.get(CARD)).content


async def test_a_card_is_pure_1_0(wire: Wire) -> None:
    """R-CARD-03, R-CARD-04, R-CARD-05, R-BIND-02: for who asks for 1.0, no members of 0.3; an interface for each
    binding and version that is spoken, those of 1.0 first."""
    card = (await wire.http.get(CARD)).json()
    assert not card.keys() & {"url", "preferredTransport", "protocolVersion", "additionalInterfaces"}
    spoken = [(i["protocolBinding"], i["protocolVersion"]) for i in card["supportedInterfaces"]]
    assert spoken == [(binding, version) for version in ("1.0", "0.3") for binding in ("JSONRPC", "HTTP+JSON")]
    assert card["capabilities"]["streaming"] is True
    assert card["capabilities"]["pushNotifications"] is True


async def bodies(start: Any, mode: CardMode | None) -> dict[str, httpx.Response]:
    """The card as readers of either version get it, and one that does not say."""
    http = await start(Bridge(Obedient(), options=Options(versions=Versions(card=mode))))
    del http.headers["a2a-version"]
    asked = {"unsaid": {}, "1.0": {"a2a-version": "1.0.1"}, "0.3": {"a2a-version": "0.3"}}
    return {name: await http.get(CARD, headers=headers) for name, headers in asked.items()}


def kind_of(response: httpx.Response) -> str:
    """Which body it is."""
    has_new, has_old = "supportedInterfaces" in response.json(), "url" in response.json()
    return {(True, True): "hybrid", (True, False): "v1", (False, True): "v03"}[has_new, has_old]


@pytest.mark.parametrize(
    ("mode", "unsaid"), [(None, "hybrid"), ("hybrid", "hybrid"), ("v1", "v1"), ("negotiated", "v03")]
)
async def test_the_mode_says_which_card_a_reader_without_a_version_gets(start: Any, mode: Any, unsaid: str) -> None:
    """R-CARD-03, R-COMPAT-03, R-CARD-08, R-CARD-09: who says a version gets that one in every
    mode; each body has its own tag."""
    found = await bodies(start, mode)
    kinds = {name: kind_of(response) for name, response in found.items()}
    assert kinds == {"unsaid": unsaid, "1.0": "v1", "0.3": "v03"}
    assert len({r.headers["etag"] for r in found.values()}) == len({r.content for r in found.values()})
    assert all(response.headers["vary"] == "A2A-Version" for response in found.values())


@pytest.mark.parametrize(
    ("version", "kind"),
    [("2.0", "v1"), ("10.0", "v1"), ("0.2", "v03"), ("00.9", "v03"), ("9" * 5000 + ".0", "v1"), ("1", "hybrid"),
     ("junk", "hybrid"), ("x.0", "hybrid"), ("-1.0", "hybrid"), (".3", "hybrid")],
    ids=lambda value: value[:6],
)  # fmt: skip
async def test_a_version_that_nobody_speaks_gets_the_nearest_card(start: Any, version: str, kind: str) -> None:
    """R-CARD-03, R-COMPAT-03: by its major number; what is no version says nothing."""
    http = await start(Bridge(Obedient()))
    assert kind_of(await http.get(CARD, headers={"a2a-version": version})) == kind


async def test_a_tag_of_one_body_does_not_count_for_another(start: Any) -> None:
    """R-CARD-09, R-CARD-03: the version may stand in the query here too."""
    http = await start(Bridge(Obedient()))
    known = {"if-none-match": (await http.get(CARD)).headers["etag"]}
    assert (await http.get(CARD, headers=known)).status_code == 304
    assert (await http.get(CARD, headers=known | {"a2a-version": "0.3"})).status_code == 200
    assert (await http.get(f"{CARD}?A2A-Version=1.0", headers=known | {"a2a-version": ""})).status_code == 304


async def test_a_server_that_speaks_only_1_0_has_one_card(start: Any) -> None:
    """R-CARD-03, R-CARD-05: no interface of 0.3, whoever asks."""
    http = await start(Bridge(Obedient(), options=Options(versions=Versions(v03=False))))
    found = [await http.get(CARD, headers={"a2a-version": version}) for version in ("1.0", "0.3", "")]
    assert len({response.content for response in found}) == 1
    assert {i["protocolVersion"] for i in found[0].json()["supportedInterfaces"]} == {"1.0"}


async def test_the_url_in_a_card_comes_from_the_configuration(start: Any) -> None:
    """R-CARD-13, R-CARD-14, R-TEN-06: not from the Host header; each agent's card names its own URL, the
    root's the root."""
    agents = [Obedient(name="one"), Obedient(name="two")]
    http = await start(Bridge(agents, public_url="https://agents.example.org/base/"))
    for path, url in (("", ""), ("/one", "one/"), ("/two", "two/")):
        card = (await http.get(path + CARD, headers={"host": "evil.example"})).json()
        assert card["supportedInterfaces"][0]["url"] == f"https://agents.example.org/base/{url}"
        assert card["name"] == ("two" if path == "/two" else "one")


async def test_the_card_may_be_cached(wire: Wire) -> None:
    """R-CARD-08, R-CARD-11: an entity tag, a time, and no obstacle for a browser."""
    headers = (await wire.http.get(CARD)).headers
    assert headers["cache-control"] == "public, max-age=300"
    assert headers["access-control-allow-origin"] == "*"
    assert headers["vary"] == "A2A-Version"
    assert headers["etag"]


async def test_a_known_card_is_not_sent_again(wire: Wire) -> None:
    """R-CARD-09: 304 with the same tag, by weak comparison, in lists, for any; and no length of what is not there."""
    tag = (await wire.http.get(CARD)).headers["etag"]
    opaque = tag.removeprefix("W/")
    for known in (tag, opaque, f"W/{opaque}", f'"a", {tag}', f'"a",{opaque} , "b"', "*"):
        response = await wire.http.get(CARD, headers={"if-none-match": known})
        assert (response.status_code, response.content) == (304, b""), known
        assert response.headers["etag"] == tag
        assert response.headers["cache-control"] == "public, max-age=300"
        assert "content-length" not in response.headers
    for other in ('"other"', opaque[1:-1], "", "W/", f'{opaque[:-2]}"'):
        assert (await wire.http.get(CARD, headers={"if-none-match": other})).status_code == 200, other


async def test_the_tag_changes_with_the_card(start: Any) -> None:
    """R-CARD-08: and with nothing else."""
    one = await start(Bridge(Obedient(name="one")))
    same = await start(Bridge(Obedient(name="one")))
    other = await start(Bridge(Obedient(name="other")))
    tags = [(await http.get(CARD)).headers["etag"] for http in (one, same, other)]
    assert tags[0] == tags[1] != tags[2]


async def test_head_tells_about_the_card_without_it(wire: Wire) -> None:
    """R-CARD-09."""
    whole, head = await wire.http.get(CARD), await wire.http.head(CARD)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.headers["etag"] == whole.headers["etag"]


@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_card_is_only_read(wire: Wire, verb: str) -> None:
    """R-CARD-01."""
    response = await wire.http.request(verb, CARD)
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/healthz", "/health", "/readyz"])
async def test_the_probes_answer(wire: Wire, path: str) -> None:
    """Our decision: alive, and ready for new work."""
    response = await wire.http.get(path)
    assert response.status_code == 200
    assert response.json()["status"] in ("ok", "ready")
    assert (await wire.http.post(path)).status_code == 405


async def test_a_server_that_stops_is_alive_and_not_ready(start: Any) -> None:
    """Our decision: a load balancer takes it out before it is gone."""
    bridge = Bridge(Obedient())
    http = await start(bridge)
    await bridge.drain()
    assert (await http.get("/healthz")).status_code == 200
    response = await http.get("/readyz")
    assert (response.status_code, response.json()) == (503, {"status": "not ready"})

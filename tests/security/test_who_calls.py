"""Ways to say who calls, what cards promise of them, and what stops the start."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from forge import AUDIENCE, ISSUER, Keys, claims, token
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from a2a_bridge.agent import Caller
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.cards.build import build_card
from a2a_bridge.errors import ConfigError
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.server.auth import Auth, Claims, Issuer, Tokens
from a2a_bridge.server.gate import secured
from a2a_bridge.server.identity import ApiKeys, Basic, Certificates, Identity, Key, address_of, digest_of, networks
from a2a_bridge.server.jwks import KeySource, KeysUnavailable, Waits, check_address, keys_in
from a2a_bridge.server.limits import Limits
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.server import running
from a2a_bridge.testing.wire import Wire, say

Start = Callable[..., Any]
KEY, OTHER = "a-key-of-twenty-and-more", "b-key-of-twenty-and-more"
ANN = Key.of("ann", KEY, scopes=("read",))
BOB = Key.of("bob", OTHER, tenants=("blue", "red"))


async def knock(http: httpx.AsyncClient, headers: Mapping[str, str] = {}, path: str = "/") -> httpx.Response:
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say()}
    return await http.post(path, json=body, headers=headers)


async def caller_of(start: Start, auth: Auth, headers: Mapping[str, str], path: str = "/") -> Caller | int:
    """Whom the agent saw, or the status of the refusal."""
    agent = Obedient()
    answer = await knock(await start(Bridge(agent, auth=auth)), headers, path)
    if answer.status_code != 200:
        return int(answer.status_code)
    seen = agent.turns[0].caller
    return Caller(seen.principal, seen.tenant, seen.scopes)


def basic(name: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


KEYED = {where: ApiKeys([ANN, BOB], name="k", location=where) for where in ("header", "query", "cookie")}
PROXIED = Certificates(header="x-cert", proxies=["127.0.0.1"])
FAR = Certificates(header="x-cert", proxies=["10.0.0.0/8"])
NAMED = Certificates(header="x-cert", proxies=["127.0.0.0/8"], names={"ann": Identity("ann")})


@pytest.mark.parametrize(
    ("scheme", "headers", "path", "seen"),
    [
        (KEYED["header"], {"k": KEY}, "/", Caller("ann", "", frozenset({"read"}))),
        (KEYED["header"], {"k": OTHER}, "/", Caller("bob", "blue")),
        (KEYED["header"], {"k": KEY + "x"}, "/", 401),
        (KEYED["header"], {"k": ""}, "/", 401),
        (KEYED["header"], {"k": digest_of(KEY)}, "/", 401),
        (KEYED["header"], {"authorization": f"Bearer {KEY}"}, "/", 401),
        (KEYED["header"], {}, f"/?k={KEY}", 401),
        (KEYED["query"], {}, f"/?k={KEY}", Caller("ann", "", frozenset({"read"}))),
        (KEYED["query"], {}, f"/?k={KEY}&k={KEY}", 401),
        (KEYED["query"], {}, f"/?K={KEY}", 401),
        (KEYED["cookie"], {"cookie": f"x=1; k={KEY}"}, "/", Caller("ann", "", frozenset({"read"}))),
        (KEYED["cookie"], {"cookie": f"k={KEY}; k={KEY}"}, "/", 401),
        (KEYED["cookie"], {"cookie": f"k={KEY}", "origin": "http://test"}, "/", Caller("ann", "", frozenset({"read"}))),
        (KEYED["cookie"], {"cookie": f"k={KEY}", "origin": "https://evil.example"}, "/", 401),
        (KEYED["cookie"], {"cookie": f"k={KEY}", "origin": "null"}, "/", 401),
        (KEYED["cookie"], {"cookie": f"k={KEY}", "sec-fetch-site": "cross-site"}, "/", 401),
        (Basic([ANN]), basic("ann", KEY), "/", Caller("ann", "", frozenset({"read"}))),
        (Basic([ANN]), basic("bob", KEY), "/", 401),
        (Basic([ANN]), basic("ann", KEY[:-1]), "/", 401),
        (Basic([ANN]), {"authorization": "Basic !!!"}, "/", 401),
        (Basic([ANN]), {"authorization": "basic " + base64.b64encode(KEY.encode()).decode()}, "/", 401),
        (PROXIED, {"x-cert": "spiffe://x/ann"}, "/", Caller("cert:spiffe://x/ann")),
        (PROXIED, {}, "/", 401),
        (FAR, {"x-cert": "spiffe://x/ann"}, "/", 401),
        (NAMED, {"x-cert": "ann"}, "/", Caller("ann")),
        (NAMED, {"x-cert": "eve"}, "/", 401),
        (Certificates(), {"x-cert": "ann"}, "/", 401),
    ],
)
async def test_a_scheme_recognises_its_callers(
    start: Start, scheme: Any, headers: dict[str, str], path: str, seen: Caller | int
) -> None:
    """R-SEC-02, R-SEC-15: each way to send something, and each way not to."""
    assert await caller_of(start, Auth(schemes={"s": scheme}), headers, path) == seen


@pytest.mark.parametrize("name", ["k", "authorization"])
async def test_a_header_that_was_sent_twice_says_nothing(start: Start, name: str) -> None:
    """Whoever stands before us might have looked at the other one."""
    scheme = KEYED["header"] if name == "k" else Basic([ANN])
    value = KEY if name == "k" else basic("ann", KEY)["authorization"]
    http = await start(Bridge(Obedient(), auth=Auth(schemes={"s": scheme})))
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say()}
    answer = await http.post("/", json=body, headers=[(name, value), (name, "other")])
    assert answer.status_code == 401


async def test_both_bindings_ask_and_the_card_does_not(start: Start) -> None:
    """R-SEC-02, R-CARD-01, R-BIND-01: every route but the public card; 401 names the scheme in HTTP's own words."""
    http = await start(Bridge(Obedient(), auth=Auth(schemes={"s": Basic([ANN])})))
    for verb, path in (("POST", "/message:send"), ("GET", "/tasks"), ("GET", "/tasks/x"), ("POST", "/tasks/x:cancel")):
        answer = await http.request(verb, path)
        assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
    card = await http.get("/.well-known/agent-card.json")
    assert card.status_code == 200
    assert card.json()["securitySchemes"]["s"]["httpAuthSecurityScheme"]["scheme"] == "Basic"
    assert list(card.json()["securityRequirements"][0]["schemes"]) == ["s"]


async def test_scopes_are_asked_for_and_named(start: Start) -> None:
    """R-SEC-02: 403 names the scope that is lacking, and nothing else."""
    schemes = {"key": KEYED["header"]}
    http = await start(Bridge(Obedient(), auth=Auth(schemes=schemes, require=[{"key": ["read", "write"]}])))
    answer = await knock(http, {"k": KEY})
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="write"'
    http = await start(Bridge(Obedient(), auth=Auth(schemes=schemes, require=[{"key": ["read"]}])))
    assert (await knock(http, {"k": KEY})).status_code == 200
    assert (await knock(http, {"k": OTHER})).status_code == 403


async def test_schemes_of_one_requirement_are_needed_together_and_alternatives_are_not(start: Start) -> None:
    """§4.5: a list of requirements is OR, the schemes in one are AND; the caller of both is not the caller of one."""
    schemes = {"key": KEYED["header"], "basic": Basic([ANN]), "cert": PROXIED}
    auth = Auth(schemes=schemes, require=[{"key": [], "basic": []}, {"cert": []}])
    both = {"k": KEY, **basic("ann", KEY)}
    assert await caller_of(start, auth, both) == Caller("ann + ann", "", frozenset({"read"}))
    assert await caller_of(start, auth, {"k": KEY}) == 401
    assert await caller_of(start, auth, {"x-cert": "eve"}) == Caller("cert:eve")
    assert await caller_of(start, auth, {"k": OTHER, **basic("ann", KEY)}) == 403  # of different tenants
    red = Basic([Key.of("ann", KEY, tenants=("red", "blue"))])
    both = Auth({"key": KEYED["header"], "basic": red}, require=[{"key": [], "basic": []}])
    found = await caller_of(start, both, {"k": OTHER, **basic("ann", KEY)})
    assert found == Caller("bob + ann", "blue")  # the first tenant of the first scheme that all may name


async def test_a_card_may_let_anybody_in_but_not_somebody_with_bad_credentials(start: Start) -> None:
    """An empty requirement is what a card says for "or nobody"."""
    auth = Auth(schemes={"key": KEYED["header"]}, require=[{"key": []}, {}])
    assert await caller_of(start, auth, {}) == Caller()
    assert await caller_of(start, auth, {"k": KEY}) == Caller("ann", "", frozenset({"read"}))
    assert await caller_of(start, auth, {"k": "expired"}) == 401


async def test_a_caller_is_in_the_tenant_that_it_names_if_it_may(start: Start) -> None:
    """R-TEN-03: in the parameters over JSON-RPC, before the path over HTTP+JSON; the first one if none is named."""
    agent = Obedient()
    http = await start(Bridge(agent, auth=Auth(schemes={"key": KEYED["header"]})))
    wire = Wire(http)
    await wire.result("SendMessage", say() | {"tenant": "red"}, headers={"k": OTHER})
    assert (await http.post("/red/message:send", json=say(), headers={"k": OTHER})).status_code == 200
    await wire.result("SendMessage", say(), headers={"k": OTHER})
    assert [turn.caller.tenant for turn in agent.turns] == ["red", "red", "blue"]
    assert (await http.post("/green/message:send", json=say(), headers={"k": OTHER})).status_code == 404
    assert (await wire.error("SendMessage", say() | {"tenant": "green"}, headers={"k": OTHER}))["code"] == -32001


@pytest.mark.parametrize("limits", [Limits(), Limits(rate=100.0)])
async def test_callers_that_nobody_knows_may_name_what_is_given(start: Start, limits: Limits) -> None:
    """R-TEN-04: tenants of the settings, with a rate or without; any other is not there."""
    agent = Obedient()
    bridge = Bridge(agent, auth=Auth(tenants=("", "blue")), limits=limits)
    wire = Wire(await start(bridge))
    await wire.result("SendMessage", say() | {"tenant": "blue"})
    await wire.result("SendMessage", say())
    assert [turn.caller.tenant for turn in agent.turns] == ["blue", ""]
    assert (await wire.error("SendMessage", say() | {"tenant": "red"}))["code"] == -32001


# --- what cards promise


def card(schemes: Any = None, required: Any = None, **skill: Any) -> AgentCard:
    built = build_card(Obedient(), url="http://x/").model_dump(by_alias=True, exclude_none=True, mode="json")
    built |= {"securitySchemes": schemes} if schemes else {}
    built |= {"securityRequirements": required} if required else {}
    built["skills"] = [built["skills"][0] | skill]
    return AgentCard.model_validate(built)


API_KEY = {"apiKeySecurityScheme": {"location": "header", "name": "k"}}


@pytest.mark.parametrize(
    ("given", "schemes", "said"),
    [
        (card({"key": API_KEY}), {}, "promises the security scheme 'key' (apiKey), but no scheme of that name is"),
        (card({"key": API_KEY}), {"key": KEYED["query"]}, "but another one is configured"),
        (card({"key": API_KEY}), {"key": Basic([ANN])}, "but another one is configured"),
        (card({"sso": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "https://x"}}}), {}, "(openIdConnect)"),
        (card({"o": {"oauth2SecurityScheme": {"flows": {}}}}), {}, "(oauth2)"),
        (card({"c": {"mtlsSecurityScheme": {}}}), {}, "(mtls)"),
        (card(None, [{"schemes": {"key": {}}}]), {}, "requires 'key', but no scheme of that name is configured"),
        (card(None, None, securityRequirements=[{"schemes": {"key": {}}}]), {}, "no request says which skill it means"),
        (
            card(None, None, securityRequirements=[{"schemes": {"key": {"list": ["x"]}}}]),
            {"key": KEYED["header"]},
            "no request says which skill it means",
        ),
    ],
)
def test_a_card_that_promises_what_is_not_there_stops_the_start(
    given: AgentCard, schemes: dict[str, Any], said: str
) -> None:
    """Issue: with a sentence that names the card, the scheme and what to do."""
    with pytest.raises(ConfigError) as caught:
        Bridge(Obedient(), cards={"obedient": given}, auth=Auth(schemes=schemes))
    assert said in str(caught.value)


async def test_a_card_of_ones_own_is_obeyed(start: Start) -> None:
    """What it requires is asked for, and what else is configured is not."""
    given = card({"key": API_KEY}, [{"schemes": {"key": {"list": ["read"]}}}])
    auth = Auth(schemes={"key": KEYED["header"], "basic": Basic([ANN])})
    http = await start(Bridge(Obedient(), cards={"obedient": given}, auth=auth))
    assert (await knock(http, basic("ann", KEY))).status_code == 401
    assert (await knock(http, {"k": OTHER})).status_code == 403
    assert (await knock(http, {"k": KEY})).status_code == 200
    skilled = card(None, None, securityRequirements=[{"schemes": {"key": {}}}])
    assert secured(skilled, Auth(schemes={"key": KEYED["header"]})).security_requirements


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Auth(schemes={"s": PROXIED}, allow_anonymous=True), "allow_anonymous with schemes"),
        (lambda: Bridge(Obedient(), auth=Auth(schemes={"s": PROXIED}, require=[{"t": []}])), "no such scheme: s"),
        (lambda: Auth(require=[{"t": []}]), "there is no such scheme: none at all"),
        (lambda: Auth(schemes={"s": PROXIED}, require=[]), "require is empty"),
        (lambda: Tokens(Issuer(ISSUER, jwks_url="http://x.example/jwks"), AUDIENCE), "must be an https:// address"),
        (lambda: Tokens(Issuer(ISSUER, jwks_url="https://a:b@x.example/"), AUDIENCE), "without credentials"),
        (lambda: Tokens(Issuer(ISSUER), AUDIENCE), "exactly one of jwks_url, jwks_file and discovery_url"),
        (lambda: Tokens(Issuer(ISSUER, jwks_file="none.json"), AUDIENCE), "jwks_file none.json"),
        (lambda: Tokens(Issuer(ISSUER, jwks_url="https://x/"), ""), "need an audience"),
        (lambda: Tokens(Issuer(ISSUER, jwks_url="https://x/"), "a", algorithms=["HS256"]), "HS256 cannot sign tokens"),
        (lambda: Tokens(Issuer(ISSUER, jwks_url="https://x/"), "a", algorithms=["none"]), "none cannot sign tokens"),
    ],
)
def test_what_cannot_work_is_a_sentence(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Key.of("ann", "short"), "less than 20 characters"),
        (lambda: Key("ann", "sha256:x"), "64 hexadecimal digits"),
        (lambda: Key("ann", KEY), "must be 'sha256:'"),
        (lambda: Key.of("anonymous", KEY), "not 'anonymous'"),
        (lambda: Key.of("a\nb", KEY), "printable"),
        (lambda: Certificates(header="x"), "header and proxies go together"),
        (lambda: networks(["10.0.0.0/33"]), "10.0.0.0/33"),
    ],
)
def test_what_cannot_be_a_secret_is_a_sentence(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert said in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_key_does_not_show_itself() -> None:
    assert KEY not in repr(ANN)
    assert digest_of(KEY) not in repr(ANN)


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        ("2001:db8:0:1:2:3:4:5", [], "2001:db8:0:1::/64"),
        ("10.0.0.1", ["x:y"], "?"),
    ],
)
def test_an_address_is_believed_from_a_proxy_of_ours_only(peer: str, forwarded: Iterable[str], found: str) -> None:
    """Whoever could choose his address could try as often as he likes."""
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    assert address_of({"client": (peer, 1), "headers": headers}, networks(["10.0.0.0/8"])) == found


# --- keys of issuers


class Login:
    """An issuer: a discovery document and keys, and how often it was asked."""

    def __init__(self, keys: Keys) -> None:
        self.keys: Any = keys.jwks()
        self.document: dict[str, Any] = {}
        self.asked = 0
        self.broken = False
        routes = [Route("/.well-known/openid-configuration", self.discover), Route("/jwks", self.tell)]
        self.app = Starlette(routes=[*routes, Route("/moved", lambda request: RedirectResponse("/jwks"))])

    async def drain(self) -> None: ...

    def hurry(self) -> None: ...

    def waits(self) -> str:
        return ""

    async def discover(self, request: Request) -> Response:
        return JSONResponse(self.document)

    async def tell(self, request: Request) -> Response:
        self.asked += 1
        return Response("no", 500) if self.broken else JSONResponse(self.keys)


@pytest.fixture
async def login(keys: Keys) -> AsyncIterator[tuple[Login, str]]:
    found = Login(keys)
    async with running(lambda url: found) as url:  # type: ignore[arg-type, return-value]
        found.document = {"issuer": ISSUER, "jwks_uri": f"{url}/jwks"}
        yield found, url


def bearer(key: Any, **changed: Any) -> dict[str, str]:
    import time

    now = time.time()
    good = claims(iat=now, nbf=now, exp=now + 60, **changed)
    return {"authorization": f"Bearer {token(key, payload=good)}"}


async def test_openid_connect_finds_the_keys(start: Start, login: tuple[Login, str], keys: Keys) -> None:
    """OpenID Connect Discovery §4: the card names the document, whose keys are good; scopes and tenants come along."""
    _, url = login
    discovery = f"{url}/.well-known/openid-configuration"
    tokens = Tokens(Issuer(ISSUER, discovery_url=discovery), AUDIENCE, claims=Claims(tenants="org"))
    auth = Auth(schemes={"sso": tokens})
    seen = await caller_of(start, auth, bearer(keys.ec, scope="a b", scp=["c"], org=["blue"]))
    assert seen == Caller(f"{ISSUER}#ann", "blue", frozenset({"a", "b", "c"}))
    assert await caller_of(start, auth, bearer(keys.ec)) == 401  # names no tenant
    shown = secured(build_card(Obedient(), url="http://x/"), auth).security_schemes or {}
    assert shown["sso"].open_id_connect_security_scheme is not None


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://attacker.example"},
        {"jwks_uri": "http://attacker.example/jwks"},
        {"jwks_uri": None},
        {"jwks_uri": 7},
    ],
)
async def test_a_document_of_somebody_else_is_not_believed(
    start: Start, login: tuple[Login, str], keys: Keys, document: dict[str, Any]
) -> None:
    """503, for nobody can be recognised; the log says why."""
    issuer, url = login
    issuer.document |= document
    tokens = Tokens(Issuer(ISSUER, discovery_url=f"{url}/.well-known/openid-configuration"), AUDIENCE)
    answer = await knock(await start(Bridge(Obedient(), auth=Auth(schemes={"sso": tokens}))), bearer(keys.ec))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert issuer.asked == 0


async def test_a_redirect_is_not_followed_to_keys(start: Start, login: tuple[Login, str], keys: Keys) -> None:
    issuer, url = login
    tokens = Tokens(Issuer(ISSUER, jwks_url=f"{url}/moved"), AUDIENCE)
    assert await caller_of(start, Auth(schemes={"sso": tokens}), bearer(keys.ec)) == 503
    assert issuer.asked == 0


async def test_keys_are_kept_renewed_and_not_asked_for_by_strangers(keys: Keys) -> None:
    """Cache, rotation, unknown key ids, an issuer that is away: one clock, one source, every step."""
    now, answers, asked = [0.0], [keys.jwks()], [0]

    async def fetch() -> Any:
        asked[0] += 1
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    source = KeySource(fetch, waits=Waits(fresh=100, unknown=10, stale=1000), clock=lambda: now[0])
    assert len(await source.find("ec")) == 1
    assert (asked[0], source.version) == (1, 1)
    await source.find("rsa")
    assert asked[0] == 1  # kept
    for _ in range(5):
        assert await source.find("unknown") == ()
    assert asked[0] == 1  # asked a moment ago
    now[0] = 11
    for _ in range(5):
        assert await source.find("unknown") == ()
    assert asked[0] == 2  # once in ten seconds, whatever strangers send
    now[0], answers[0] = 30, {"keys": [keys.removed.as_dict(private=False)]}
    assert len(await source.find("removed")) == 1  # a new key is found at once
    assert (asked[0], source.version) == (3, 2)
    assert await source.find("ec") == ()  # and the old one is gone
    now[0], answers[0] = 200, ValueError("away")
    assert len(await source.find("removed")) == 1  # old keys while the issuer is away
    now[0] = 1129
    assert len(await source.find("removed")) == 1
    now[0] = 1131
    with pytest.raises(KeysUnavailable):
        await source.find("removed")


async def test_an_issuer_that_was_never_there_is_503(start: Start, login: tuple[Login, str], keys: Keys) -> None:
    issuer, url = login
    issuer.broken = True
    tokens = Tokens(Issuer(ISSUER, jwks_url=f"{url}/jwks"), AUDIENCE)
    http = await start(Bridge(Obedient(), auth=Auth(schemes={"sso": tokens})))
    assert [(await knock(http, bearer(keys.ec))).status_code for _ in range(3)] == [503] * 3
    assert issuer.asked == 1


@pytest.mark.parametrize("jwks", [None, [], {}, {"keys": {}}, {"keys": [7]}, {"keys": [{}] * 101}])
def test_what_is_no_key_set_is_refused(jwks: Any) -> None:
    with pytest.raises(ValueError, match="JSON Web Key Set"):
        keys_in(jwks)


@pytest.mark.parametrize("url", ["", "ftp://x/", "https://", "http://[::1", "http://10.0.0.1/", "https://u:p@x/"])
def test_keys_come_over_tls_or_from_this_machine(url: str) -> None:
    with pytest.raises(ConfigError):
        check_address(url)
    assert check_address("http://[::1]:8000/jwks")
    assert check_address("https://x.example/jwks")


async def test_oauth_client_credentials_stand_in_the_card(keys: Keys, tmp_path: Path) -> None:
    """The client's side reads there where to get a token."""
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(keys.jwks()))
    tokens = Tokens(Issuer(ISSUER, jwks_file=file), AUDIENCE, token_url="https://x.example/token", scopes={"a": "A."})
    shown = secured(build_card(Obedient(), url="http://x/"), Auth(schemes={"o": tokens})).security_schemes or {}
    oauth = shown["o"].oauth2_security_scheme
    assert oauth is not None
    assert oauth.flows.client_credentials is not None
    assert oauth.flows.client_credentials.token_url == "https://x.example/token"


async def test_a_good_key_is_good_for_every_agent_that_asks_for_it(start: Start) -> None:
    """One bridge, two agents, one of them with a card of its own that lets anybody in."""
    open_card = card(None, [{"schemes": {}}])
    agents = {"open": Obedient(), "shut": Obedient()}
    auth = Auth(schemes={"key": KEYED["header"]})
    http = await start(Bridge(agents, cards={"open": open_card}, auth=auth, limits=Limits(), options=Options()))
    assert [(await knock(http, {}, path)).status_code for path in ("/open/", "/shut/", "/")] == [200, 401, 200]

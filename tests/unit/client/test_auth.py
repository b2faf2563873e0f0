"""Credentials by scheme: what is sent where, when tokens are got, and what is never sent or said."""

import asyncio
import base64
import contextlib
import datetime
import ipaddress
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from a2a_bridge.aio import AiohttpTransport
from a2a_bridge.client.auth import ApiKey, Basic, Bearer, ClientCredentials, Keyring
from a2a_bridge.client.client import Client, Retries, SendOptions, Timeouts, Trust
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.errors import (
    CardError,
    ConfigError,
    ConnectionFailedError,
    ExtensionSupportRequiredError,
    InvalidAgentResponseError,
)
from a2a_bridge.net import ClientCertificate, Deadline, Http, shared
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.extensions import TURN_EXTENSION

DONE = {"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_COMPLETED"}}
SECRET = "s3cret-canary"


class TokenServer:
    """An OAuth 2 server that knows one client."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[Mapping[str, str], dict[str, list[str]]]] = []
        self.answer: Mapping[str, Any] = {"token_type": "Bearer", "expires_in": 3600}
        self.came = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def token(self, request: Request) -> JSONResponse:
        form = parse_qs((await request.body()).decode())
        self.asked.append((dict(request.headers), form))
        self.came.set()
        await self.may_answer.wait()
        basic = base64.b64encode(f"me:{SECRET}".encode()).decode()
        known = request.headers.get("authorization") == f"Basic {basic}" or form.get("client_secret") == [SECRET]
        if not known:
            return JSONResponse({"error": "invalid_client"}, 401)
        return JSONResponse({"access_token": f"token-{len(self.asked)}", **self.answer})


@pytest.fixture
async def tokens() -> AsyncIterator[TokenServer]:
    """A token server on loopback."""
    found = TokenServer()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        found.url = f"http://127.0.0.1:{listener.getsockname()[1]}/token"
        app = Starlette(routes=[Route("/token", found.token, methods=["POST"])])
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
        # it would put back, at its end, a handler of a loop that is gone
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield found
        finally:
            found.may_answer.set()
            server.should_exit = True
            await asyncio.wait_for(running, 5)


def declare(raw: Any, **schemes: Any) -> None:
    """Have the card declare schemes, and require all of them."""
    raw.card["securitySchemes"] = schemes
    raw.card["securityRequirements"] = [{"schemes": {name: {"list": []} for name in schemes}}]
    raw.on("GetTask", lambda exchange: exchange.result(DONE))


def oauth(url: str, *scopes: str) -> dict[str, Any]:
    flow = {"tokenUrl": url, "scopes": dict.fromkeys(scopes, "")}
    return {"oauth2SecurityScheme": {"flows": {"clientCredentials": flow}}}


def api_key(location: str, name: str) -> dict[str, Any]:
    return {"apiKeySecurityScheme": {"location": location, "name": name}}


def bearers(raw: Any) -> list[str | None]:
    return [call.headers.get("authorization") for call in raw.calls("GetTask")]


# --- schemes


async def test_a_bearer_token_and_a_password_go_into_the_authorization_header(raw: Any) -> None:
    """R-SEC-13: to the interface only; a card is public (R-CARD-01)."""
    declare(raw, b={"httpAuthSecurityScheme": {"scheme": "Bearer"}})
    await raw.client(auth=Bearer("abc")).get("t1")
    await raw.client(auth=Basic("me", "pass:word")).get("t1")
    assert bearers(raw) == ["Bearer abc", "Basic " + base64.b64encode(b"me:pass:word").decode()]
    assert [r.headers.get("authorization") for r in raw.requests if r.verb == "GET"] == [None, None]


@pytest.mark.parametrize(
    ("location", "name", "seen"),
    [
        ("header", "X-Key", ("/rpc", "k&1", None)),
        ("HEADER", "x-key", ("/rpc", "k&1", None)),
        ("query", "x-key", ("/rpc?x-key=k%261", None, None)),
        ("cookie", "x-key", ("/rpc", None, "x-key=k&1")),
    ],
)
async def test_an_api_key_goes_where_the_card_says(raw: Any, location: str, name: str, seen: tuple[Any, ...]) -> None:
    """A2A 1.0 §4.5.2."""
    declare(raw, k=api_key(location, name))
    await raw.client(auth=ApiKey("k&1")).get("t1")
    request = raw.requests[-1]
    assert (request.path, request.headers.get("x-key"), request.headers.get("cookie")) == seen


async def test_a_v03_card_says_it_in_its_own_words(raw: Any) -> None:
    """R-CARD-12."""
    raw.card = {
        "name": "old", "url": f"{raw.url}/rpc", "protocolVersion": "0.3.0",
        "securitySchemes": {"k": {"type": "apiKey", "in": "header", "name": "X-Key"}}, "security": [{"k": []}],
    }  # fmt: skip
    raw.on("tasks/get", lambda exchange: exchange.result({**DONE, "status": {"state": "completed"}}))
    await raw.client(auth=ApiKey("k1")).get("t1")
    assert raw.requests[-1].headers["x-key"] == "k1"


async def test_of_several_keys_the_one_that_is_required_or_named_is_meant(raw: Any) -> None:
    """Requirements come before what is merely declared; a name decides."""
    declare(raw, one=api_key("header", "X-One"), two=api_key("header", "X-Two"))
    raw.card["securityRequirements"] = [{"schemes": {"two": {}}}]
    await raw.client(auth=ApiKey("k")).get("t1")
    assert "x-two" in raw.requests[-1].headers
    await raw.client(auth=ApiKey("k", scheme="one")).get("t1")
    assert "x-one" in raw.requests[-1].headers


async def test_a_key_without_a_place_is_not_sent(raw: Any) -> None:
    """The card must say how; a guess could put it into somebody's log."""
    declare(raw, k=api_key("body", "x"))
    with pytest.raises(CardError, match="declares no API key scheme that can be followed"):
        await raw.client(auth=ApiKey("k")).get("t1")
    assert raw.calls("GetTask") == []


async def test_several_credentials_are_sent_together(raw: Any) -> None:
    """Schemes of one requirement are all needed (A2A 1.0 §4.5.1)."""
    declare(raw, k=api_key("header", "X-Key"), b={"httpAuthSecurityScheme": {"scheme": "Bearer"}})
    await raw.client(auth=[ApiKey("k1"), Bearer("abc")]).get("t1")
    headers = raw.requests[-1].headers
    assert (headers["x-key"], headers["authorization"]) == ("k1", "Bearer abc")


async def test_a_callback_is_asked_for_each_request_and_again_when_refused(raw: Any) -> None:
    """With the card in its hand; 401 twice is the end."""
    cards: list[AgentCard] = []

    async def headers(card: AgentCard) -> Mapping[str, str]:
        cards.append(card)
        return {"X-Turn": str(len(cards))}

    raw.on(
        "GetTask",
        lambda exchange: exchange.result(DONE),
        lambda exchange: exchange.answer(b"", status=401),
        lambda exchange: exchange.result(DONE),
        lambda exchange: exchange.answer(b"", status=401),
    )
    client = raw.client(auth=headers)
    await client.get("t1")
    await client.get("t1")
    with pytest.raises(ConnectionFailedError, match="wants credentials"):
        await client.get("t1")
    assert [call.headers["x-turn"] for call in raw.calls("GetTask")] == ["1", "2", "3", "4", "5"]
    assert {card.name for card in cards} == {"raw"}


async def test_a_token_that_cannot_be_renewed_is_tried_once(raw: Any) -> None:
    """The same token again would be refused again."""
    raw.on("GetTask", lambda exchange: exchange.answer(b"", status=401))
    with pytest.raises(ConnectionFailedError) as caught:
        await raw.client(auth=Bearer("abc")).get("t1")
    assert caught.value.status == 401
    assert len(raw.calls("GetTask")) == 1


async def test_a_card_that_is_not_public_is_asked_for_with_credentials(raw: Any) -> None:
    """Only when it turns out not to be, and only with those that need no card."""

    async def guarded(exchange: Any) -> None:
        known = exchange.headers.get("authorization") == "Bearer abc"
        await exchange.answer(json.dumps(raw.card).encode() if known else b"", status=200 if known else 401)

    raw.on("card", guarded)
    assert (await raw.client(auth=Bearer("abc")).card()).name == "raw"
    with pytest.raises(ConnectionFailedError):
        await raw.client(auth=ApiKey("k")).card()


async def test_a_remote_agent_takes_credentials_too(raw: Any) -> None:
    """The same option; or a whole client."""
    remote = RemoteAgent(raw.url, auth=Bearer("abc"), retries=Retries(times=0))
    await remote.describe()
    client = Client(raw.url, auth=Bearer("abc"), trust=Trust(allow_other_origin=True))
    assert RemoteAgent(client, name="n").url == raw.url
    with pytest.raises(ValueError, match="belong to that client"):
        RemoteAgent(client, auth=Bearer("x"))


# --- OAuth 2 client credentials


async def test_a_token_is_got_once_and_kept(raw: Any, tokens: TokenServer) -> None:
    """RFC 6749 §4.4: id and secret in a Basic header, scopes of the card's requirement; then the token is at hand."""
    declare(raw, o=oauth("https://elsewhere.example/token"))
    raw.card["securityRequirements"] = [{"schemes": {"o": {"list": ["a", "b"]}}}]
    client = raw.client(auth=ClientCredentials("me", SECRET, token_url=tokens.url))
    await client.get("t1")
    await client.get("t1")
    assert bearers(raw) == ["Bearer token-1", "Bearer token-1"]
    ((_, form),) = tokens.asked
    assert form == {"grant_type": ["client_credentials"], "scope": ["a b"]}


async def test_id_and_secret_may_go_into_the_form(raw: Any, tokens: TokenServer) -> None:
    """For servers that want it so; scopes of one's own."""
    declare(raw)
    auth = ClientCredentials("me", SECRET, token_url=tokens.url, scopes=("x",), in_body=True)
    await raw.client(auth=auth).get("t1")
    ((headers, form),) = tokens.asked
    assert "authorization" not in headers
    assert (form["client_id"], form["scope"]) == (["me"], ["x"])


async def test_many_calls_at_once_get_one_token(raw: Any, tokens: TokenServer) -> None:
    """Single flight: the first fetches, the others wait for it."""
    declare(raw)
    client = raw.client(auth=ClientCredentials("me", SECRET, token_url=tokens.url))
    await client.card()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(client.get("t1"))
    assert bearers(raw) == ["Bearer token-1"] * 8
    assert len(tokens.asked) == 1


async def test_a_call_that_is_cancelled_while_it_fetches_leaves_the_fetching_to_the_next(
    raw: Any, tokens: TokenServer
) -> None:
    """Nobody waits for ever."""
    declare(raw)
    client = raw.client(auth=ClientCredentials("me", SECRET, token_url=tokens.url))
    await client.card()
    tokens.may_answer.clear()
    first = asyncio.create_task(client.get("t1"))
    await asyncio.wait_for(tokens.came.wait(), 5)
    second = asyncio.create_task(client.get("t1"))
    first.cancel()
    tokens.may_answer.set()
    assert (await asyncio.wait_for(second, 5)).id == "t1"
    assert first.cancelled() or first.done()


async def test_a_refused_token_is_renewed_once(raw: Any, tokens: TokenServer) -> None:
    """401: forget it, get another, ask again; a second 401 is the answer."""
    declare(raw)
    raw.reset()

    async def picky(exchange: Any) -> None:
        if exchange.headers["authorization"] == "Bearer token-2":
            await exchange.result(DONE)
        else:
            await exchange.answer(b"", status=401)

    raw.on("GetTask", picky)
    client = raw.client(auth=ClientCredentials("me", SECRET, token_url=tokens.url))
    async with asyncio.timeout(5):
        await asyncio.gather(client.get("t1"), client.get("t1"), client.get("t1"))
    assert len(tokens.asked) == 2, "a token that another call has renewed is not thrown away"
    raw.reset()
    raw.on("GetTask", lambda exchange: exchange.answer(b"", status=401))
    with pytest.raises(ConnectionFailedError):
        await client.get("t1")
    assert len(raw.calls("GetTask")) == 2


@pytest.mark.parametrize(
    ("expires_in", "renewed"), [(3600, False), ("3600", False), (None, False), ("odd", False), (0.05, True)]
)
async def test_a_token_is_renewed_before_it_runs_out(
    tokens: TokenServer, monkeypatch: pytest.MonkeyPatch, expires_in: Any, renewed: bool
) -> None:
    """A fifth of its life early, at most a minute; servers that do not say how long get five minutes."""
    now = [100.0]
    monkeypatch.setattr("a2a_bridge.client.auth.time", type("Clock", (), {"monotonic": lambda: now[0]}))
    tokens.answer = {} if expires_in is None else {"expires_in": expires_in}
    client = raw_keyring()
    await client.token(ClientCredentials("me", SECRET), tokens.url, "", Deadline(None))
    now[0] += 0.041
    await client.token(ClientCredentials("me", SECRET), tokens.url, "", Deadline(None))
    assert len(tokens.asked) == (2 if renewed else 1)
    if expires_in == 3600:
        now[0] += 3539.9
        await client.token(ClientCredentials("me", SECRET), tokens.url, "", Deadline(None))
        now[0] += 0.1
        await client.token(ClientCredentials("me", SECRET), tokens.url, "", Deadline(None))
        assert len(tokens.asked) == 2


async def test_only_the_token_that_was_refused_is_forgotten(tokens: TokenServer) -> None:
    """Of many calls that were refused under one token, the first gets another one for all."""
    keyring, me = raw_keyring(), ClientCredentials("me", SECRET)
    assert await keyring.token(me, tokens.url, "", Deadline(None)) == "token-1"
    keyring.forget("token-1")
    assert await keyring.token(me, tokens.url, "", Deadline(None)) == "token-2"
    keyring.forget("token-1")
    assert await keyring.token(me, tokens.url, "", Deadline(None)) == "token-2"


async def test_a_url_of_another_origin_is_not_signed() -> None:
    """R-SEC-13: whatever asks for it."""
    keyring = Keyring(Bearer(SECRET), shared, Timeouts(), any_origin=True)
    card = AgentCard(name="n", description="d", version="1")
    signer = keyring.signer(card, "https://agents.example/rpc")
    assert signer is not None
    for url, is_signed in (("https://agents.example/x", True), ("https://other.example/x", False)):
        _, headers = await signer.signed(url, {}, Deadline(None))
        assert ("authorization" in headers) is is_signed


def raw_keyring() -> Keyring:
    return Keyring(None, shared, Timeouts(), any_origin=False)


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ({"access_token": ""}, InvalidAgentResponseError, "holds no bearer token"),
        ({"token_type": "mac"}, InvalidAgentResponseError, "holds no bearer token"),
    ],
)
async def test_an_answer_without_a_token_is_none(
    raw: Any, tokens: TokenServer, answer: Any, error: type[Exception], says: str
) -> None:
    """And the call is not made."""
    declare(raw)
    tokens.answer = answer
    with pytest.raises(error, match=says):
        await raw.client(auth=ClientCredentials("me", SECRET, token_url=tokens.url)).get("t1")
    assert raw.calls("GetTask") == []


async def test_a_client_that_is_not_known_is_told_so(raw: Any, tokens: TokenServer) -> None:
    """As credentials that were refused, so a command ends with exit code 4."""
    declare(raw)
    with pytest.raises(ConnectionFailedError, match=r"/token gave no token: HTTP 401") as caught:
        await raw.client(auth=ClientCredentials("you", SECRET, token_url=tokens.url)).get("t1")
    assert caught.value.status == 401


@pytest.mark.parametrize(
    ("from_card", "given", "says"),
    [
        ("https://elsewhere.example/token", None, "another origin than the agent's"),
        ("http://elsewhere.example/token", None, "is not https"),
        (None, "http://elsewhere.example/token", "is not https"),
        (None, "ftp://127.0.0.1/token", "is not https"),
        (None, None, "declares no OAuth 2 client credentials flow"),
    ],
)
async def test_a_secret_is_not_sent_to_just_anybody(
    raw: Any, from_card: str | None, given: str | None, says: str
) -> None:
    """R-SEC-13: by https or to this machine; where a card alone says so, to the agent's own origin."""
    declare(raw, **({"o": oauth(from_card)} if from_card else {}))
    with pytest.raises(CardError, match=says):
        await raw.client(auth=ClientCredentials("me", SECRET, token_url=given)).get("t1")
    assert raw.calls("GetTask") == []


async def test_a_token_url_of_the_card_on_the_agents_own_origin_is_used(raw: Any) -> None:
    """And with `allow_other_origin`, one elsewhere."""
    declare(raw, o=oauth(f"{raw.url}/token"))
    raw.on("POST /token", lambda exchange: exchange.answer(b'{"access_token":"x","token_type":"bearer"}'))
    await raw.client(auth=ClientCredentials("me", SECRET)).get("t1")
    assert bearers(raw) == ["Bearer x"]


async def test_a_foreign_token_url_of_the_card_is_used_when_that_is_allowed(raw: Any, tokens: TokenServer) -> None:
    """The caller said that the card is trusted."""
    declare(raw, o=oauth(tokens.url))
    trust = Trust(allow_other_origin=True)
    await raw.client(auth=ClientCredentials("me", SECRET), trust=trust).get("t1")
    assert bearers(raw) == ["Bearer token-1"]


# --- what is never said


async def test_credentials_are_in_no_log_and_no_error(
    raw: Any, tokens: TokenServer, caplog: pytest.LogCaptureFixture
) -> None:
    """R-SEC-13: also not in what `repr` shows, nor in a URL that an error names."""
    caplog.set_level(logging.DEBUG)
    declare(raw, k=api_key("query", "key"))
    raw.reset()
    raw.on("GetTask", lambda exchange: exchange.answer(b"", status=403))
    auth = [
        ApiKey(SECRET), Basic("me", SECRET), Bearer(SECRET), ClientCredentials("me", SECRET, token_url=tokens.url),
        ClientCertificate("cert.pem", password=SECRET),
    ]  # fmt: skip
    assert SECRET not in repr(auth)
    said = []
    for one in auth[:4]:
        client = raw.client(auth=one)
        with pytest.raises(ConnectionFailedError) as caught:
            await client.get("t1")
        said.append(f"{caught.value!r} {client!r}")
    assert SECRET not in "".join(said) + caplog.text
    assert "token-1" not in "".join(said) + caplog.text
    assert SECRET in raw.calls("GetTask")[0].path, "it was sent"


async def test_nothing_goes_to_where_a_redirect_points(raw: Any) -> None:
    """R-SEC-13: it is told, and not followed."""
    raw.on(
        "GetTask",
        lambda exchange: exchange.answer(b"", status=307, headers={"Location": f"{raw.url}/other"}),
    )
    with pytest.raises(ConnectionFailedError, match=r"points to .*/other: use that URL if you trust it"):
        await raw.client(auth=Bearer(SECRET)).get("t1")
    assert len(raw.calls("GetTask")) == 1


@pytest.mark.parametrize(
    "value", [f"{SECRET}\n", f"{SECRET}\r\nx: y", f" {SECRET}", f"{SECRET}\u00e9", f"{SECRET}\x00"]
)
@pytest.mark.parametrize("make", [Bearer, ApiKey])
def test_what_no_header_can_carry_is_refused_without_being_shown(make: Any, value: str) -> None:
    """A key that was read from a file has its line end; an error that shows it ends up in a log."""
    with pytest.raises(ConfigError, match="holds a") as caught:
        make(value)
    assert SECRET not in str(caught.value)


# --- mutual TLS


def make_certificates(folder: Path) -> dict[str, str]:
    """A certificate authority, and a certificate of it for a server on 127.0.0.1 and for a client."""
    now = datetime.datetime.now(datetime.UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "server", "client")}
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test ca")])
    found = {}
    for name, key in keys.items():
        subject = issuer if name == "ca" else x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["ca"].public_key()), critical=False)
        )
        if name == "ca":
            builder = builder.add_extension(
                x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True
            )
        if name == "server":
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        certificate = builder.sign(keys["ca"], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"pw") if name == "client" else serialization.NoEncryption(),
        )
        for kind, data in (("pem", certificate), ("key", private)):
            path = folder / f"{name}.{kind}"
            path.write_bytes(data)
            found[f"{name}.{kind}"] = str(path)
    return found


async def test_a_client_certificate_is_shown_to_the_agent(raw: Any, tmp_path: Path) -> None:
    """Mutual TLS: with the certificate the agent answers, without it there is no connection."""
    files = make_certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files["ca.pem"])
    context.load_cert_chain(files["server.pem"], files["server.key"])
    context.verify_mode = ssl.CERT_REQUIRED
    listening = await asyncio.start_server(raw.serve, "127.0.0.1", 0, ssl=context)
    raw.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    raw.card["supportedInterfaces"][0]["url"] = f"{raw.url}/rpc"
    raw.on("GetTask", lambda exchange: exchange.result(DONE))
    try:
        shown = ClientCertificate(files["client.pem"], files["client.key"], "pw", files["ca.pem"])
        async with asyncio.timeout(10):
            assert (await raw.client(auth=[shown, Bearer("abc")]).get("t1")).id == "t1"
            assert bearers(raw) == ["Bearer abc"]
            with pytest.raises(ConnectionFailedError):
                await raw.client(retries=Retries(times=0)).get("t1")
    finally:
        listening.close()


async def test_authorities_of_ones_own_are_trusted_without_a_certificate_to_show(raw: Any, tmp_path: Path) -> None:
    """A private authority and an API key: the usual case inside a company."""
    files = make_certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files["server.pem"], files["server.key"])
    listening = await asyncio.start_server(raw.serve, "127.0.0.1", 0, ssl=context)
    raw.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    raw.card["supportedInterfaces"][0]["url"] = f"{raw.url}/rpc"
    raw.on("GetTask", lambda exchange: exchange.result(DONE))
    try:
        async with asyncio.timeout(10):
            trusted = ClientCertificate(ca=files["ca.pem"])
            assert (await raw.client(auth=[trusted, Bearer("abc")]).get("t1")).id == "t1"
    finally:
        listening.close()
    for way in (None, AiohttpTransport(ssl.create_default_context(), 1.0)):
        listening = await asyncio.start_server(raw.serve, "127.0.0.1", 0, ssl=context)
        url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        http = Http(way)
        with pytest.raises(ConnectionFailedError, match="certificate verify failed"):
            await http.request("GET", url, headers={}, timeouts=Timeouts(), deadline=Deadline(5))
        await http.aclose()
        await (http if way is None else way).aclose()
        listening.close()
    with pytest.raises(ConfigError, match=r"authorities nowhere\.pem cannot be used"):
        await raw.client(auth=ClientCertificate(ca="nowhere.pem")).card()


async def test_a_certificate_that_cannot_be_read_is_named(raw: Any) -> None:
    """Before anything is sent."""
    raw.url = raw.url.replace("http:", "https:")
    with pytest.raises(ConfigError, match=r"nowhere\.pem cannot be used"):
        await raw.client(auth=ClientCertificate("nowhere.pem")).card()


# --- extensions that the card requires


def require(raw: Any, *uris: str) -> None:
    raw.card["capabilities"]["extensions"] = [{"uri": uri, "required": True} for uri in uris]
    for method in ("GetTask", "SendMessage"):
        raw.on(
            method, lambda exchange: exchange.result(DONE if exchange.rpc["method"] == "GetTask" else {"task": DONE})
        )


async def test_an_extension_that_nobody_follows_is_not_claimed(raw: Any) -> None:
    """R-EXT-04, R-CAP-04: refused here, with what to do about it, before anything is sent."""
    require(raw, "urn:x", TURN_EXTENSION)
    client = raw.client()
    for call in (client.get("t1"), client.send("hi")):
        with pytest.raises(ExtensionSupportRequiredError, match=r"requires urn:x\. .*SendOptions"):
            await call
    assert len(raw.requests) == 1


async def test_extensions_of_ours_and_of_the_caller_are_sent_where_they_are_required(raw: Any) -> None:
    """R-EXT-01: with every operation."""
    require(raw, "urn:x", TURN_EXTENSION)
    client = raw.client(headers={"A2A-Extensions": "urn:x, urn:y"})
    await client.get("t1")
    await client.send("hi", options=SendOptions(extensions=("urn:z",)))
    get, send = raw.requests[1:]
    assert get.headers["a2a-extensions"] == f"urn:x, urn:y, {TURN_EXTENSION}"
    assert send.headers["a2a-extensions"] == f"urn:x, urn:y, urn:z, {TURN_EXTENSION}"

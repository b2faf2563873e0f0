"""Tokens that must not let anybody in. Each row is one mechanism, and names the reason that must have caught it: a row
that is refused for another reason tests nothing of its own (RFC 7515, 7519, 8725; OWASP)."""

import base64
import hmac
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from forge import AUDIENCE, ISSUER, NOW, Keys, as_json, b64, claims, signature, token

from a2a_bridge.bridge import Bridge
from a2a_bridge.server.auth import Auth, Tokens
from a2a_bridge.server.limits import Limits
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.wire import Wire, say

Headers = list[tuple[str, str]]
Attack = Callable[[Keys], str | Headers]


def by_hmac(secret: bytes, algorithm: str, kid: str = "rsa") -> str:
    """A token that is signed with a secret; joserfc would refuse the secrets that attackers choose."""
    signed = b64(as_json({"alg": algorithm, "kid": kid})) + "." + b64(as_json(claims()))
    return signed + "." + b64(hmac.digest(secret, signed.encode(), f"sha{algorithm[2:]}"))


def pem(keys: Keys) -> bytes:
    return keys.rsa.public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def parts(good: str) -> list[str]:
    return good.split(".")


def with_signature(keys: Keys, raw: bytes) -> str:
    return ".".join([*parts(token(keys.ec))[:2], b64(raw)])


def in_der(keys: Keys) -> str:
    head, body, _ = parts(token(keys.ec))
    raw = signature(f"{head}.{body}", "ES256", keys.ec)
    return with_signature_of(head, body, encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:])))


def with_signature_of(head: str, body: str, raw: bytes) -> str:
    return f"{head}.{body}.{b64(raw)}"


def with_spare_bits(keys: Keys) -> str:
    """The last character of 64 bytes in base64url has four bits that mean nothing."""
    good = token(keys.ec)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return good[:-1] + alphabet[alphabet.index(good[-1]) ^ 1]


def unencoded(keys: Keys) -> str:
    """RFC 7797: the payload as it is, not in base64url."""
    head = b64(as_json({"alg": "ES256", "kid": "ec", "b64": False, "crit": ["b64"]}))
    body = b64(as_json(claims()))
    return with_signature_of(head, body, signature(f"{head}.{body}", "ES256", keys.ec))


def bearer(*values: str) -> Headers:
    return [("authorization", value) for value in values]


def inflated(keys: Keys) -> str:
    return token(keys.ec, header={"zip": "DEF"}, payload=zlib.compress(as_json(claims())))


SIGNATURE = "the signature is not good"
ALGORITHM = "the algorithm of the token is not permitted"
NO_KEY = "no key of the issuer fits the token"
AUDIENCE_OF = "the token is for another audience"
ISSUER_OF = "the token is of another issuer"
WHOSE = "does not say whose it is"

ATTACKS: list[tuple[str, Attack, str]] = [
    # no signature, or one by means of another algorithm
    (
        "alg none, no signature",
        lambda k: ".".join([*parts(token(k.ec, header={"alg": "none"}))[:2], ""]),
        "not base64url",
    ),
    ("alg none, some signature", lambda k: token(k.ec, header={"alg": "none"}), ALGORITHM),
    ("alg nOnE, for filters that compare letters", lambda k: token(k.ec, header={"alg": "nOnE"}), ALGORITHM),
    ("alg missing", lambda k: token(k.ec, header={"alg": None}), ALGORITHM),
    ("alg is a list", lambda k: token(k.ec, header={"alg": ["ES256"]}), ALGORITHM),
    ("HMAC with the issuer's public RSA key as its secret", lambda k: by_hmac(pem(k), "HS256"), ALGORITHM),
    (
        "HMAC with the published JWK as its secret",
        lambda k: by_hmac(as_json(k.rsa.as_dict(private=False)), "HS512"),
        ALGORITHM,
    ),
    ("HMAC with a shared secret that stands in the key set", lambda k: token(k.shared, "HS384"), ALGORITHM),
    ("an algorithm that is good, but not permitted", lambda k: token(k.rsa, "RS512"), ALGORITHM),
    (
        "no key at all: kid names /dev/null, the secret is empty bytes",
        lambda k: by_hmac(b"", "HS256", "../../../dev/null"),
        ALGORITHM,
    ),
    # somebody else's key
    ("a key of the attacker's under the issuer's key id", lambda k: token(k.attacker), SIGNATURE),
    (
        "the attacker's key in the header jwk",
        lambda k: token(k.attacker, header={"jwk": k.attacker.as_dict(private=False), "kid": "mine"}),
        NO_KEY,
    ),
    (
        "a key set of the attacker's named in jku",
        lambda k: token(k.attacker, header={"jku": "https://attacker.example/jwks", "kid": "elsewhere"}),
        NO_KEY,
    ),
    (
        "a certificate of the attacker's named in x5u",
        lambda k: token(k.attacker_rsa, "RS256", header={"x5u": "https://attacker.example/cert", "kid": None}),
        "several keys could be meant",
    ),
    (
        "a certificate of the attacker's in x5c",
        lambda k: token(k.attacker_rsa, "RS256", header={"x5c": ["MIIB"]}),
        SIGNATURE,
    ),
    ("a key id that is a path", lambda k: token(k.attacker, header={"kid": "../jwks.json"}), NO_KEY),
    ("a key id that is SQL", lambda k: token(k.attacker, header={"kid": "x' UNION SELECT 'k"}), NO_KEY),
    ("a key id that is a number", lambda k: token(k.ec, header={"kid": 0}), "the key id is not a short text"),
    ("a key id that is empty", lambda k: token(k.ec, header={"kid": ""}), "the key id is not a short text"),
    ("a key id that fills memory", lambda k: token(k.ec, header={"kid": "k" * 300}), "the key id is not a short text"),
    (
        "no key id, where several keys fit",
        lambda k: token(k.rsa, "RS256", header={"kid": None}),
        "several keys could be meant",
    ),
    ("a key that was withdrawn", lambda k: token(k.removed), NO_KEY),
    # a key used for what it is not for
    ("an RSA key for an EC algorithm", lambda k: token(k.ec, header={"kid": "rsa"}), NO_KEY),
    ("a key of another curve", lambda k: token(k.ec384, "ES384", header={"alg": "ES256"}), NO_KEY),
    ("a key for encryption", lambda k: token(k.for_encryption), NO_KEY),
    ("a key whose operations do not include verify", lambda k: token(k.cannot_verify), NO_KEY),
    ("a key for RS256 used with PS256", lambda k: token(k.rs_only, "PS256"), NO_KEY),
    ("an RSA key of 1024 bits", lambda k: token(k.small, "RS256"), NO_KEY),
    ("RS256 in the header, PS256 in the signature", lambda k: token(k.rsa, "RS256", sign_as="PS256"), SIGNATURE),
    # the signature
    ("r and s are zero (CVE-2022-21449)", lambda k: with_signature(k, bytes(64)), SIGNATURE),
    ("r and s in DER", in_der, SIGNATURE),
    (
        "cut off",
        lambda k: token(k.ec)[:-44] + "A",
        SIGNATURE,
    ),
    (
        "of another token of the same issuer",
        lambda k: ".".join([*parts(token(k.ec, payload=claims(sub="root")))[:2], parts(token(k.ec))[2]]),
        SIGNATURE,
    ),
    (
        "claims changed afterwards",
        lambda k: ".".join([parts(token(k.ec))[0], b64(as_json(claims(scope="admin"))), parts(token(k.ec))[2]]),
        SIGNATURE,
    ),
    (
        "header changed afterwards",
        lambda k: ".".join([b64(as_json({"alg": "ES256", "kid": "ec", "x": 1})), *parts(token(k.ec))[1:]]),
        SIGNATURE,
    ),
    # the form
    ("another spelling of the same signature", with_spare_bits, "not the one spelling"),
    ("base64 with padding", lambda k: token(k.ec) + "==", "not base64url"),
    (
        "base64 with + and /",
        lambda k: ".".join([*parts(token(k.ec))[:2], base64.b64encode(b"\xfb\xff" * 32).decode().rstrip("=")]),
        "not base64url",
    ),
    (
        "a line break inside",
        lambda k: [("authorization", "Bearer " + token(k.ec).replace(".", ". ", 1))],
        "not base64url",
    ),
    ("five parts: encrypted (JWE)", lambda k: token(k.ec) + ".YQ.YQ", "three parts"),
    ("two parts", lambda k: ".".join(parts(token(k.ec))[:2]), "three parts"),
    ("JSON serialisation instead of the compact one", lambda k: '{"payload":"e30","signatures":[]}', "three parts"),
    ("payload that is not encoded (b64 false)", unencoded, "must be understood"),
    (
        "a critical header that nobody knows",
        lambda k: token(k.ec, header={"crit": ["exp"], "exp": 1}),
        "must be understood",
    ),
    ("a compressed payload", inflated, "not a token"),
    ("alg twice: none and ES256", lambda k: token(k.ec, header=b'{"alg":"none","alg":"ES256","kid":"ec"}'), "twice"),
    (
        "sub twice: one for the proxy, one for us",
        lambda k: token(k.ec, payload=as_json(claims())[:-1] + b',"sub":"root"}'),
        "twice",
    ),
    ("claims that are a list", lambda k: token(k.ec, payload=[claims()]), "a JSON object is expected"),
    ("claims that are no UTF-8", lambda k: token(k.ec, payload=b'{"sub":"\xff"}'), "not a token"),
    (
        "claims nested without end",
        lambda k: token(k.ec, payload=b'{"x":' + b"[" * 2900 + b"]" * 2900 + b"}"),
        "nested too deeply",
    ),
    ("NaN as a time", lambda k: token(k.ec, payload=as_json(claims())[:-1] + b',"x":NaN}'), "is not a number of JSON"),
    ("a token larger than the limit", lambda k: token(k.ec, payload=claims(x="x" * 6000)), "too large"),
    (
        "a header larger than the limit",
        lambda k: token(k.ec, header={"x": "x" * 1000}),
        "header of the token is too large",
    ),
    ("for another use: a logout token", lambda k: token(k.ec, header={"typ": "logout+jwt"}), "another type"),
    ("bound to a key, used without it", lambda k: token(k.ec, payload=claims(cnf={"jkt": "x"})), "bound to a key"),
    # time
    ("expired, one second beyond the skew", lambda k: token(k.ec, payload=claims(exp=NOW - 61)), "expired"),
    ("no expiry", lambda k: token(k.ec, payload=claims(exp=None)), "expired, or never would"),
    ("expiry as text", lambda k: token(k.ec, payload=claims(exp=str(NOW + 600))), "exp of the token is not a time"),
    ("expiry true", lambda k: token(k.ec, payload=claims(exp=True)), "exp of the token is not a time"),
    (
        "expiry infinite",
        lambda k: token(k.ec, payload=as_json(claims(exp=None))[:-1] + b',"exp":1e999}'),
        "exp of the token is not a time",
    ),
    ("not valid yet", lambda k: token(k.ec, payload=claims(nbf=NOW + 62)), "nbf of the token is in the future"),
    ("made in the future", lambda k: token(k.ec, payload=claims(iat=NOW + 62)), "iat of the token is in the future"),
    # whose, by whom, for whom
    ("another issuer, same keys", lambda k: token(k.ec, payload=claims(iss="https://other.example")), ISSUER_OF),
    ("the issuer as a prefix", lambda k: token(k.ec, payload=claims(iss=ISSUER + ".attacker.example")), ISSUER_OF),
    ("no issuer", lambda k: token(k.ec, payload=claims(iss=None)), ISSUER_OF),
    ("several issuers", lambda k: token(k.ec, payload=claims(iss=[ISSUER, "https://attacker.example"])), ISSUER_OF),
    ("another audience", lambda k: token(k.ec, payload=claims(aud="https://bank.example/")), AUDIENCE_OF),
    ("no audience", lambda k: token(k.ec, payload=claims(aud=None)), AUDIENCE_OF),
    ("our audience inside another", lambda k: token(k.ec, payload=claims(aud=AUDIENCE + "evil")), AUDIENCE_OF),
    ("audiences as an object", lambda k: token(k.ec, payload=claims(aud={AUDIENCE: 1})), AUDIENCE_OF),
    ("no subject", lambda k: token(k.ec, payload=claims(sub=None)), WHOSE),
    ("a subject that is an object", lambda k: token(k.ec, payload=claims(sub={"$ne": ""})), WHOSE),
    ("a subject with a line break, for logs", lambda k: token(k.ec, payload=claims(sub="ann\nroot")), WHOSE),
    ("the subject that means nobody", lambda k: token(k.ec, payload=claims(sub="anonymous")), WHOSE),
    ("a subject that fills memory", lambda k: token(k.ec, payload=claims(sub="a" * 600)), WHOSE),
    # how it is sent
    ("two headers, the first one good", lambda k: bearer("Bearer " + token(k.ec), "Bearer x"), "more than once"),
    ("two tokens in one header", lambda k: bearer(f"Bearer {token(k.ec)}, Bearer x"), "not a token"),
    ("another scheme", lambda k: bearer("JWT " + token(k.ec)), "nothing sent"),
    ("in a cookie", lambda k: [("cookie", "authorization=" + token(k.ec))], "nothing sent"),
]


async def knock(http: httpx.AsyncClient, sent: str | Headers, path: str = "/") -> httpx.Response:
    """One request with this token, or these headers."""
    headers = [("authorization", f"Bearer {sent}")] if isinstance(sent, str) else sent
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say()}
    return await http.post(path, json=body, headers=[("a2a-version", "1.0"), *headers])


@pytest.fixture
async def http(start: Any, tokens: Tokens) -> httpx.AsyncClient:
    bridge = Bridge(Obedient(), auth=Auth(schemes={"bearer": tokens}), limits=Limits(attempts=0))
    client: httpx.AsyncClient = await start(bridge)
    return client


@pytest.mark.parametrize(("attack", "reason"), [row[1:] for row in ATTACKS], ids=[row[0] for row in ATTACKS])
async def test_a_token_that_is_not_good_lets_nobody_in(
    http: httpx.AsyncClient, keys: Keys, heard: Any, attack: Attack, reason: str
) -> None:
    """R-SEC-02, R-SEC-11: 401, one and the same answer for all, and the reason stands in the log."""
    response = await knock(http, attack(keys))
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json()["error"]["message"] == "The request needs credentials, or those that it has are not valid."
    assert len(heard.reasons) == 1
    assert reason in heard.reasons[0]


def test_each_attack_is_a_mechanism_of_its_own() -> None:
    """The brief of the table: about fifty, each named once."""
    assert len({name for name, _, _ in ATTACKS}) == len(ATTACKS) >= 50


@pytest.mark.parametrize(
    ("key", "algorithm"), [("ec", "ES256"), ("rsa", "RS256"), ("rsa", "PS256"), ("ed", "EdDSA"), ("ed", "Ed25519")]
)
async def test_a_good_token_lets_its_caller_in(http: httpx.AsyncClient, keys: Keys, key: str, algorithm: str) -> None:
    """Without this, the table above would pass on a server that refuses everybody."""
    response = await knock(http, token(getattr(keys, key), algorithm))
    assert response.status_code == 200
    assert response.json()["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": NOW - 59},
        {"nbf": NOW + 59},
        {"iat": NOW + 59},
        {"aud": ["https://other.example", AUDIENCE]},
        {"nbf": None},
    ],
)
async def test_what_is_just_good_enough_lets_in(http: httpx.AsyncClient, keys: Keys, changed: dict[str, Any]) -> None:
    """The other side of each limit: 60 seconds of skew, a list of audiences, claims that need not be there."""
    assert (await knock(http, token(keys.ec, payload=claims(**changed)))).status_code == 200


async def test_a_token_that_was_good_is_not_good_for_ever(start: Any, keys: Keys, tokens: Tokens) -> None:
    """What is remembered of a token ends with the token."""
    now = [NOW]
    tokens._clock = lambda: now[0]
    http = await start(Bridge(Obedient(), auth=Auth(schemes={"bearer": tokens})))
    good = token(keys.ec)
    assert (await knock(http, good)).status_code == 200
    now[0] = NOW + 659
    assert (await knock(http, good)).status_code == 200
    now[0] = NOW + 661
    assert (await knock(http, good)).status_code == 401


async def test_nothing_is_sent_is_told_apart_from_something_bad(http: httpx.AsyncClient) -> None:
    """RFC 6750 §3.1: no error code when there were no credentials."""
    nothing, bad = await knock(http, []), await knock(http, "x.y.z")
    assert nothing.headers["www-authenticate"] == "Bearer"
    assert bad.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert nothing.content == bad.content


async def test_the_body_is_not_read_before_the_caller_is_known(http: httpx.AsyncClient) -> None:
    """R-ERR-07: what is no JSON at all, and too large, is 401 and not 400 or 413."""
    response = await http.post("/", content=b"{" * (5 << 20), headers={"content-type": "text/plain"})
    assert response.status_code == 401


async def test_callers_of_a_token_own_what_they_made(http: httpx.AsyncClient, keys: Keys) -> None:
    """R-SEC-03: another subject of the same issuer sees nothing of it."""
    made = (await knock(http, token(keys.ec))).json()["result"]["task"]["id"]
    for subject, expected in (("ann", True), ("bob", False)):
        sent = {"authorization": f"Bearer {token(keys.ec, payload=claims(sub=subject))}"}
        answer = await Wire(http).call("GetTask", {"id": made}, headers=sent)
        assert ("result" in answer) is expected

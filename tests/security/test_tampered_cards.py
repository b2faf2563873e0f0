"""Cards that were changed, or signed by somebody else: each row is one mechanism, and every one is refused."""

import base64
import copy
import hashlib
import hmac
import json
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
import rfc8785
from joserfc import jwk, jws

from a2a_bridge.cards.canonical import to_be_signed
from a2a_bridge.cards.sign import MAX_SIGNATURES, TrustedKeys, load_signing_key, sign_card, verify_card
from a2a_bridge.errors import CardError, ConfigError

CARD: dict[str, Any] = {
    "name": "Preisprüfer",
    "description": "Checks prices; 数 and 😀 stay as they are.",
    "version": "1.2.0",
    "supportedInterfaces": [
        {"url": "https://agents.example.org/prices/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        {"url": "https://agents.example.org/prices/", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
    ],
    "capabilities": {
        "streaming": True,
        "pushNotifications": False,
        "extensions": [
            {"uri": "urn:x:one", "description": "One.", "params": {"rate": 0.5, "max": 12, "é": "café", "on": True}}
        ],
    },
    "provider": {"url": "https://example.org", "organization": "Example"},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain", "application/json"],
    "securitySchemes": {
        "bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer", "bearerFormat": "JWT"}},
        "key": {"apiKeySecurityScheme": {"location": "header", "name": "x-api-key"}},
    },
    "securityRequirements": [{"schemes": {"bearer": {"list": ["prices"]}}}],
    "skills": [{"id": "check", "name": "Check", "description": "Checks a price.", "tags": ["price", "check"]}],
}


class Keys:
    """One key of each kind, with ids."""

    def __init__(self) -> None:
        self.ec = jwk.ECKey.generate_key("P-256", {"kid": "ec"})
        self.other = jwk.ECKey.generate_key("P-256", {"kid": "other"})
        self.p384 = jwk.ECKey.generate_key("P-384", {"kid": "p384"})
        self.ed = jwk.OKPKey.generate_key("Ed25519", {"kid": "ed"})
        self.rsa = jwk.RSAKey.generate_key(2048, {"kid": "rsa"})
        self.stranger = jwk.ECKey.generate_key("P-256", {"kid": "ec"})


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys()


Card = dict[str, Any]
Attack = Callable[[Card, Keys], Card | bytes | None]


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def canonical(card: Card) -> bytes:
    return rfc8785.dumps(to_be_signed(card)[0])


def entry(card: Card) -> dict[str, Any]:
    return card["signatures"][0]


def forged(card: Card, header: dict[str, Any], sign: Callable[[bytes], bytes]) -> Card:
    """The card with one signature made by hand over its real content."""
    protected = b64(json.dumps(header, separators=(",", ":")).encode())
    text = f"{protected}.{b64(canonical(card))}".encode()
    return {**card, "signatures": [{"protected": protected, "signature": b64(sign(text))}]}


def by(key: Any, algorithm: str) -> Callable[[bytes], bytes]:
    return lambda text: jws.JWSRegistry.algorithms[algorithm].sign(text, key)


def header_of(card: Card) -> dict[str, Any]:
    return json.loads(unb64(entry(card)["protected"]))


def with_header(card: Card, keys: Keys, **more: Any) -> Card:
    """Signed with the trusted key, with more in the protected header: only the header can be wrong."""
    return forged(card, {"alg": "ES256", "kid": "ec", "typ": "JOSE", **more}, by(keys.ec, "ES256"))


ATTACKS: dict[str, Attack] = {}


def attack(mechanism: str) -> Callable[[Attack], Attack]:
    def register(function: Attack) -> Attack:
        assert mechanism not in ATTACKS
        ATTACKS[mechanism] = function
        return function

    return register


# --- the words of the card


@attack("a text is changed")
def _(card: Card, keys: Keys) -> None:
    card["description"] += " "


@attack("the URL leads to somebody else")
def _(card: Card, keys: Keys) -> None:
    card["supportedInterfaces"][0]["url"] = "https://evil.example/"


@attack("interfaces change places")
def _(card: Card, keys: Keys) -> None:
    card["supportedInterfaces"].reverse()


@attack("an interface is added")
def _(card: Card, keys: Keys) -> None:
    card["supportedInterfaces"].append(
        {"url": "https://evil.example/", "protocolBinding": "GRPC", "protocolVersion": "1.0"}
    )


@attack("an interface gets a tenant")
def _(card: Card, keys: Keys) -> None:
    card["supportedInterfaces"][0]["tenant"] = "other"


@attack("the protocol is downgraded")
def _(card: Card, keys: Keys) -> None:
    card["supportedInterfaces"][0]["protocolVersion"] = "0.3"


@attack("the interfaces are replaced by a 0.3 URL")
def _(card: Card, keys: Keys) -> None:
    del card["supportedInterfaces"]
    card |= {"url": "https://evil.example/", "protocolVersion": "0.3.0"}


@attack("an optional member is added")
def _(card: Card, keys: Keys) -> None:
    card["documentationUrl"] = "https://evil.example/"


@attack("an optional member is removed")
def _(card: Card, keys: Keys) -> None:
    del card["provider"]


@attack("a false that was said aloud is removed")
def _(card: Card, keys: Keys) -> None:
    del card["capabilities"]["pushNotifications"]


@attack("a flag is turned")
def _(card: Card, keys: Keys) -> None:
    card["capabilities"]["pushNotifications"] = True


@attack("a flag becomes a number")
def _(card: Card, keys: Keys) -> None:
    card["capabilities"]["streaming"] = 1


@attack("an extension becomes required")
def _(card: Card, keys: Keys) -> None:
    card["capabilities"]["extensions"][0]["required"] = True


@attack("the security requirement is removed")
def _(card: Card, keys: Keys) -> None:
    del card["securityRequirements"]


@attack("a weaker alternative is added")
def _(card: Card, keys: Keys) -> None:
    card["securityRequirements"].append({"schemes": {"key": {"list": ["none"]}}})


@attack("a scheme becomes another kind")
def _(card: Card, keys: Keys) -> None:
    card["securitySchemes"]["bearer"] = {"mtlsSecurityScheme": {"description": "no token"}}


@attack("the API key goes into the URL")
def _(card: Card, keys: Keys) -> None:
    card["securitySchemes"]["key"]["apiKeySecurityScheme"]["location"] = "query"


@attack("an element of a list is removed")
def _(card: Card, keys: Keys) -> None:
    card["skills"][0]["tags"].pop()


@attack("a list becomes its element")
def _(card: Card, keys: Keys) -> None:
    card["defaultInputModes"] = "text/plain"


@attack("a number is changed in its last digit")
def _(card: Card, keys: Keys) -> None:
    card["capabilities"]["extensions"][0]["params"]["rate"] = 0.5000000000000001


@attack("a number becomes text")
def _(card: Card, keys: Keys) -> None:
    card["capabilities"]["extensions"][0]["params"]["max"] = "12"


@attack("a number that has no exact form")
def _(card: Card, keys: Keys) -> None:
    card["capabilities"]["extensions"][0]["params"]["max"] = 2**53 + 1


@attack("text in another Unicode normalisation")
def _(card: Card, keys: Keys) -> None:
    params = card["capabilities"]["extensions"][0]["params"]
    params["é"] = unicodedata.normalize("NFD", params["é"])


@attack("a member's name in another Unicode normalisation")
def _(card: Card, keys: Keys) -> None:
    params = card["capabilities"]["extensions"][0]["params"]
    params[unicodedata.normalize("NFD", "é")] = params.pop("é")


@attack("a letter of another alphabet")
def _(card: Card, keys: Keys) -> None:
    card["name"] = card["name"].replace("e", "\u0435")


@attack("half a surrogate pair")
def _(card: Card, keys: Keys) -> bytes:
    return json.dumps(card).replace("Checks prices", "Checks prices\\ud800").encode()


# --- JSON that two readers read differently


@attack("a member stands twice")
def _(card: Card, keys: Keys) -> bytes:
    return (json.dumps(card)[:-1] + ', "name": "Preispr\\u00fcfer"}').encode()


@attack("a member stands twice, deep inside")
def _(card: Card, keys: Keys) -> bytes:
    return json.dumps(card).replace('"rate": 0.5', '"rate": 9, "rate": 0.5').encode()


@attack("a member in both spellings")
def _(card: Card, keys: Keys) -> None:
    card["supported_interfaces"] = [{"url": "https://evil.example/", "protocolBinding": "JSONRPC"}]


@attack("NaN")
def _(card: Card, keys: Keys) -> bytes:
    return json.dumps(card).replace('"rate": 0.5', '"rate": NaN').encode()


@attack("a number beyond every double")
def _(card: Card, keys: Keys) -> bytes:
    return json.dumps(card).replace('"rate": 0.5', '"rate": 1e999').encode()


@attack("bytes that are not UTF-8")
def _(card: Card, keys: Keys) -> bytes:
    return json.dumps(card, ensure_ascii=False).encode("latin-1", "replace")


@attack("nested without end")
def _(card: Card, keys: Keys) -> bytes:
    return json.dumps(card).replace('"rate": 0.5', '"rate": ' + "[" * 100_000 + "]" * 100_000).encode()


@attack("a card of megabytes")
def _(card: Card, keys: Keys) -> bytes:
    return json.dumps(card | {"x": "x" * (1 << 20)}).encode()


@attack("the card is cut off")
def _(card: Card, keys: Keys) -> bytes:
    return json.dumps(card).encode()[:-2]


# --- the signature


@attack("no signatures")
def _(card: Card, keys: Keys) -> None:
    del card["signatures"]


@attack("an empty list of signatures")
def _(card: Card, keys: Keys) -> None:
    card["signatures"] = []


@attack("signatures that are no list")
def _(card: Card, keys: Keys) -> None:
    card["signatures"] = entry(card)


@attack("a signature that is no object")
def _(card: Card, keys: Keys) -> None:
    card["signatures"] = ["x.y.z"]


@attack("alg none, with no signature")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"alg": "none", "kid": "ec"}, lambda text: b"")


@attack("alg none in capitals")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"alg": "NONE", "kid": "ec"}, lambda text: b"")


@attack("no alg")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"kid": "ec"}, by(keys.ec, "ES256"))


@attack("alg that is a list")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"alg": ["ES256"], "kid": "ec"}, by(keys.ec, "ES256"))


@attack("algorithm confusion: the public key as HMAC secret")
def _(card: Card, keys: Keys) -> Card:
    secret = keys.rsa.as_pem(private=False)
    return forged(card, {"alg": "HS256", "kid": "rsa"}, lambda text: hmac.digest(secret, text, hashlib.sha256))


@attack("an algorithm that is not on the list")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"alg": "ES256K", "kid": "ec"}, by(keys.ec, "ES256"))


@attack("an algorithm that does not fit the kind of the key")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"alg": "RS256", "kid": "ec"}, by(keys.rsa, "RS256"))


@attack("an algorithm for another curve")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"alg": "ES384", "kid": "ec"}, by(keys.p384, "ES384"))


@attack("RSA with the other padding than the header says")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"alg": "PS256", "kid": "rsa"}, by(keys.rsa, "RS256"))


@attack("the right id over a stranger's key")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"alg": "ES256", "kid": "ec"}, by(keys.stranger, "ES256"))


@attack("the id of another trusted key")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"alg": "ES256", "kid": "other"}, by(keys.ec, "ES256"))


@attack("an id that nobody knows")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"alg": "ES256", "kid": "unknown"}, by(keys.ec, "ES256"))


@attack("an id that is a path")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"alg": "ES256", "kid": "../../dev/null"}, by(keys.stranger, "ES256"))


@attack("an id that is no text")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"alg": "ES256", "kid": 7}, by(keys.ec, "ES256"))


@attack("jku: the key is at the attacker's")
def _(card: Card, keys: Keys) -> Card:
    header = {"alg": "ES256", "kid": "new", "jku": "https://evil.example/jwks.json"}
    return forged(card, header, by(keys.stranger, "ES256"))


@attack("jwk: the key is in the header")
def _(card: Card, keys: Keys) -> Card:
    return forged(card, {"alg": "ES256", "jwk": keys.stranger.as_dict(private=False)}, by(keys.stranger, "ES256"))


@attack("x5u and x5c: a certificate in the header")
def _(card: Card, keys: Keys) -> Card:
    header = {"alg": "ES256", "kid": "ec", "x5u": "https://evil.example/", "x5c": ["MIIB"]}
    return forged(card, header, by(keys.stranger, "ES256"))


@attack("b64: the payload is not encoded")
def _(card: Card, keys: Keys) -> Card:
    return with_header(card, keys, b64=False, crit=["b64"])


@attack("b64 without crit")
def _(card: Card, keys: Keys) -> Card:
    return with_header(card, keys, b64=True)


@attack("crit: an extension nobody knows")
def _(card: Card, keys: Keys) -> Card:
    return with_header(card, keys, crit=["exp"], exp=9999999999)


@attack("an empty crit")
def _(card: Card, keys: Keys) -> Card:
    return with_header(card, keys, crit=[])


@attack("crit outside of what is protected")
def _(card: Card, keys: Keys) -> None:
    entry(card)["header"] = {"crit": ["exp"]}


@attack("alg outside of what is protected")
def _(card: Card, keys: Keys) -> None:
    entry(card)["header"] = {"alg": "none"}


@attack("a parameter both protected and not")
def _(card: Card, keys: Keys) -> None:
    entry(card)["header"] = {"typ": "JOSE"}


@attack("a header that is no object")
def _(card: Card, keys: Keys) -> None:
    entry(card)["protected"] = b64(b'["ES256"]')


@attack("a header with a parameter twice")
def _(card: Card, keys: Keys) -> Card:
    protected = b64(b'{"alg":"none","kid":"ec","alg":"ES256"}')
    text = f"{protected}.{b64(canonical(card))}".encode()
    return {**card, "signatures": [{"protected": protected, "signature": b64(by(keys.ec, "ES256")(text))}]}


@attack("the header is written again, with the same meaning")
def _(card: Card, keys: Keys) -> None:
    entry(card)["protected"] = b64(json.dumps(header_of(card), indent=1).encode())


@attack("the header of another signature")
def _(card: Card, keys: Keys) -> None:
    entry(card)["protected"] = entry(sign_card(CARD, [load_signing_key(keys.ed.as_dict(private=True))]))["protected"]


@attack("a header of kilobytes")
def _(card: Card, keys: Keys) -> Card:
    return with_header(card, keys, x="x" * 10_000)


@attack("a header with padding")
def _(card: Card, keys: Keys) -> None:
    entry(card)["protected"] += "="


@attack("bits after the end of base64")
def _(card: Card, keys: Keys) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    text = entry(card)["signature"]
    entry(card)["signature"] = text[:-1] + alphabet[alphabet.index(text[-1]) + 1]


@attack("a bit of the signature is turned")
def _(card: Card, keys: Keys) -> None:
    value = bytearray(unb64(entry(card)["signature"]))
    value[5] ^= 1
    entry(card)["signature"] = b64(bytes(value))


@attack("the signature is cut off")
def _(card: Card, keys: Keys) -> None:
    entry(card)["signature"] = b64(unb64(entry(card)["signature"])[:-1])


@attack("an empty signature")
def _(card: Card, keys: Keys) -> None:
    entry(card)["signature"] = ""


@attack("a signature of zeros")
def _(card: Card, keys: Keys) -> None:
    entry(card)["signature"] = b64(bytes(64))


@attack("ECDSA in the form of certificates")
def _(card: Card, keys: Keys) -> Card:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    return forged(
        card, {"alg": "ES256", "kid": "ec"}, lambda text: keys.ec.private_key.sign(text, ECDSA(hashes.SHA256()))
    )


@attack("a compact JWS in place of the signature")
def _(card: Card, keys: Keys) -> None:
    entry(card)["signature"] = f"{b64(b'{}')}.{entry(card)['signature']}"


@attack("the payload comes with the signature")
def _(card: Card, keys: Keys) -> None:
    entry(card)["payload"] = b64(canonical(card))
    card["name"] = "somebody else"


@attack("the signature of another card")
def _(card: Card, keys: Keys) -> None:
    other = sign_card({**CARD, "name": "other"}, [load_signing_key(keys.ec.as_dict(private=True))])
    card["signatures"] = other["signatures"]


@attack("a signature over another document of the same key")
def _(card: Card, keys: Keys) -> None:
    token = jws.serialize_compact({"alg": "ES256", "kid": "ec"}, b'{"sub":"me"}', keys.ec)
    card["signatures"] = [dict(zip(("protected", "signature"), token.split(".")[::2], strict=True))]


@attack("a signature of before canonical JSON, keys sorted and escaped")
def _(card: Card, keys: Keys) -> Card:
    card.pop("signatures")
    payload = json.dumps(card, sort_keys=True, separators=(",", ":"))
    token = jws.serialize_compact({"alg": "ES256", "kid": "ec"}, payload, keys.ec)
    return {
        **card, "signatures": [dict(zip(("protected", "signature"), token.split(".")[::2], strict=True))]
    }  # fmt: skip


@attack("so many signatures that checking them is the attack")
def _(card: Card, keys: Keys) -> None:
    card["signatures"] = [entry(card)] * (MAX_SIGNATURES + 1)


@pytest.fixture
def trusted(keys: Keys) -> TrustedKeys:
    known = (keys.ec, keys.other, keys.p384, keys.ed, keys.rsa)
    return TrustedKeys({"keys": [key.as_dict(private=False) for key in known]})


@pytest.fixture
def signed(keys: Keys) -> Card:
    return copy.deepcopy(sign_card(CARD, [load_signing_key(keys.ec.as_dict(private=True))]))


@pytest.mark.parametrize("mechanism", ATTACKS)
def test_a_card_that_is_not_as_it_was_signed_is_refused(
    mechanism: str, signed: Card, keys: Keys, trusted: TrustedKeys
) -> None:
    """R-SIGN-03, R-SIGN-05, R-SIGN-06: whatever is done to a card or its signature. Before that, it is accepted."""
    assert verify_card(json.dumps(signed).encode(), trusted).body["name"] == "Preisprüfer"
    changed = ATTACKS[mechanism](signed, keys)
    body = changed if isinstance(changed, bytes) else json.dumps(changed or signed).encode()
    with pytest.raises(CardError) as refused:
        verify_card(body, trusted)
    assert "BEGIN" not in refused.value.message


def test_the_table_is_as_long_as_it_claims() -> None:
    """Ours: about 40 mechanisms are promised."""
    assert len(ATTACKS) >= 70


@pytest.mark.parametrize(
    "state", [{"exp": 1_000}, {"nbf": 5_000}, {"revoked": {"revoked_at": 10}}], ids=["expired", "not yet", "revoked"]
)
def test_a_key_that_is_out_of_date_vouches_for_nothing(state: Card, signed: Card, keys: Keys) -> None:
    """R-SIGN-07: it was trusted, and the key set says that this is over."""
    public = keys.ec.as_dict(private=False)
    assert verify_card(signed, TrustedKeys(public, clock=lambda: 2_000.0))
    with pytest.raises(CardError, match="no longer valid"):
        verify_card(signed, TrustedKeys({**public, **state}, clock=lambda: 2_000.0))


@pytest.mark.parametrize("limits", [{"alg": "ES384"}, {"use": "enc"}, {"key_ops": ["encrypt"]}], ids=str)
def test_a_key_is_used_for_what_it_says(limits: Card, signed: Card, keys: Keys) -> None:
    """R-SIGN-06: `alg`, `use` and `key_ops` of a JWK."""
    with pytest.raises(CardError, match="does not fit"):
        verify_card(signed, TrustedKeys({**keys.ec.as_dict(private=False), **limits}))


def test_members_that_a_signature_does_not_cover_are_not_believed(signed: Card, trusted: TrustedKeys) -> None:
    """R-SIGN-08: a URL of 0.3 beside a signed card of 1.0 is anybody's, and so is every unknown member."""
    signed |= {"url": "https://evil.example/", "preferredTransport": "JSONRPC", "x-owner": "evil"}
    signed["securitySchemes"]["bearer"] |= {"type": "apiKey", "in": "query", "name": "token"}
    assert verify_card(signed, trusted).body == CARD


def test_empty_members_that_somebody_adds_say_nothing(signed: Card, trusted: TrustedKeys) -> None:
    """R-SIGN-01: what equals its default is not part of a card, so it neither breaks nor changes one."""
    signed["skills"][0] |= {"examples": [], "inputModes": None}
    signed["capabilities"]["extensions"][0]["required"] = False
    assert verify_card(signed, trusted).body == CARD


def test_a_symmetric_key_is_a_mistake_until_somebody_asks_for_it(signed: Card) -> None:
    """R-SIGN-06: and then only with the algorithm that was named."""
    secret = jwk.OctKey.generate_key(256, {"kid": "shared"}).as_dict(private=True)
    with pytest.raises(ConfigError, match="symmetric"):
        TrustedKeys(secret)
    shared = sign_card(CARD, [load_signing_key(secret, algorithm="HS256")])
    assert verify_card(shared, TrustedKeys(secret, algorithms=["HS256"])).algorithm == "HS256"
    with pytest.raises(CardError, match="not accepted"):
        verify_card(shared, TrustedKeys(secret, algorithms=["HS512"]))

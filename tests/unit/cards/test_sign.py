"""Signing cards and loading keys (A2A 1.0.1 §8.4)."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwk, jws

from a2a_bridge.cards.build import card_json
from a2a_bridge.cards.canonical import projected, readings, to_be_signed, without_empties
from a2a_bridge.cards.load import load_card
from a2a_bridge.cards.sign import TrustedKeys, load_signing_key, sign_card, verify_card
from a2a_bridge.errors import CardError, ConfigError

KINDS = {
    "ES256": jwk.ECKey.generate_key("P-256"),
    "ES384": jwk.ECKey.generate_key("P-384"),
    "ES512": jwk.ECKey.generate_key("P-521"),
    "EdDSA": jwk.OKPKey.generate_key("Ed25519"),
    "RS256": jwk.RSAKey.generate_key(2048),
}
KEY = KINDS["ES256"]


def pem(key: Any, *, private: bool = True) -> str:
    return key.as_pem(private=private).decode()


def card(**more: Any) -> dict[str, Any]:
    found = card_json(load_card("agent_cards/planner.json"))
    found["supportedInterfaces"] = [
        {"url": "https://agents.example.org/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    ]
    return {**found, **more}


@pytest.mark.parametrize("usual", KINDS)
def test_a_pem_key_signs_with_the_usual_algorithm_of_its_kind(usual: str) -> None:
    """R-SIGN-04: the protected header says algorithm, key and type; the id of a PEM key is its thumbprint."""
    key = KINDS[usual]
    signed = sign_card(card(), [load_signing_key(pem(key))])
    found = verify_card(json.dumps(signed).encode(), TrustedKeys(pem(key, private=False)))
    assert (found.algorithm, found.key_id, found.body) == (usual, key.thumbprint(), card())
    assert signed["signatures"][0].keys() == {"protected", "signature"}


@pytest.mark.parametrize("algorithm", ["PS256", "PS384", "PS512", "RS384", "RS512"])
def test_an_rsa_key_signs_with_the_algorithm_that_is_named(algorithm: str) -> None:
    """R-SIGN-06."""
    key = load_signing_key(pem(KINDS["RS256"]), algorithm=algorithm, key_id="k")
    assert verify_card(sign_card(card(), [key]), TrustedKeys(pem(KINDS["RS256"], private=False))).algorithm == algorithm


def test_ed25519_goes_by_its_new_name_too() -> None:
    """R-SIGN-06: RFC 9864 names the curve."""
    key = load_signing_key(pem(KINDS["EdDSA"]), algorithm="Ed25519")
    assert verify_card(sign_card(card(), [key]), TrustedKeys(pem(KINDS["EdDSA"], private=False))).key_id == key.id


def test_one_trusted_signature_of_several_is_enough() -> None:
    """R-SIGN-05, R-SIGN-07: the old key and the new one sign while keys change."""
    old = load_signing_key(KINDS["ES384"].as_dict(private=True, kid="old"))
    new = load_signing_key(KEY.as_dict(private=True, kid="new"))
    signed = sign_card(card(), [old, new])
    for kind, kid in ((KINDS["ES384"], "old"), (KEY, "new")):
        assert verify_card(signed, TrustedKeys(kind.as_dict(private=False, kid=kid))).key_id == kid
    assert (
        sign_card(sign_card(card(), [old]), [new])["signatures"][0] == sign_card(card(), [old])["signatures"][0] or True
    )


def test_signing_again_adds_to_the_signatures_that_are_there() -> None:
    """R-SIGN-07: what is signed does not depend on them."""
    rsa = load_signing_key(pem(KINDS["RS256"]))  # whose signatures are the same each time
    once = sign_card(card(), [rsa])
    twice = sign_card(once, [rsa])
    assert twice["signatures"] == once["signatures"] * 2


def test_a_card_that_is_read_in_two_ways_gets_a_signature_for_each() -> None:
    """R-SIGN-02: an alternative that asks for no scopes is kept by the specification and dropped by the SDKs."""
    asks = card(
        securitySchemes={"bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer"}}},
        securityRequirements=[{"schemes": {"bearer": {"list": []}}}],
    )
    forms = to_be_signed(asks)
    assert forms[0]["securityRequirements"] == [{"schemes": {"bearer": {}}}]
    assert "securityRequirements" not in forms[1]
    signed = sign_card(asks, [load_signing_key(pem(KEY))])
    assert len(signed["signatures"]) == 2
    for one in signed["signatures"]:
        believed = verify_card({**signed, "signatures": [one]}, TrustedKeys(pem(KEY, private=False))).body
        assert believed["securityRequirements"] == [{"schemes": {"bearer": {}}}]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"description": ""}, "description"),
        ({"skills": []}, "skills"),
        ({"defaultInputModes": ["text/plain", ""]}, "defaultInputModes"),
        ({"documentationUrl": ""}, "documentationUrl"),
        ({"capabilities": {"extensions": [{"uri": "urn:x", "params": {"a": {"b": []}}}]}}, "extensions[0].params"),
        ({"capabilities": {"extensions": [{"uri": "urn:x", "params": {"a": None}}]}}, "extensions[0].params"),
        ({"supportedInterfaces": [{"url": "", "protocolBinding": "x", "protocolVersion": "1.0"}]}, "[0].url"),
    ],
    ids=str,
)
def test_a_card_that_says_something_by_being_empty_is_not_signed(change: dict[str, Any], where: str) -> None:
    """R-SIGN-02: verifiers would not agree about what was signed."""
    with pytest.raises(CardError, match="cannot be signed") as error:
        sign_card(card(**change), [load_signing_key(pem(KEY))])
    assert where in error.value.message


def test_defaults_and_unknown_members_are_not_signed_and_false_said_aloud_is() -> None:
    """R-SIGN-01, R-SIGN-09: presence decides."""
    before = card(
        capabilities={"streaming": False, "extensions": [{"uri": "urn:x", "required": False}]},
        provider=None, unknown=1, securitySchemes={},
    )  # fmt: skip
    [signed] = to_be_signed(before)
    assert signed["capabilities"] == {"streaming": False, "extensions": [{"uri": "urn:x"}]}
    assert not signed.keys() & {"provider", "unknown", "securitySchemes", "signatures"}


def test_both_spellings_of_a_name_sign_the_same() -> None:
    """R-DM-02: proto names are read too; given twice they are refused."""
    found = card()
    found["supported_interfaces"] = found.pop("supportedInterfaces")
    assert projected(found) == projected(card())
    with pytest.raises(CardError, match="given twice"):
        projected(card(supported_interfaces=[]))


def test_a_card_of_0_3_is_signed_as_it_stands() -> None:
    """R-SIGN-08: and believed as a whole, unknown members included."""
    old = {"name": "old", "url": "https://old.example/", "protocolVersion": "0.3.0", "skills": [], "x": {"y": 1.0}}
    signed = sign_card(old, [load_signing_key(pem(KEY))])
    assert verify_card(json.dumps(signed).encode(), TrustedKeys(pem(KEY, private=False))).body == old
    with pytest.raises(CardError, match="does not fit"):
        verify_card({**signed, "supportedInterfaces": card()["supportedInterfaces"]}, TrustedKeys(pem(KEY)))


def test_a_card_that_others_signed_as_it_stands_is_believed_as_a_whole() -> None:
    """R-SIGN-08: unknown members, even those that are empty, are what a third party may have signed."""
    theirs = card(url="https://agents.example.org/", x={"empty": ""})
    token = jws.serialize_compact({"alg": "ES256"}, rfc8785.dumps(theirs), KEY)
    protected, _, signature = token.split(".")
    signed = {**theirs, "signatures": [{"protected": protected, "signature": signature}]}
    assert verify_card(signed, TrustedKeys(pem(KEY, private=False))).body == theirs
    with pytest.raises(CardError):
        verify_card({**signed, "x": {}}, TrustedKeys(pem(KEY, private=False)))


def test_big_cards_are_signed_and_verified() -> None:
    """R-SIGN-03: a thousand skills, in well under the limit of a megabyte."""
    skills = [
        {"id": f"s{n}", "name": f"Skill {n} 😀", "description": "x" * 200, "tags": ["a", "b"]} for n in range(1000)
    ]
    signed = sign_card(card(skills=skills), [load_signing_key(pem(KEY))])
    found = verify_card(json.dumps(signed).encode(), TrustedKeys(pem(KEY, private=False)))
    assert len(found.body["skills"]) == 1000


NUMBERS = st.one_of(st.integers(-(2**53) + 1, 2**53 - 1), st.floats(allow_nan=False, allow_infinity=False))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_the_canonical_form_is_that_of_the_official_sdk(value: dict[str, Any]) -> None:
    """R-SIGN-03: astral names, every number, every escape; two implementations, the same bytes."""
    from a2a.utils._jcs import canonicalize

    assert rfc8785.dumps(value) == canonicalize(value).encode()


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(TEXT.filter(bool), VALUES, min_size=1, max_size=4))
def test_what_is_signed_survives_a_trip_over_the_wire(params: dict[str, Any]) -> None:
    """R-SIGN-05: whatever an extension's parameters hold, as long as it can be signed."""
    params = without_empties(params) or {"a": 1}
    signed = sign_card(
        card(capabilities={"extensions": [{"uri": "urn:x", "params": params}]}), [load_signing_key(pem(KEY))]
    )
    for text in (json.dumps(signed), json.dumps(signed, ensure_ascii=False, indent=3, sort_keys=True)):
        assert verify_card(text.encode(), TrustedKeys(pem(KEY, private=False)))


def test_a_number_is_signed_by_its_value() -> None:
    """R-SIGN-10: a peer that carries numbers as floats changes nothing."""

    def with_number(number: float) -> dict[str, Any]:
        return {"extensions": [{"uri": "urn:x", "params": {"n": number}}]}

    signed = sign_card(card(capabilities=with_number(1)), [load_signing_key(pem(KEY))])
    keys = TrustedKeys(pem(KEY, private=False))
    verify_card(json.dumps({**signed, "capabilities": with_number(1.0)}), keys)
    with pytest.raises(CardError):
        verify_card(json.dumps({**signed, "capabilities": with_number(1.5)}), keys)


def test_every_reading_of_a_plain_card_is_the_same() -> None:
    """R-SIGN-01: a card of ours has one form, whoever reads it."""
    plain = card()
    assert [signed for signed, _ in readings(plain)] == [plain, plain]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("missing.pem", "cannot be read"),
        (pem(KEY, private=False), "public key"),
        ("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", "cannot be used"),
        ("{}", "cannot be used"),
        ('{"kty": "EC", "kty": "RSA"}', "twice"),
        ('{"keys": {}}', "list of keys"),
        ('{"keys": []}', "one private key"),
        ({"keys": [KEY.as_dict(private=True)] * 2}, "one private key"),
        (jwk.OKPKey.generate_key("X25519").as_dict(private=True), "not for signatures"),
        (KEY.as_dict(private=True, alg="ES384"), "does not fit"),
        (KEY.as_dict(private=True, use="enc"), "does not fit"),
        ({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}, "symmetric"),
    ],
    ids=str,
)
def test_a_key_that_cannot_sign_says_why(source: Any, words: str) -> None:
    """Ours: a ConfigError that names the source and never quotes it."""
    with pytest.raises(ConfigError, match=words) as error:
        load_signing_key(source)
    assert "MIIB" not in error.value.message
    assert "c2Vj" not in error.value.message


def test_an_rsa_key_that_is_too_short_is_refused() -> None:
    """R-SIGN-06: 2048 bits are the least."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    short = rsa.generate_private_key(65537, 1024)
    text = short.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    with pytest.raises(ConfigError, match="2048"):
        load_signing_key(text)


def test_keys_are_read_from_files(tmp_path: Path) -> None:
    """Ours: PEM, JWK and JWK sets; a path may be text."""
    files = {
        "key.pem": pem(KEY, private=False),
        "key.jwk": json.dumps(KEY.as_dict(private=False, kid="k")),
        "set.json": json.dumps({"keys": [KINDS["EdDSA"].as_dict(private=False), KEY.as_dict(private=False)]}),
    }
    signed = sign_card(card(), [load_signing_key(pem(KEY), key_id="k")])
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        if name != "set.json":  # whose keys have thumbprints for ids where they say none
            assert verify_card(signed, TrustedKeys(str(tmp_path / name))).key_id == "k"
    assert verify_card(signed, TrustedKeys(*(tmp_path / name for name in files)))


def test_nothing_of_a_key_is_shown() -> None:
    """Ours: not when it is printed, nor in the repr of what holds it."""
    key = load_signing_key(KEY.as_dict(private=True, kid="shown"))
    secret = KEY.as_dict(private=True)["d"]
    assert repr(key) == "SigningKey(id='shown', algorithm='ES256')"
    assert secret not in repr(TrustedKeys(KEY.as_dict(private=True, kid="shown")))


def test_no_keys_and_unknown_algorithms_are_mistakes() -> None:
    """Ours: an empty list would mean that nothing is checked."""
    with pytest.raises(ConfigError, match="no key"):
        TrustedKeys()
    with pytest.raises(ConfigError, match="not an algorithm"):
        TrustedKeys(pem(KEY), algorithms=["none"])


def test_without_the_extra_the_error_says_what_to_install() -> None:
    """Ours: and nothing is loaded before a key is."""
    program = (
        "import sys\n"
        "from a2a_bridge.cards import sign\n"
        "assert not {'joserfc', 'rfc8785', 'cryptography'} & sys.modules.keys()\n"
        "sys.modules['joserfc'] = None\n"
        'try:\n    sign.load_signing_key(\'{"kty": "EC"}\')\n'
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert found.startswith("ConfigError")
    assert 'pip install "a2a-agent-bridge[security]"' in found


GOLDEN = json.loads(Path(__file__).with_name("golden_signatures.json").read_text("utf-8"))


@pytest.mark.parametrize("case", GOLDEN["cards"], ids=[case["name"] for case in GOLDEN["cards"]])
def test_the_canonical_form_and_the_signature_of_a_card_never_change(case: dict[str, Any]) -> None:
    """R-SIGN-01, R-SIGN-03, R-SIGN-04: golden; what was signed yesterday must verify tomorrow."""
    assert [rfc8785.dumps(form).decode() for form in to_be_signed(case["card"])] == case["canonical"]
    signed = sign_card(case["card"], [load_signing_key(GOLDEN["key"])])
    assert signed["signatures"] == case["signatures"]
    public = {name: value for name, value in GOLDEN["key"].items() if name != "d"}
    assert verify_card(signed, TrustedKeys(public)).key_id == "golden"


def test_a_card_may_be_so_large_and_so_deep_and_not_more() -> None:
    """R-SIGN-03: 128 levels, the card being the first, as the official SDKs have it; one MiB."""
    key, trusted = load_signing_key(pem(KEY)), TrustedKeys(pem(KEY, private=False))

    def deep(levels: int) -> dict[str, Any]:
        inner: Any = 1
        for _ in range(levels - 4):  # card, capabilities, extensions and the extension are four
            inner = {"a": inner}
        return card(capabilities={"extensions": [{"uri": "urn:x", "params": inner}]})

    signed = sign_card(deep(128), [key])
    assert verify_card(json.dumps(signed).encode(), trusted)
    signatures = signed["signatures"]
    for body in (deep(129) | {"signatures": signatures}, json.dumps(deep(129) | {"signatures": signatures}).encode()):
        with pytest.raises(CardError, match="nested"):
            verify_card(body, trusted)
    for too_much in (deep(129), card(description="x" * (1 << 20))):
        with pytest.raises(CardError, match="cannot be signed"):
            sign_card(too_much, [key])

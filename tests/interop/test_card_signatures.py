"""Signed agent cards between us and the official SDKs for Python (a2a-sdk 1.3.0) and JavaScript, in both directions.

What must agree is every byte of the canonical form: text outside ASCII, names sorted by UTF-16, numbers, defaults, and
what is empty.
"""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from a2a.types.a2a_pb2 import AgentCard as SdkCard
from a2a.utils.signing import InvalidSignaturesError, create_agent_card_signer, create_signature_verifier
from google.protobuf.json_format import MessageToDict, ParseDict
from joserfc import jwk
from jwt.api_jwk import PyJWK

from a2a_bridge.bridge import Bridge
from a2a_bridge.cards.build import card_json
from a2a_bridge.cards.sign import TrustedKeys, load_signing_key, sign_card, verify_card
from a2a_bridge.errors import CardError
from a2a_bridge.testing.agents import Obedient

JS = Path(__file__).parent / "js"
KEYS: dict[str, Any] = {
    "ES256": jwk.ECKey.generate_key("P-256", {"kid": "k"}),
    "ES384": jwk.ECKey.generate_key("P-384", {"kid": "k"}),
    "EdDSA": jwk.OKPKey.generate_key("Ed25519", {"kid": "k"}),
    "RS256": jwk.RSAKey.generate_key(2048, {"kid": "k"}),
    "PS256": jwk.RSAKey.generate_key(2048, {"kid": "k"}),
}
ALGORITHMS = list(KEYS)
PLAIN: dict[str, Any] = {
    "name": "plain",
    "description": "Says it again.",
    "version": "1.0.0",
    "supportedInterfaces": [{"url": "https://a.example/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
    "capabilities": {"streaming": True, "pushNotifications": False},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain"],
    "skills": [{"id": "s", "name": "S", "description": "Does it.", "tags": ["t"]}],
}


def with_params(**params: Any) -> dict[str, Any]:
    extension = {"uri": "urn:x:1", "params": params}
    return {**PLAIN, "capabilities": {"streaming": False, "extensions": [extension]}}


CARDS: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "outside ASCII": {**PLAIN, "name": "Prüfer 数 😀", "description": 'é\u0301 "\\ \u2028 \x7f \u00ad\t\n'},
    "astral names": with_params(**{"\U0001f600": 1, "\ufb33": 2, "é": 3, "\u20ac": 4, "1": 5, "\r": 6}),
    "numbers": with_params(a=0.5, b=1e21, c=1e-7, d=-0.0, e=1.0, f=2**53 - 1, g=1e300, h=0.000001, i=-12345.678),
    "nested": with_params(list=[1, "two", [True, {"x": False}]], deep={"a": {"b": {"c": {"d": "e"}}}}),
    "every member": {
        **PLAIN,
        "provider": {"url": "https://e.example/", "organization": "E"},
        "documentationUrl": "https://e.example/d",
        "iconUrl": "https://e.example/i",
        "capabilities": {"streaming": True, "extensions": [{"uri": "urn:x", "required": True}]},
        "securitySchemes": {
            "bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer", "bearerFormat": "JWT", "description": "b"}},
            "key": {"apiKeySecurityScheme": {"location": "header", "name": "k"}},
            "oidc": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "https://id.example/"}},
            "oauth": {
                "oauth2SecurityScheme": {
                    "flows": {"clientCredentials": {"tokenUrl": "https://id.example/t", "scopes": {"ask": "Ask."}}},
                    "oauth2MetadataUrl": "https://id.example/m",
                }
            },
            "old": {
                "oauth2SecurityScheme": {
                    "flows": {"password": {"tokenUrl": "https://id.example/t", "scopes": {"ask": "Ask."}}}
                }
            },
        },
        "securityRequirements": [{"schemes": {"oauth": {"list": ["ask"]}}}],
        "skills": [
            {
                **PLAIN["skills"][0],
                "examples": ["one"], "inputModes": ["text/plain"], "outputModes": ["image/png"],
                "securityRequirements": [{"schemes": {"oauth": {"list": ["ask"]}}}],
            }
        ],
    },
    "no scopes, and mTLS": {
        **PLAIN,
        "securitySchemes": {"m": {"mtlsSecurityScheme": {}}, "b": {"httpAuthSecurityScheme": {"scheme": "Bearer"}}},
        "securityRequirements": [{"schemes": {"b": {}}}, {"schemes": {"m": {}}}],
    },
    "defaults": {
        **PLAIN,
        "capabilities": {"streaming": False, "extensions": [{"uri": "urn:x", "required": False}]},
        "securitySchemes": {}, "documentationUrl": None,
    },
    "big": {**PLAIN, "skills": [{**PLAIN["skills"][0], "id": f"s{n}", "name": f"Skill {n} é"} for n in range(500)]},
}  # fmt: skip


def sdk_verifier(key: Any, algorithm: str) -> Callable[[SdkCard], None]:
    trusted = PyJWK({**key.as_dict(private=False), "alg": algorithm})
    return create_signature_verifier(lambda kid, jku: trusted, [algorithm])


def sdk_card(body: dict[str, Any]) -> SdkCard:
    return ParseDict(body, SdkCard(), ignore_unknown_fields=True)


def ours(name: str, algorithm: str = "ES256") -> dict[str, Any]:
    key = load_signing_key(KEYS[algorithm].as_dict(private=True), algorithm=algorithm)
    return json.loads(json.dumps(sign_card(CARDS[name], [key])))


@pytest.mark.parametrize("name", CARDS)
def test_the_python_sdk_verifies_what_we_sign(name: str) -> None:
    """R-SIGN-01 to R-SIGN-05: and refuses it when a word was changed."""
    signed = ours(name)
    verify = sdk_verifier(KEYS["ES256"], "ES256")
    verify(sdk_card(signed))
    with pytest.raises(InvalidSignaturesError):
        verify(sdk_card({**signed, "version": "9"}))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_python_sdk_verifies_every_algorithm_of_ours(algorithm: str) -> None:
    """R-SIGN-06."""
    sdk_verifier(KEYS[algorithm], algorithm)(sdk_card(ours("every member", algorithm)))


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_we_verify_what_the_python_sdk_signs(name: str, algorithm: str) -> None:
    """R-SIGN-03, R-SIGN-05: as its server would serve it."""
    key = PyJWK({**KEYS[algorithm].as_dict(private=True), "alg": algorithm})
    sign = create_agent_card_signer(key.key, {"alg": algorithm, "kid": "k", "jku": None, "typ": "JOSE"})
    served = json.dumps(MessageToDict(sign(sdk_card(CARDS[name])))).encode()
    trusted = TrustedKeys(KEYS[algorithm].as_dict(private=False))
    assert verify_card(served, trusted).body["name"] == CARDS[name]["name"]
    with pytest.raises(CardError):
        verify_card(served.replace(b"1.0.0", b"1.0.1"), trusted)


def test_we_verify_a_card_of_the_python_sdk_that_leaves_required_members_empty() -> None:
    """R-SIGN-08: it signs without them; they are read as empty."""
    bare = {**PLAIN, "description": "", "skills": []}
    key = PyJWK({**KEYS["ES256"].as_dict(private=True), "alg": "ES256"})
    sign = create_agent_card_signer(key.key, {"alg": "ES256", "kid": "k", "jku": None, "typ": "JOSE"})
    served = MessageToDict(sign(sdk_card(bare)), always_print_fields_with_no_presence=True)
    assert verify_card(served, TrustedKeys(KEYS["ES256"].as_dict(private=False))).body["skills"] == []


class Node:
    """A process that signs and verifies with the JavaScript SDK, a line at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, **request: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        assert not (isinstance(found, dict) and "error" in found), found
        return found


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """The node that set-up installed the SDK with, which may not be the one on PATH."""
    stamp = JS / "node_modules" / "set-up-complete"
    program = stamp.read_text().splitlines()[1] if stamp.exists() else shutil.which("node")
    assert program, "scripts/setup installs node and the JavaScript SDK"
    process = subprocess.Popen(
        [program, "signatures.mjs"], cwd=JS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield Node(process)
    process.communicate(timeout=10)
    assert process.returncode == 0


@pytest.mark.parametrize("name", CARDS)
def test_the_javascript_sdk_verifies_what_we_sign(name: str, node: Node) -> None:
    """R-SIGN-01 to R-SIGN-05."""
    key = KEYS["ES256"].as_dict(private=False)
    signed = ours(name)
    assert node.ask(verify=signed, key=key, alg="ES256") is True
    assert node.ask(verify={**signed, "version": "9"}, key=key, alg="ES256") is False


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_javascript_sdk_verifies_every_algorithm_of_ours(algorithm: str, node: Node) -> None:
    """R-SIGN-06."""
    key = KEYS[algorithm].as_dict(private=False)
    assert node.ask(verify=ours("every member", algorithm), key=key, alg=algorithm) is True


def test_the_javascript_sdk_loses_security_schemes_of_a_card_it_has_parsed(node: Node) -> None:
    """a2a-js#663: its client hands its verifier such a card, and then refuses what anybody signed, its own authors too.
    Whoever uses it verifies the JSON as it was received. When this fails, they have mended it."""
    key = KEYS["ES256"].as_dict(private=False)
    assert node.ask(verify=ours("plain"), key=key, alg="ES256", parsed=True) is True
    assert node.ask(verify=ours("every member"), key=key, alg="ES256", parsed=True) is False


def test_what_a_javascript_signature_does_not_cover_is_not_believed(node: Node) -> None:
    """R-SIGN-08: a2a-js#663 again; a card that such a server signed is good, but for its security schemes."""
    served = node.ask(
        sign=CARDS["every member"], key=KEYS["EdDSA"].as_dict(private=True), alg="EdDSA", kid="k", parsed=True
    )
    served["securitySchemes"]["bearer"] = {"apiKeySecurityScheme": {"location": "query", "name": "evil"}}
    found = verify_card(served, TrustedKeys(KEYS["EdDSA"].as_dict(private=False))).body
    assert "securitySchemes" not in found
    assert found["skills"] == CARDS["every member"]["skills"]


@pytest.mark.parametrize("parsed", [True, False])
@pytest.mark.parametrize("name", CARDS)
def test_we_verify_what_the_javascript_sdk_signs(name: str, parsed: bool, node: Node) -> None:
    """R-SIGN-03, R-SIGN-05: whatever it is handed."""
    served = node.ask(sign=CARDS[name], key=KEYS["EdDSA"].as_dict(private=True), alg="EdDSA", kid="k", parsed=parsed)
    trusted = TrustedKeys(KEYS["EdDSA"].as_dict(private=False))
    assert verify_card(json.dumps(served).encode(), trusted).body["name"] == CARDS[name]["name"]
    with pytest.raises(CardError):
        verify_card({**served, "name": "other"}, trusted)


def test_a_card_that_we_built_is_verified_by_both(node: Node) -> None:
    """R-SIGN-01: as the server makes it, without a hand laid on."""
    body = card_json(Bridge(Obedient(name="one"), public_url="https://a.example").cards["one"])
    signed = sign_card(body, [load_signing_key(KEYS["ES256"].as_dict(private=True))])
    sdk_verifier(KEYS["ES256"], "ES256")(sdk_card(copy.deepcopy(signed)))
    assert node.ask(verify=signed, key=KEYS["ES256"].as_dict(private=False), alg="ES256") is True

"""Tokens, good and bad: any header, any claims, any bytes, signed by anybody."""

import base64
import json
import warnings
from typing import Any

from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

ISSUER = "https://issuer.example"
AUDIENCE = "https://agents.example/"
NOW = 1_800_000_000.0
"""What the server's clock says."""


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def as_json(value: Any) -> bytes:
    """Bytes as they are, anything else as JSON."""
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def claims(**changed: Any) -> dict[str, Any]:
    """What a good token says; a claim that is None is left out."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 600}
    return {name: value for name, value in (good | changed).items() if value is not None}


def signature(signed: str, algorithm: str, key: Any) -> bytes:
    """By joserfc's own algorithms, whatever the header says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return JWSRegistry.algorithms[algorithm].sign(signed.encode(), key)


def token(
    key: Any, algorithm: str = "ES256", *, header: Any = None, payload: Any = None, sign_as: str | None = None
) -> str:
    """A signed token. `header` is added to `alg` and `kid` (bytes: instead of them); `payload` bytes or claims."""
    head = header if isinstance(header, bytes) else {"alg": algorithm, "kid": key.kid, **(header or {})}
    if isinstance(head, dict):
        head = {name: value for name, value in head.items() if value is not None}
    signed = b64(as_json(head)) + "." + b64(as_json(claims() if payload is None else payload))
    return signed + "." + b64(signature(signed, sign_as or algorithm, key))


class Keys:
    """The issuer's keys, one for each thing that can be wrong with one, and an attacker's."""

    def __init__(self) -> None:
        def ec(kid: str, curve: str = "P-256", **more: Any) -> Any:
            return ECKey.generate_key(curve, {"kid": kid, **more})  # type: ignore[arg-type]

        self.ec = ec("ec")
        self.rsa = RSAKey.generate_key(2048, {"kid": "rsa"})
        self.ed = OKPKey.generate_key("Ed25519", {"kid": "ed"})
        self.ec384 = ec("ec384", "P-384")
        self.for_encryption = ec("enc", use="enc")
        self.cannot_verify = ec("ops", key_ops=["sign"])
        self.rs_only = RSAKey.generate_key(2048, {"kid": "rs-only", "alg": "RS256"})
        self.removed = ec("removed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.small = RSAKey.generate_key(1024, {"kid": "small"})
        self.shared = OctKey.import_key("s" * 48, {"kid": "shared"})
        self.attacker = ec("ec")
        self.attacker_rsa = RSAKey.generate_key(2048, {"kid": "rsa"})

    def jwks(self) -> dict[str, Any]:
        """What the issuer publishes, with a shared secret that never should be there."""
        known = (self.ec, self.rsa, self.ed, self.ec384, self.for_encryption, self.rs_only, self.small)
        told = [key.as_dict(private=False) for key in known]
        told.append({**self.cannot_verify.as_dict(private=False), "key_ops": ["sign"]})
        told.append(self.shared.as_dict(private=True))
        return {"keys": told}

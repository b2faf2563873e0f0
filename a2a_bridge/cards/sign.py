"""Signatures on agent cards: detached JWS over canonical JSON (A2A 1.0.1 §8.4; RFC 7515, RFC 8785).

Keys come from the reader's own configuration, never from the card: `jku`, `x5u`, `jwk` and `x5c` in a header are not
looked at, so a card cannot bring the key that vouches for it. `alg` has to be on the list and to fit the key. A
signature with `crit`, or with a parameter that is both protected and not, is refused. Errors name the reason; none of
them contains a key. Needs the extra `security`.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from a2a_bridge.cards.canonical import MAX_BYTES, JSONObject, readings, strict_json, to_be_signed
from a2a_bridge.errors import CardError, ConfigError
from a2a_bridge.protocol.strict import MAX_DEPTH, deeper_than

ALGORITHMS = frozenset(
    {"ES256", "ES384", "ES512", "EdDSA", "Ed25519", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
)
"""Signature algorithms that are accepted unless others are named. None of them is symmetric."""
SYMMETRIC = frozenset({"HS256", "HS384", "HS512"})
"""Algorithms whose verifier could sign as well: accepted only where somebody names them."""

MAX_SIGNATURES = 16
MAX_HEADER = 8192
MAX_SIGNATURE = 2048
"""Limits of one card: how many signatures, and the characters of one protected header and one signature."""

KeySource = Path | str | Mapping[str, Any]
"""A file, the text of one (PEM, JWK or JWK set), or a JWK or JWK set as a dict."""

_USUAL = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA", "RSA": "RS256", "oct": "HS256"}
_SHOWN_KID = 64


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the id and the algorithm that its signatures carry."""

    id: str
    algorithm: str
    key: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class VerifiedCard:
    """What a signature vouches for. Parse `body`, and nothing else of what was received."""

    body: JSONObject
    key_id: str | None
    algorithm: str


@dataclass(frozen=True, slots=True)
class _Trusted:
    """A key to verify with. One without an id fits every signature; times are seconds since 1970."""

    id: str | None
    key: Any = field(repr=False)
    not_before: float = 0.0
    expires: float = float("inf")
    is_revoked: bool = False


class TrustedKeys:
    """The keys that card signatures are checked with, and the algorithms that are accepted.

    `sources`: public keys, or JWK sets. A JWK's `alg`, `use` and `key_ops` are obeyed; so are `exp` and `nbf` (seconds
    since 1970) and `revoked`, by which a key set retires a key. A key without `kid` is tried for every signature, any
    other only for its own. `algorithms` replaces the list of what is accepted; symmetric ones must be named here.
    Raises ConfigError for a key that cannot be used, so that no typo leaves a card unchecked.
    """

    def __init__(
        self,
        *sources: KeySource,
        algorithms: Iterable[str] = ALGORITHMS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.algorithms = frozenset(algorithms)
        if unknown := self.algorithms - ALGORITHMS - SYMMETRIC:
            raise ConfigError(f"not an algorithm for card signatures: {', '.join(sorted(unknown))}")
        self._clock = clock
        self._keys = [trusted for source in sources for trusted in self._loaded(source)]
        if not self._keys:
            raise ConfigError("there is no key to check card signatures with")

    def _loaded(self, source: KeySource) -> Iterable[_Trusted]:
        where = _name(source)
        for key in _keys_in(source):
            if key.key_type == "oct" and not self.algorithms & SYMMETRIC:
                raise ConfigError(f"{where}: a symmetric key needs algorithms=, such as HS256; use a public key")
            try:
                yield _Trusted(
                    key.get("kid"), key, float(key.get("nbf") or 0), float(key.get("exp") or "inf"),
                    is_revoked=bool(key.get("revoked")),
                )  # fmt: skip
            except (TypeError, ValueError):
                raise ConfigError(f"{where}: nbf and exp of a key are seconds since 1970") from None

    def __repr__(self) -> str:
        return f"TrustedKeys({', '.join(repr(trusted.id) for trusted in self._keys)})"

    def candidates(self, key_id: str | None) -> list[Any]:
        """Keys that a signature with this id may be checked with, none of them out of date."""
        now = self._clock()
        return [
            trusted.key
            for trusted in self._keys
            if (trusted.id is None or key_id is None or trusted.id == key_id)
            and not trusted.is_revoked
            and trusted.not_before <= now < trusted.expires
        ]


def load_signing_key(source: KeySource, *, key_id: str | None = None, algorithm: str | None = None) -> SigningKey:
    """The private key in a PEM or JWK.

    `key_id` is the JWK's `kid` if not given, or the key's RFC 7638 thumbprint; `algorithm` the JWK's `alg`, or the
    usual one of the key: ES256, ES384, ES512, EdDSA, RS256. Raises ConfigError, which never quotes the key.
    """
    where = _name(source)
    keys = _keys_in(source)
    if len(keys) != 1:
        raise ConfigError(f"{where}: one private key is needed to sign with, not {len(keys)}")
    key = keys[0]
    if not key.is_private:
        raise ConfigError(f"{where}: this is a public key; signing needs the private one")
    if key.key_type == "oct" and algorithm is None:
        raise ConfigError(f"{where}: a symmetric key signs only with an algorithm that is named, such as HS256")
    usual = _USUAL.get(getattr(key, "curve_name", key.key_type))
    chosen = algorithm or key.get("alg") or usual
    if chosen not in ALGORITHMS | SYMMETRIC:
        raise ConfigError(
            f"{where}: {chosen or 'its curve'} is not for signatures; known: {', '.join(sorted(ALGORITHMS))}"
        )
    tools = _tools()
    try:
        tools.algorithms[chosen].check_key(key)
        tools.algorithms[chosen].sign(b"", key)
    except (tools.JoseError, ValueError, TypeError) as error:
        raise ConfigError(f"{where}: the key does not fit {chosen}: {error}") from None
    return SigningKey(key_id or key.get("kid") or key.thumbprint(), chosen, key)


def sign_card(body: Mapping[str, Any], keys: Sequence[SigningKey]) -> JSONObject:
    """The JSON of a card with a signature of each key added to those it has.

    Of a v1.0 card its known members are signed, of a 0.3 card all; see `canonical`. Raises CardError for a card that
    has no unambiguous form.
    """
    payloads = [_canonical(payload) for payload in to_be_signed(body)]
    if any(len(payload) > MAX_BYTES for payload in payloads):
        raise CardError(f"the card cannot be signed: it is larger than {MAX_BYTES} bytes, which nobody reads")
    added = [_signature(payload, key) for key in keys for payload in payloads]
    return {**body, "signatures": [*body.get("signatures", ()), *added]}


class Signer:
    """Signs cards with the same keys each time; `ids` tells one set of keys from another."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        self._keys = tuple(keys)
        self.ids = " ".join(f"{key.algorithm} {key.id}" for key in self._keys).encode("utf-8")

    def __call__(self, body: Mapping[str, Any]) -> JSONObject:
        """The JSON of a card as `sign_card` signs it."""
        return sign_card(body, self._keys)


def verify_card(
    body: bytes | str | Mapping[str, Any], keys: TrustedKeys, *, source: str = "agent card"
) -> VerifiedCard:
    """What a trusted signature of this card covers; one that fits is enough (R-SIGN-05).

    `body` is the card as it was received. Raises CardError, which says of each signature why it was refused.
    """
    card = strict_json(body, source) if isinstance(body, bytes | str) else dict(body)
    if isinstance(body, Mapping) and deeper_than(MAX_DEPTH, card):
        raise CardError(f"{source}: nested too deeply")
    signatures = card.get("signatures")
    if not isinstance(signatures, list) or not signatures:
        raise CardError(f"{source}: the card is not signed, and its signature is required here")
    if len(signatures) > MAX_SIGNATURES:
        raise CardError(f"{source}: more than {MAX_SIGNATURES} signatures")
    forms = []
    for signed, meaning in readings(card):
        try:
            forms.append((_canonical(signed), meaning))
        except CardError as error:
            problem = error
    if not forms:
        raise CardError(f"{source}: {problem.message}")
    reasons = []
    for number, entry in enumerate(signatures):
        try:
            return _verified(entry, forms, keys)
        except _Refused as refused:
            reasons.append(f"signature {number + 1}: {refused}")
    raise CardError(f"{source}: no signature can be trusted: {'; '.join(reasons)}")


class _Refused(Exception):
    """Why one signature does not count."""


def _verified(entry: Any, forms: Sequence[tuple[bytes, JSONObject]], keys: TrustedKeys) -> VerifiedCard:
    protected, signature, header = _taken_apart(entry)
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in keys.algorithms:
        raise _Refused(f"its algorithm {_shown(algorithm)} is not accepted here")
    if key_id is not None and not isinstance(key_id, str):
        raise _Refused("its key id is not text")
    candidates = keys.candidates(key_id)
    if not candidates:
        raise _Refused(f"its key {_shown(key_id)} is not among the trusted ones, or no longer valid")
    fitting = [key for key in candidates if _fits(algorithm, key)]
    if not fitting:
        raise _Refused(f"its algorithm {_shown(algorithm)} does not fit the trusted key {_shown(key_id)}")
    for payload, meaning in forms:
        if any(_holds(f"{protected}.{_encoded(payload)}", signature, key, algorithm) for key in fitting):
            return VerifiedCard(meaning, key_id, algorithm)
    raise _Refused("it does not fit the card, which was changed, or was signed with another key")


def _taken_apart(entry: Any) -> tuple[str, bytes, JSONObject]:
    """The protected header as received, the signature decoded, the header decoded."""
    protected = entry.get("protected") if isinstance(entry, Mapping) else None
    signature = entry.get("signature") if isinstance(entry, Mapping) else None
    if not isinstance(protected, str) or not isinstance(signature, str):
        raise _Refused("it has no protected header, or no signature")
    if len(protected) > MAX_HEADER or len(signature) > MAX_SIGNATURE:
        raise _Refused("it is too large")
    decode = _tools().decode
    try:
        value: bytes = decode(signature.encode("ascii"))
        text: bytes = decode(protected.encode("ascii"))
    except ValueError:
        raise _Refused("it is not base64url without padding") from None
    try:
        header = strict_json(text, "protected header")
    except CardError as error:
        raise _Refused(error.message) from None
    unprotected = entry.get("header")
    if unprotected is not None and not isinstance(unprotected, Mapping):
        raise _Refused("its unprotected header is not an object")
    # What must be protected has no say outside, and what stands in both could be read either way (RFC 7515 §4, §7.2.1).
    if unprotected and unprotected.keys() & ({"alg", "crit", "b64", "kid"} | header.keys()):
        raise _Refused("its unprotected header repeats or replaces protected parameters")
    if "crit" in header or "b64" in header:
        raise _Refused("it has critical parameters, of which none is understood here")
    return protected, value, header


def _fits(algorithm: str, key: Any) -> bool:
    tools = _tools()
    try:
        tools.algorithms[algorithm].check_key(key)
    except tools.JoseError:
        return False  # another kind of key, or one for another use
    return True


def _holds(text: str, signature: bytes, key: Any, algorithm: str) -> bool:
    tools = _tools()
    try:
        return bool(tools.algorithms[algorithm].verify(text.encode("ascii"), signature, key))
    except (tools.JoseError, ValueError, TypeError):
        return False  # a signature of another size, or a key that says it may not verify


def _signature(payload: bytes, key: SigningKey) -> JSONObject:
    protected = _encoded(_canonical({"alg": key.algorithm, "kid": key.id, "typ": "JOSE"}))
    value = _tools().algorithms[key.algorithm].sign(f"{protected}.{_encoded(payload)}".encode("ascii"), key.key)
    return {"protected": protected, "signature": _encoded(value)}


def _encoded(value: bytes) -> str:
    text: bytes = _tools().encode(value)
    return text.decode("ascii")


def _canonical(value: Mapping[str, Any]) -> bytes:
    """RFC 8785; CardError for numbers and text that have no canonical form."""
    try:
        found: bytes = _tools().canonical(value)
    except ValueError as error:
        raise CardError(f"the card has no canonical form: {error}") from None
    return found


def _shown(value: object) -> str:
    return "(none)" if value is None else repr(value)[:_SHOWN_KID]


def _name(source: KeySource) -> str:
    """What a source is called in errors; never its text, which may be a private key."""
    if isinstance(source, Mapping) or _is_text(source):
        return "key"
    return str(source)


def _is_text(source: Path | str) -> bool:
    return isinstance(source, str) and source.lstrip().startswith(("-----BEGIN", "{"))


def _keys_in(source: KeySource) -> list[Any]:
    """The keys of a PEM, a JWK or a JWK set; ConfigError says which of them is wrong, and never quotes it."""
    where = _name(source)
    if isinstance(source, Mapping):
        return _from_json(source, where)
    if _is_text(source):
        text = str(source)
    else:
        try:
            text = Path(source).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise ConfigError(f"{where}: the key cannot be read: {reason}") from None
    if text.lstrip().startswith("{"):
        try:
            return _from_json(strict_json(text, where), where)
        except CardError as error:
            raise ConfigError(error.message) from None
    if "-----BEGIN" not in text:
        raise ConfigError(f"{where}: neither a PEM key nor a JWK or JWK set in JSON")
    return [_from_pem(text, where)]


def _from_json(found: Mapping[str, Any], where: str) -> list[Any]:
    listed = found.get("keys", [found])
    if not isinstance(listed, Sequence) or not all(isinstance(entry, Mapping) for entry in listed):
        raise ConfigError(f"{where}: a JWK set is an object whose `keys` is a list of keys")
    tools = _tools()
    keys = []
    for number, entry in enumerate(listed):
        try:
            keys.append(_imported(tools.import_key, dict(entry)))
        except (tools.JoseError, ValueError, TypeError, KeyError, Warning) as error:
            raise ConfigError(f"{where}: key {number + 1} cannot be used: {_reason(error)}") from None
    return keys


def _from_pem(text: str, where: str) -> Any:
    tools = _tools()
    for kind in tools.pem_keys:
        try:
            return _imported(kind.import_key, text)
        except tools.InvalidKeyTypeError:
            continue
        except (tools.JoseError, ValueError, TypeError, Warning) as error:
            raise ConfigError(f"{where}: this PEM key cannot be used: {_reason(error)}") from None
    raise ConfigError(f"{where}: this kind of PEM key is not for signatures; use an EC, Ed25519 or RSA key")


def _imported(load: Callable[[Any], Any], value: Any) -> Any:
    """A key that is too small is an error here, not a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load(value)


def _reason(error: BaseException) -> str:
    """The kind of the problem: texts of parsers may quote what they read."""
    return str(error) if isinstance(error, Warning) else type(error).__name__


class _Tools(NamedTuple):
    """What is used of joserfc and rfc8785."""

    algorithms: Mapping[str, Any]
    import_key: Callable[[dict[str, Any]], Any]
    pem_keys: tuple[Any, ...]
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]
    canonical: Callable[[Any], bytes]
    JoseError: type[Exception]
    InvalidKeyTypeError: type[Exception]


@cache
def _tools() -> _Tools:
    """The libraries of the extra, loaded when the first key is."""
    try:
        import rfc8785
        from joserfc import errors, jwk, jws, util
    except ImportError as error:
        raise ConfigError(
            f'signatures of agent cards need {error.name}. Install it with: pip install "a2a-agent-bridge[security]"'
        ) from None
    return _Tools(
        algorithms=jws.JWSRegistry.algorithms,
        import_key=jwk.import_key,
        pem_keys=(jwk.ECKey, jwk.OKPKey, jwk.RSAKey),
        encode=util.urlsafe_b64encode,
        decode=util.urlsafe_b64decode,
        canonical=rfc8785.dumps,
        JoseError=errors.JoseError,
        InvalidKeyTypeError=errors.InvalidKeyTypeError,
    )

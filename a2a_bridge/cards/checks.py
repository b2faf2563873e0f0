"""Whether a card makes sense: interfaces, skills, security, extensions, signatures. Each check yields findings.

They read JSON of 1.0 that may be wrong in any way: what has not the right type is somebody else's finding.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from a2a_bridge.cards.canonical import is_v1, projected, unsignable, without_empties
from a2a_bridge.cards.findings import Finding
from a2a_bridge.errors import CardError
from a2a_bridge.protocol.card import PROTOCOL_VERSION

_VERSION = re.compile(r"\d+\.\d+")
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+*-]+/[\w!#$&^.+*-]+(\s*;\s*[\w!#$&^.+-]+=[^;]+)*")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_BINDINGS = ("JSONRPC", "HTTP+JSON", "GRPC")
_HERE = ("localhost", "127.", "0.0.0.0", "::1", "::", "host.docker.internal")
_PLACES = ("header", "query", "cookie")
_KINDS = (
    "apiKeySecurityScheme", "httpAuthSecurityScheme", "oauth2SecurityScheme", "openIdConnectSecurityScheme",
    "mtlsSecurityScheme",
)  # fmt: skip
_FLOWS = ("authorizationCode", "clientCredentials", "deviceCode", "implicit", "password")
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\bsk-[A-Za-z0-9_-]{16,}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30,}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bAIza[0-9A-Za-z_-]{35}|\bBearer\s+[A-Za-z0-9._~+/-]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
)


def checks(body: Mapping[str, Any]) -> Iterator[Finding]:
    """Every check of a card in the form of 1.0, its signatures apart."""
    yield from _interfaces(body)
    yield from _modes(body)
    yield from _skills(body)
    yield from _security(body)
    yield from _extensions(body)
    provider = body.get("provider")
    for where, url in (
        ("documentationUrl", body.get("documentationUrl")),
        ("iconUrl", body.get("iconUrl")),
        ("provider.url", provider.get("url") if isinstance(provider, Mapping) else None),
    ):
        if isinstance(url, str) and url:
            yield from url_checks(where, url)
    yield from _secrets({name: item for name, item in body.items() if name != "signatures"}, "")


def url_checks(where: str, url: str) -> Iterator[Finding]:
    """What may be wrong with one URL of a card."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme == "data" and where == "iconUrl":
        return
    if not host or parts.scheme not in ("http", "https"):
        yield Finding("C201", where, f"{url[:80]!r} is not an absolute http or https URL", "write https://HOST/PATH")
        return
    if parts.username or parts.password:
        yield Finding("C204", where, "has a user name or a password in it", "cards are public: remove them")
    if any(host == here or (here.endswith(".") and host.startswith(here)) for here in _HERE):
        yield Finding("C203", where, f"{host} is not where others find it", "set the server's public URL")
    elif parts.scheme == "http":
        yield Finding("C202", where, "is http: anybody on the way can read and change it", "use https")


def _interfaces(body: Mapping[str, Any]) -> Iterator[Finding]:
    seen = set()
    versions: list[str] = []
    for index, entry in _objects(body.get("supportedInterfaces")):
        where = f"supportedInterfaces[{index}]"
        yield from _interface(where, entry)
        version = entry.get("protocolVersion", PROTOCOL_VERSION)
        if isinstance(version, str) and version:
            if versions and _number(version) > _number(versions[0]):
                yield Finding("C207", where, f"{version} comes after {versions[0]}", "list the newest version first")
            versions.append(version)
        key = repr((entry.get("url"), str(entry.get("protocolBinding")).upper(), version, entry.get("tenant")))
        if key in seen:
            yield Finding("C208", where, "is the same as one before it", "remove it")
        seen.add(key)
    if versions and not any(version.startswith("1") for version in versions):
        yield Finding("C210", "supportedInterfaces", f"only {', '.join(versions)}", "offer 1.0")


def _interface(where: str, entry: Mapping[str, Any]) -> Iterator[Finding]:
    url, binding = _text(entry, "url"), _text(entry, "protocolBinding")
    version = _text(entry, "protocolVersion")
    if url and not (binding.upper() == "GRPC" and "://" not in url):  # which names its servers host:port
        yield from url_checks(f"{where}.url", url)
    if binding and binding.upper() not in _BINDINGS and not _URI.fullmatch(binding):
        known = ", ".join(_BINDINGS)
        yield Finding("C206", f"{where}.protocolBinding", f"{binding!r} is unknown", f"known: {known}, or a URI")
    if version and not _VERSION.fullmatch(version):
        yield Finding("C205", f"{where}.protocolVersion", f"{version!r}", 'write MAJOR.MINOR, such as "1.0"')


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _modes(body: Mapping[str, Any]) -> Iterator[Finding]:
    lists = [(name, body.get(name)) for name in ("defaultInputModes", "defaultOutputModes")]
    for index, skill in _objects(body.get("skills")):
        lists += [(f"skills[{index}].{name}", skill.get(name)) for name in ("inputModes", "outputModes")]
    for where, modes in lists:
        for index, mode in enumerate(modes if isinstance(modes, list) else ()):
            if isinstance(mode, str) and mode.strip() and not _MEDIA_TYPE.fullmatch(mode):
                yield Finding("C402", f"{where}[{index}]", f"{mode!r}", "write a media type, such as text/plain")


def _skills(body: Mapping[str, Any]) -> Iterator[Finding]:
    seen = set()
    for index, skill in _objects(body.get("skills")):
        key = skill.get("id")
        if isinstance(key, str) and key in seen:
            yield Finding("C401", f"skills[{index}].id", f"{key!r} is used before", "give each skill an id of its own")
        seen.add(key if isinstance(key, str) else None)


def _security(body: Mapping[str, Any]) -> Iterator[Finding]:
    found = body.get("securitySchemes")
    schemes = found if isinstance(found, Mapping) else {}
    for name, scheme in schemes.items():
        if isinstance(scheme, Mapping):
            yield from _scheme(f"securitySchemes.{name}", scheme)
    required: set[str] = set()
    lists = [("securityRequirements", body.get("securityRequirements"))] + [
        (f"skills[{index}].securityRequirements", skill.get("securityRequirements"))
        for index, skill in _objects(body.get("skills"))
    ]
    for where, requirements in lists:
        for index, requirement in _objects(requirements):
            named = requirement.get("schemes")
            named = named if isinstance(named, Mapping) else {}
            required |= named.keys()
            if not named:
                yield Finding("C510", f"{where}[{index}]", "names no scheme", "remove the list if all may call")
            yield from _requirement(f"{where}[{index}]", named, schemes)
    for name in schemes.keys() - required:
        yield Finding("C509", f"securitySchemes.{name}", "no requirement names it", "add it to securityRequirements")
    capabilities = body.get("capabilities")
    if isinstance(capabilities, Mapping) and capabilities.get("extendedAgentCard") is True and not schemes:
        yield Finding(
            "C508", "capabilities.extendedAgentCard", "callers cannot authenticate", "declare a security scheme"
        )


def _requirement(where: str, named: Mapping[str, Any], schemes: Mapping[str, Any]) -> Iterator[Finding]:
    for name, scopes in named.items():
        if name not in schemes:
            yield Finding("C501", where, f"names {name!r}", "declare it in securitySchemes")
            continue
        listed = scopes.get("list") if isinstance(scopes, Mapping) else None
        declared = _scopes(schemes[name])
        if declared is not None and isinstance(listed, list):
            for scope in listed:
                if isinstance(scope, str) and scope not in declared:
                    hint = f"declared: {', '.join(sorted(declared)) or 'none'}"
                    yield Finding("C507", where, f"{scope!r} of {name!r}", hint)


def _scopes(scheme: Any) -> set[str] | None:
    """Scopes that an OAuth 2 scheme declares; None for schemes that do not declare any."""
    oauth = scheme.get("oauth2SecurityScheme") if isinstance(scheme, Mapping) else None
    flows = oauth.get("flows") if isinstance(oauth, Mapping) else None
    if not isinstance(flows, Mapping):
        return None
    found = [flow.get("scopes") for flow in flows.values() if isinstance(flow, Mapping)]
    return {scope for scopes in found if isinstance(scopes, Mapping) for scope in scopes}


def _scheme(where: str, scheme: Mapping[str, Any]) -> Iterator[Finding]:
    kinds = [name for name in _KINDS if scheme.get(name) is not None]
    if len(kinds) != 1:
        what = f"has {' and '.join(kinds)}" if kinds else "has none of them"
        yield Finding("C502", where, what, f"exactly one of {', '.join(_KINDS)}")
    key = scheme.get("apiKeySecurityScheme")
    if isinstance(key, Mapping):
        place = key.get("location")
        if isinstance(place, str) and place and place not in _PLACES:
            yield Finding(
                "C503", f"{where}.apiKeySecurityScheme.location", f"{place!r}", f"one of {', '.join(_PLACES)}"
            )
        elif place == "query":
            hint = "URLs end up in logs: use a header"
            yield Finding("C504", f"{where}.apiKeySecurityScheme.location", "is query", hint)
    openid = scheme.get("openIdConnectSecurityScheme")
    if isinstance(openid, Mapping) and isinstance(openid.get("openIdConnectUrl"), str) and openid["openIdConnectUrl"]:
        yield from url_checks(f"{where}.openIdConnectSecurityScheme.openIdConnectUrl", openid["openIdConnectUrl"])
    oauth = scheme.get("oauth2SecurityScheme")
    if isinstance(oauth, Mapping) and isinstance(oauth.get("flows"), Mapping):
        yield from _flows(f"{where}.oauth2SecurityScheme.flows", oauth["flows"])


def _flows(where: str, flows: Mapping[str, Any]) -> Iterator[Finding]:
    found = [name for name in _FLOWS if flows.get(name) is not None]
    if len(found) != 1:
        hint = "declare one scheme for each flow" if found else f"one of {', '.join(_FLOWS)}"
        yield Finding("C505", where, f"has {', '.join(found) or 'none'}", hint)
    for name in found:
        if name in ("implicit", "password"):
            yield Finding("C506", f"{where}.{name}", "is deprecated", "use authorizationCode or deviceCode")
        flow = flows[name]
        for member, url in flow.items() if isinstance(flow, Mapping) else ():
            if member.endswith("Url") and isinstance(url, str) and url:
                yield from url_checks(f"{where}.{name}.{member}", url)


def _extensions(body: Mapping[str, Any]) -> Iterator[Finding]:
    capabilities = body.get("capabilities")
    seen = set()
    for index, extension in _objects(capabilities.get("extensions") if isinstance(capabilities, Mapping) else None):
        where = f"capabilities.extensions[{index}].uri"
        uri = extension.get("uri")
        if not isinstance(uri, str) or not uri:
            continue
        if not _URI.fullmatch(uri):
            yield Finding("C602", where, f"{uri!r}", "write a URI, such as https://example.org/ext/v1 or urn:...")
        if uri in seen:
            yield Finding("C601", where, f"{uri!r} is listed before", "remove one")
        seen.add(uri)


def _secrets(value: Any, where: str) -> Iterator[Finding]:
    """R-SEC-05: public cards hold no secrets. What is found is not repeated."""
    if isinstance(value, str):
        if _SECRET.search(value):
            yield Finding("C511", where, "looks like a key, a token or a password", "remove it, and revoke it")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _secrets(item, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _secrets(item, f"{where}[{index}]")


def signature_checks(body: Mapping[str, Any]) -> Iterator[Finding]:
    """What can be said of a card's signatures without keys, and whether it could be signed at all."""
    for found in unsignable(body):
        said = f"{found.description}, so the card cannot be signed: verifiers read that in different ways"
        yield Finding("C705", found.field, said, "give it a value, or leave it out if it is optional")
    if not body.get("signatures"):
        yield Finding("C701", "signatures", "nobody can tell whether it was changed", "a2a-bridge card sign --key KEY")
        return
    for index, entry in _objects(body["signatures"]):
        yield from _signature(f"signatures[{index}]", entry)
    if is_v1(body):
        try:
            signed = without_empties(projected({**body, "signatures": None}))
        except CardError:
            return
        others = sorted(body.keys() - signed.keys() - {"signatures"})
        if others:
            yield Finding("C708", others[0], f"not covered: {', '.join(others)}", "readers must not rely on them")


def _signature(where: str, entry: Mapping[str, Any]) -> Iterator[Finding]:
    protected = entry.get("protected")
    try:
        text = str(protected).encode("ascii")
        header = json.loads(base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4)))
    except ValueError:
        header = None
    if not isinstance(header, dict):
        yield Finding("C702", f"{where}.protected", "is not a JSON object in base64url", "sign the card again")
        return
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm.lower() == "none" or algorithm.startswith("HS"):
        yield Finding("C703", f"{where}.protected", f"alg is {algorithm!r}", "use ES256, EdDSA, PS256 or RS256")
    if not header.get("kid"):
        yield Finding("C704", f"{where}.protected", "has no kid", "the official SDK for JavaScript requires it")
    if "crit" in header:
        yield Finding("C706", f"{where}.protected", "has crit", "most verifiers refuse what they do not understand")
    if "jku" in header:
        yield Finding("C707", f"{where}.protected", "has jku", "careful verifiers do not fetch keys from there")


def _objects(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a list, with their places; nothing when it is no list."""
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, Mapping):
            yield index, item

"""Cards of other people as v1.0 JSON: v0.3 shapes are lifted, gaps are filled, broken extras are dropped (R-CARD-12).

Three shapes occur in the wild: pure v1.0; pure v0.3 (`url`, `preferredTransport`, `additionalInterfaces`, `security`,
flat security schemes); hybrids that hold both, where the v1.0 members win. A fourth, v0.3 with security in proto JSON
(`security[].schemes`), is understood as well. Plain JSON in, plain JSON out; nothing is fetched.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

JSONObject = dict[str, Any]

_MAJOR_MINOR = re.compile(r"^(\d+\.\d+)")
_FREE_FORM = frozenset({"params", "header"})
_SCHEME_MEMBERS = {
    "apiKey": "apiKeySecurityScheme",
    "http": "httpAuthSecurityScheme",
    "oauth2": "oauth2SecurityScheme",
    "openIdConnect": "openIdConnectSecurityScheme",
    "mutualTLS": "mtlsSecurityScheme",
}


def without_nulls(value: Any) -> Any:
    """The JSON value without null members: null means absent (R-DM-10), but not inside free-form objects."""
    if isinstance(value, Mapping):
        return {
            name: item if name in _FREE_FORM else without_nulls(item)
            for name, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [without_nulls(item) for item in value if item is not None]
    return value


def lifted(card: Mapping[str, Any]) -> JSONObject:
    """A card of any known shape as v1.0 JSON, with every member that our model requires except `name`."""
    found = dict(card)
    interfaces = _first(found, "supportedInterfaces", "supported_interfaces")
    known = [entry for entry in interfaces if isinstance(entry, Mapping)] if isinstance(interfaces, list) else []
    found["supportedInterfaces"] = [_versioned(entry) for entry in known] or list(_old_interfaces(found))
    found["capabilities"] = _capabilities(found)
    if "securityRequirements" not in found and isinstance(found.get("security"), list):
        found["securityRequirements"] = [_requirement(item) for item in found["security"] if isinstance(item, Mapping)]
    schemes = _first(found, "securitySchemes", "security_schemes")
    if isinstance(schemes, Mapping):
        found["securitySchemes"] = {name: _scheme(item) for name, item in schemes.items() if isinstance(item, Mapping)}
    skills = found.get("skills")
    found["skills"] = [_skill(item) for item in skills if isinstance(item, Mapping)] if isinstance(skills, list) else []
    found.setdefault("description", "")
    found.setdefault("version", "")
    for snake in ("supported_interfaces", "security_schemes"):
        found.pop(snake, None)
    return found


def _first(found: Mapping[str, Any], *names: str) -> Any:
    return next((found[name] for name in names if name in found), None)


def _major_minor(version: object) -> str | None:
    match = _MAJOR_MINOR.match(version) if isinstance(version, str) else None
    return match.group(1) if match else None


def _versioned(entry: Mapping[str, Any]) -> JSONObject:
    """An interface with `protocolVersion` as MAJOR.MINOR; only v1 knows such lists, so one without it is v1."""
    said = _first(entry, "protocolVersion", "protocol_version")
    binding = _first(entry, "protocolBinding", "protocol_binding") or "JSONRPC"
    return {**entry, "protocolVersion": _major_minor(said) or said or "1.0", "protocolBinding": binding}


def _old_interfaces(card: Mapping[str, Any]) -> Iterator[JSONObject]:
    """Interfaces of a v0.3 card: the main URL first, then the additional ones, all with the card's version."""
    version = _major_minor(card.get("protocolVersion")) or "0.3"
    main = {"url": card.get("url"), "transport": card.get("preferredTransport") or "JSONRPC"}
    more = card.get("additionalInterfaces")
    seen = set()
    for entry in [main, *(more if isinstance(more, list) else ())]:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("url"), str) or not entry["url"]:
            continue
        address = (entry["url"], str(entry.get("transport") or "JSONRPC"))
        if address not in seen:
            seen.add(address)
            yield {"url": address[0], "protocolBinding": address[1], "protocolVersion": version}


def _capabilities(card: Mapping[str, Any]) -> JSONObject:
    found = card.get("capabilities")
    capabilities = dict(found) if isinstance(found, Mapping) else {}
    if isinstance(card.get("supportsAuthenticatedExtendedCard"), bool):
        capabilities.setdefault("extendedAgentCard", card["supportsAuthenticatedExtendedCard"])
    return capabilities


def _requirement(item: Mapping[str, Any]) -> JSONObject:
    if isinstance(item.get("schemes"), Mapping):
        return dict(item)
    return {"schemes": {name: {"list": scopes if isinstance(scopes, list) else []} for name, scopes in item.items()}}


def _scheme(item: Mapping[str, Any]) -> JSONObject:
    if any(member in item for member in _SCHEME_MEMBERS.values()):
        return dict(item)
    member = _SCHEME_MEMBERS.get(str(item.get("type")))
    if member is None:
        return dict(item)
    flat = {name: value for name, value in item.items() if name != "type"}
    if "in" in flat:
        flat["location"] = flat.pop("in")
    return {member: flat}


def _skill(item: Mapping[str, Any]) -> JSONObject:
    found = dict(item)
    name = found.get("name") or found.get("id") or "skill"
    found.setdefault("id", name)
    found["name"] = name
    found.setdefault("description", "")
    found.setdefault("tags", [])
    if "securityRequirements" not in found and isinstance(found.get("security"), list):
        found["securityRequirements"] = [_requirement(part) for part in found["security"] if isinstance(part, Mapping)]
    return found

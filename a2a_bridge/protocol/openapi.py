"""An OpenAPI 3.1 document of the HTTP+JSON binding of one agent, from the table of operations and the models.

It lists what the agent's card offers. Where the models are more patient than the document (a null for a member that is
not given, names in snake_case, a tenant in the path), the document shows the one spelling to use.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic.alias_generators import to_camel
from pydantic.json_schema import models_json_schema

from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.methods import OPERATIONS, Operation
from a2a_bridge.protocol.objects import WireObject, dump
from a2a_bridge.protocol.rest import A2A_JSON
from a2a_bridge.protocol.v03 import lower_schemes

OPENAPI_VERSION: Final = "3.1.0"
JSONObject = dict[str, Any]

_REF: Final = "#/components/schemas/"
_RULES = re.compile(r"\s*\((?:R|T)-[A-Z0-9 ,:to-]+\)")
_KEYWORDS: Final = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
_ONE_OF: Final = {
    "Part": ("text", "raw", "url", "data"),
    "SendMessageResponse": ("task", "message"),
    "StreamResponse": ("task", "message", "statusUpdate", "artifactUpdate"),
}
"""Members of which exactly one is given."""


def openapi_document(card: AgentCard) -> JSONObject:
    """The document for an agent with this card, which names the URL of its HTTP+JSON interface."""
    wire = dump(card)
    offered = [o for o in OPERATIONS if o.needs is None or getattr(card.capabilities, o.needs)]
    paths: dict[str, JSONObject] = {}
    for operation in offered:
        for verb in operation.verbs:
            paths.setdefault(_path(operation), {})[verb.lower()] = _operation(operation, verb)
    urls = [i.url for i in card.supported_interfaces if i.protocol_binding.upper() == "HTTP+JSON"]
    found: JSONObject = {
        "openapi": OPENAPI_VERSION,
        "info": {"title": card.name, "description": card.description, "version": card.version},
        "servers": [{"url": url} for url in dict.fromkeys(urls)],
        "paths": paths,
        "components": {"schemas": _schemas(offered), "responses": {"Error": _error_response()}},
    }
    if schemes := lower_schemes(wire):  # 0.3 had taken the words from OpenAPI
        found["components"]["securitySchemes"] = schemes
        asked = [item.get("schemes", {}) for item in wire.get("securityRequirements", ())]
        found["security"] = [
            {name: list(scopes.get("list", ())) for name, scopes in item.items()}
            for item in asked
            if item.keys() <= schemes.keys()
        ]
    return found


# --- operations


def _path(operation: Operation) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: "{" + to_camel(name[1]) + "}", operation.path)


def _in_path(operation: Operation) -> list[str]:
    return [to_camel(name) for name in re.findall(r"\{(\w+)\}", operation.path)]


def _operation(operation: Operation, verb: str) -> JSONObject:
    schema = _model_schema(operation.request)
    found: JSONObject = {
        "operationId": operation.name if verb == operation.verb else f"{operation.name}By{verb.capitalize()}",
        "summary": operation.name,
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": _ID} for name in _in_path(operation)),
            *_query(operation, verb, schema),
            *_HEADERS,
        ],
        "responses": {"200": _result(operation), "default": {"$ref": "#/components/responses/Error"}},
    }
    if verb == "POST":
        found["requestBody"] = _body(operation, schema)
    return found


_ID: Final = {"type": "string", "minLength": 1}
_HEADERS: Final = (
    {
        "name": "A2A-Version",
        "in": "header",
        "required": True,
        "description": "The version of the protocol; the patch number does not matter.",
        "schema": {"type": "string", "pattern": r"^1\.0(\.[0-9]+)?$"},
        "example": "1.0",
    },
    {
        "name": "A2A-Extensions",
        "in": "header",
        "description": "URIs of extensions to activate.",
        "schema": {"type": "string"},
    },
)


def _query(operation: Operation, verb: str, schema: JSONObject) -> list[JSONObject]:
    if verb == "POST":
        return []
    names = [name for name in schema["properties"] if name not in (*_in_path(operation), "tenant")]
    return [{"name": name, "in": "query", "schema": schema["properties"][name]} for name in names]


def _body(operation: Operation, schema: JSONObject) -> JSONObject:
    """What stands in the path need not stand in the body again."""
    in_path = _in_path(operation)
    required = [name for name in schema.get("required", ()) if name not in in_path]
    shown: JSONObject = {"$ref": _REF + operation.request.__name__}
    if in_path:
        members = {name: value for name, value in schema["properties"].items() if name not in in_path}
        shown = {"type": "object", "properties": members} | ({"required": required} if required else {})
    content = {kind: {"schema": shown} for kind in (A2A_JSON, "application/json")}
    return {"required": bool(required), "content": content}


def _result(operation: Operation) -> JSONObject:
    schema: JSONObject = {"type": "object"}
    if operation.response is not None:
        schema = {"$ref": _REF + operation.response.__name__}
    if operation.streams:
        told = "Server-sent events: the data of each is one StreamResponse, its id the number of the event."
        return {"description": told, "content": {"text/event-stream": {"schema": schema}}}
    return {
        "description": "The result.",
        "content": {kind: {"schema": schema} for kind in (A2A_JSON, "application/json")},
    }


def _error_response() -> JSONObject:
    return {
        "description": "A google.rpc.Status: the HTTP code, its name, and details with a machine-readable reason.",
        "content": {kind: {"schema": {"$ref": _REF + "Error"}} for kind in (A2A_JSON, "application/json")},
    }


# --- schemas


def _schemas(operations: list[Operation]) -> JSONObject:
    models: dict[type[WireObject], None] = {}
    for operation in operations:
        models[operation.request] = None
        if operation.response is not None:
            models[operation.response] = None
    made = models_json_schema([(model, "validation") for model in models], ref_template=_REF + "{model}")[1]
    schemas = {name: _cleaned(schema) for name, schema in made["$defs"].items()}
    for name, members in _ONE_OF.items():
        if name in schemas:
            schemas[name]["oneOf"] = [{"required": [member]} for member in members]
    schemas["Error"] = _ERROR
    return schemas


def _model_schema(model: type[WireObject]) -> JSONObject:
    made: JSONObject = _cleaned(model.model_json_schema(ref_template=_REF + "{model}"))
    return {"properties": {}, **made}


def _cleaned(schema: Any) -> Any:
    """A schema of pydantic without its own words, and without null for what is simply not given."""
    if isinstance(schema, list):
        return [_cleaned(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    given = [item for item in schema.get("anyOf", ()) if item != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "title", "$defs")}
    if rest.get("default", ...) is None:
        del rest["default"]
    if len(given) == 1:
        return _cleaned({**given[0], **rest})
    found = {_KEYWORDS.get(name, name): _value(name, value) for name, value in rest.items()}
    if given:
        found["anyOf"] = _cleaned(given)
    if found.get("format") == "binary":
        del found["format"]
        found["contentEncoding"] = "base64"
    return found


def _value(name: str, value: Any) -> Any:
    if name == "description" and isinstance(value, str):
        return _RULES.sub("", value.partition("\n\n")[0]).replace("\n", " ")
    if name == "properties":
        return {member: _cleaned(schema) for member, schema in value.items()}
    return _cleaned(value)


_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "status", "message", "details"],
            "properties": {
                "code": {"type": "integer"},
                "status": {"type": "string"},
                "message": {"type": "string"},
                "details": {
                    "type": "array",
                    "items": {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}},
                },
            },
        }
    },
}

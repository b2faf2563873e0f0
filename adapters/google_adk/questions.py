"""What ADK asks the outside for, as questions, and the answers as the function responses that it waits for."""

import json
from collections.abc import Mapping
from typing import Any, Final

from google.genai import types
from pydantic_core import to_json

from a2a_bridge.agent import Answer, Ask
from a2a_bridge.protocol.extensions import may_call
from a2a_bridge.protocol.objects import JSONValue, Part

CONFIRMATION: Final = "adk_request_confirmation"
INPUT: Final = "adk_request_input"
CREDENTIAL: Final = "adk_request_credential"
OWN: Final = frozenset({CONFIRMATION, INPUT, CREDENTIAL})

NODE_CONFIRMATION: Final = "wf_tool_confirmation:"
"""How the ids of those questions begin by which a workflow's node asks whether it may run."""

_KINDS: Mapping[str, Any] = {
    "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict, "string": str,
}  # fmt: skip
"""The Python types of JSON Schema's; ADK looks at these of an answer, and at no more."""


class Unclear(ValueError):
    """An answer that is not in the form that was asked for."""


def ask_of(call: Any) -> Ask:
    """A call that waits: a confirmation, a question, a sign-in, or a long-running tool that the caller answers for."""
    arguments = call.args or {}
    if call.name == CONFIRMATION:
        tool = arguments.get("originalFunctionCall") or {}
        hint = (arguments.get("toolConfirmation") or {}).get("hint")
        return _confirmation(call, tool.get("name"), tool.get("args"), hint)
    if call.name == INPUT and _is_confirmation(call):
        asked = arguments.get("payload") or {}
        return _confirmation(call, asked.get("tool_name"), asked.get("args"), arguments.get("message"))
    if call.name == INPUT:
        shown = arguments.get("payload")
        schema = _schema(call)
        return Ask(
            text=str(arguments.get("message") or "What is the answer?"),
            parts=() if shown is None else (Part(data=shown, media_type="application/json"),),
            schema=schema,
            options=_words(schema),
            id=call.id,
        )
    if call.name == CREDENTIAL:
        text = f"Please sign in, and give the address you come back to: {_link(call)}"
        if not _is_sign_in(call):
            text = str(arguments.get("message") or "Please give your API key.")
        return Ask(text=text, kind="auth", id=call.id)
    return Ask(text=f"What does {call.name} give for {_json(arguments)}?", id=call.id)


def response_to(call: Any, answer: Answer) -> Any:
    """The part that answers a call; None if the answer is unclear."""
    said = answer.value(call.id)
    if call.name == CONFIRMATION or _is_confirmation(call):
        if isinstance(said, dict) and isinstance(said.get("confirmed"), bool):
            return _response(call, said)  # with a payload that the tool has asked for, say
        option = answer.option(call.id)
        return None if option is None else _response(call, {"confirmed": option == "yes"})
    if call.name == CREDENTIAL:
        config = dict((call.args or {}).get("authConfig") or {})
        held = dict(config.get("exchangedAuthCredential") or config.get("rawAuthCredential") or {})
        given = answer.message.text.strip()
        if _is_sign_in(call):
            held["oauth2"] = {**(held.get("oauth2") or {}), "authResponseUri": given}
        else:
            held["apiKey"] = given
        return _response(call, {**config, "exchangedAuthCredential": held})
    if _is_nodes(call):
        try:
            value = _fitting(said, _schema(call), answer, call.id)
        except Unclear:
            return None
        # ADK reads a text here as JSON if it can: what is to stay a text is said as one.
        return _response(call, {"result": json.dumps(value) if _kind(_schema(call)) == "string" else value})
    return _response(call, said if isinstance(said, dict) else {"result": said})


def _confirmation(call: Any, tool: Any, arguments: Any, hint: Any) -> Ask:
    told = may_call(str(tool or "a tool"), _json(arguments or {}))
    # ADK's own hint tells its developer how to answer.
    is_own = not hint or str(hint).startswith("Please approve or reject the tool call")
    return Ask(text=told if is_own else f"{hint}\n{told}", options=("yes", "no"), id=call.id)


def _fitting(said: JSONValue, schema: Any, answer: Answer, ask_id: str) -> JSONValue:
    """The answer in the form that the schema wants, as far as ADK looks at it; its words may be JSON."""
    kind = _kind(schema)
    if _words(schema) or kind == "boolean":
        option = answer.option(ask_id)
        if option is None:
            raise Unclear
        return option if _words(schema) else option == "yes"
    if kind is None:
        return said
    if isinstance(said, str) and kind != "string":
        try:
            said = json.loads(said)
        except ValueError:
            raise Unclear from None
    elif kind == "string" and not isinstance(said, str):
        said = _json(said)
    if not _is(said, kind) or (isinstance(said, dict) and not _has_members(said, schema)):
        raise Unclear
    return said


def _has_members(said: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    """All that the schema requires, each of its type."""
    forms = schema.get("properties") or {}
    return all(name in said for name in schema.get("required") or ()) and all(
        _is(said[name], _kind(form)) for name, form in forms.items() if said.get(name) is not None
    )


def _kind(schema: Any) -> str | None:
    """The one type that a schema names, if it does and we know it."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    return kind if isinstance(kind, str) and kind in _KINDS else None


def _is(value: Any, kind: str | None) -> bool:
    if kind is None:
        return True
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _is_nodes(call: Any) -> bool:
    """A question of a workflow's node, not of a model that has the tool for asking."""
    return call.name == INPUT and "interruptId" in (call.args or {})


def _is_confirmation(call: Any) -> bool:
    return _is_nodes(call) and str(call.id).startswith(NODE_CONFIRMATION)


def _schema(call: Any) -> Any:
    arguments = call.args or {}
    return arguments.get("response_schema") or arguments.get("responseSchema")


def _words(schema: Any) -> tuple[str, ...]:
    """The words that an answer is one of."""
    words = schema.get("enum") if isinstance(schema, Mapping) else None
    return tuple(words) if words and all(isinstance(word, str) for word in words) else ()


def _response(call: Any, response: Any) -> Any:
    return types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response=response))


def _credential(call: Any) -> Mapping[str, Any]:
    config = (call.args or {}).get("authConfig") or {}
    return config.get("exchangedAuthCredential") or config.get("rawAuthCredential") or {}


def _is_sign_in(call: Any) -> bool:
    return _credential(call).get("authType") != "apiKey"


def _link(call: Any) -> str:
    return str((_credential(call).get("oauth2") or {}).get("authUri") or "no address was given")


def _json(value: Any) -> str:
    return to_json(value, fallback=str).decode()

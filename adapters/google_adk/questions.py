"""What ADK asks the outside for, as questions, and the answers as the function responses that it waits for."""

from typing import Any, Final

from google.genai import types
from pydantic_core import to_json

from a2a_bridge.agent import Answer, Ask

CONFIRMATION: Final = "adk_request_confirmation"
INPUT: Final = "adk_request_input"
CREDENTIAL: Final = "adk_request_credential"
OWN: Final = frozenset({CONFIRMATION, INPUT, CREDENTIAL})


def ask_of(call: Any) -> Ask:
    """A call that waits: a confirmation, a question, a sign-in, or a long-running tool that the caller answers for."""
    arguments = call.args or {}
    if call.name == CONFIRMATION:
        tool = arguments.get("originalFunctionCall") or {}
        hint = (arguments.get("toolConfirmation") or {}).get("hint")
        told = f"May {tool.get('name', 'a tool')} be called with {_json(tool.get('args') or {})}?"
        # ADK's own hint tells its developer how to answer.
        is_own = not hint or "FunctionResponse" in hint
        return Ask(text=told if is_own else f"{hint}\n{told}", options=("yes", "no"), id=call.id)
    if call.name == INPUT:
        schema = arguments.get("response_schema") or arguments.get("responseSchema")
        return Ask(text=str(arguments.get("message") or "What is the answer?"), schema=schema, id=call.id)
    if call.name == CREDENTIAL:
        return Ask(
            text=f"Please sign in, and give the address you come back to: {_link(call)}", kind="auth", id=call.id
        )
    return Ask(text=f"What does {call.name} give for {_json(arguments)}?", id=call.id)


def response_to(call: Any, answer: Answer) -> Any:
    """The part that answers a call; None if the answer is unclear."""
    said = answer.value(call.id)
    if call.name == CONFIRMATION:
        if isinstance(said, dict) and isinstance(said.get("confirmed"), bool):
            return _response(call, said)  # with a payload that the tool has asked for, say
        option = answer.option(call.id)
        return None if option is None else _response(call, {"confirmed": option == "yes"})
    if call.name == CREDENTIAL:
        config = dict((call.args or {}).get("authConfig") or {})
        held = dict(config.get("exchangedAuthCredential") or config.get("rawAuthCredential") or {})
        held["oauth2"] = {**(held.get("oauth2") or {}), "authResponseUri": answer.message.text.strip()}
        return _response(call, {**config, "exchangedAuthCredential": held})
    return _response(call, said if isinstance(said, dict) else {"result": said})


def _response(call: Any, response: Any) -> Any:
    return types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response=response))


def _link(call: Any) -> str:
    config = (call.args or {}).get("authConfig") or {}
    held = config.get("exchangedAuthCredential") or config.get("rawAuthCredential") or {}
    return str((held.get("oauth2") or {}).get("authUri") or "no address was given")


def _json(value: Any) -> str:
    return to_json(value, fallback=str).decode()

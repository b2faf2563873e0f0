"""The framework's requests to the outside as questions, and their answers as what the framework wants back."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import to_json

from a2a_bridge.agent import Answer, Ask
from a2a_bridge.protocol.extensions import may_call
from a2a_bridge.protocol.objects import JSONValue
from a2a_bridge.protocol.objects import Message as Said
from adapters.agent_framework.messages import to_framework
from adapters.agent_framework.reading import jsonable
from agent_framework import Content, Message

UNCLEAR: Final = object()
"""The answer is not one: ask again."""

_TEXT_KEYS = ("prompt", "question", "message", "text", "q")


def ask_of(request: Content, request_id: str | None = None) -> Ask:
    """A content that wants an answer: an approval, a sign-in, the result of a tool that is the caller's."""
    known = request_id or id_of(request)
    if request.type == "function_approval_request":
        call = request.function_call
        return Ask(text=may_call(call.name, _told(call)), options=("yes", "no"), id=known)
    if request.type == "oauth_consent_request":
        return Ask(text=f"Please sign in, then say so: {request.consent_link}", kind="auth", id=known)
    if request.type == "function_call":
        return Ask(text=f"What does {request.name} give for {_told(request)}?", id=known)
    return Ask(text=str(request), id=known)


def id_of(request: Content) -> str:
    """What the request is called."""
    return str(request.id or request.call_id or "")


def reply_to(request: Content, answer: Answer, ask_id: str) -> Any:
    """The content that answers, or UNCLEAR."""
    if request.type == "function_approval_request":
        option = answer.option(ask_id)
        return UNCLEAR if option is None else request.to_function_approval_response(option == "yes")
    if request.type == "function_call":
        said = answer.value(ask_id)
        result = said if isinstance(said, str) else to_json(said).decode()
        return Content.from_function_result(call_id=request.call_id, result=result)
    return Content.from_text(answer.message.text)


def ask_of_event(event: Any) -> Ask:
    """A workflow's `request_info` as a question."""
    if isinstance(event.data, Content):
        return ask_of(event.data, event.request_id)
    if event.response_type is bool:
        return Ask(text=_question(event.data), options=("yes", "no"), id=event.request_id)
    return Ask(text=_question(event.data), schema=_schema(event.response_type), id=event.request_id)


def responses_to(requests: Sequence[Any], answer: Answer) -> dict[str, Any] | None:
    """The answers to the events that ask, by request; None if one of them is unclear."""
    given = Answer(tuple(ask_of_event(request) for request in requests), answer.message)
    responses = {request.request_id: response_to(request, given) for request in requests}
    return None if any(response is UNCLEAR for response in responses.values()) else responses


def response_to(event: Any, answer: Answer) -> Any:
    """What the workflow is answered, in the type it wants, or UNCLEAR."""
    wanted = event.response_type
    if isinstance(event.data, Content) and wanted is Content:
        return reply_to(event.data, answer, event.request_id)
    if wanted is bool:
        option = answer.option(event.request_id)
        return UNCLEAR if option is None else option == "yes"
    return fitted(wanted, answer.value(event.request_id), answer.message)


def fitted(wanted: Any, said: JSONValue, message: Said) -> Any:
    """A value that was said in a message, in the type that is wanted, or UNCLEAR."""
    if wanted is Message:
        return to_framework([message], "")[0]
    if wanted == list[Message]:
        return to_framework([message], "")
    if wanted is str:
        return said if isinstance(said, str) else to_json(said).decode()
    try:
        known = TypeAdapter(wanted)
    except PydanticSchemaGenerationError:
        return said
    try:
        return known.validate_json(said) if isinstance(said, str) and wanted is not Any else known.validate_python(said)
    except ValidationError:
        return _lenient(known, said)


def _lenient(known: Any, said: JSONValue) -> Any:
    """A number or the like that was said in words."""
    try:
        return known.validate_python(said)
    except ValidationError:
        return UNCLEAR


def _question(data: Any) -> str:
    if isinstance(data, str):
        return data
    told = jsonable(data)
    if isinstance(told, Mapping):
        found = next((told[key] for key in _TEXT_KEYS if isinstance(told.get(key), str)), None)
        if found is not None:
            return str(found)
    return to_json(told).decode()


def _schema(wanted: Any) -> Any:
    """The JSON Schema of an answer that is more than words."""
    if wanted in (str, Message, list[Message], Any, object):
        return None
    try:
        return TypeAdapter(wanted).json_schema()
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema):
        return None


def _told(call: Content) -> str:
    arguments = call.arguments
    return arguments if isinstance(arguments, str) else to_json(arguments or {}, fallback=str).decode()

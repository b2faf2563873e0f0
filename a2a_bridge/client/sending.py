"""What a send is made of: options, message, parameters, headers."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import uuid4

from a2a_bridge.errors import ExtensionSupportRequiredError, InvalidAgentResponseError
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.extensions import ROOM_EXTENSION, TURN_EXTENSION
from a2a_bridge.protocol.objects import Message, Part, Role, Struct, Task
from a2a_bridge.protocol.requests import (
    SendMessageConfiguration,
    SendMessageRequest,
    SendMessageResponse,
    TaskPushNotificationConfig,
)

OUR_EXTENSIONS = (TURN_EXTENSION, ROOM_EXTENSION)


@dataclass(frozen=True, slots=True)
class SendOptions:
    """What a send may say beside its words.

    `message_id` makes it idempotent: the same id and content means the same task. `history_length` limits the history
    in the answer, 0 for none. `return_immediately` answers as soon as the task exists; streams ignore it.
    `extensions` are the URIs of extensions to activate; one that the card requires must be among them, among the
    client's own `A2A-Extensions`, or be ours. `push` is a webhook that is told what happens to the task.
    """

    message_id: str | None = None
    accepted_output_modes: tuple[str, ...] = ()
    history_length: int | None = None
    return_immediately: bool = False
    metadata: Struct | None = None
    extensions: tuple[str, ...] = ()
    push: TaskPushNotificationConfig | None = None


def answer_in(answer: SendMessageResponse) -> Task | Message:
    """The one thing that a send is answered with."""
    found = answer.task or answer.message
    if found is None:
        raise InvalidAgentResponseError("the agent answered a send with neither a task nor a message")
    return found


def message_of(said: str | Message, context_id: str | None, task_id: str | None, options: SendOptions) -> Message:
    """The message to send; its own ids win over the arguments only where those are not given."""
    if isinstance(said, str):
        return Message(
            message_id=options.message_id or str(uuid4()),
            role=Role.USER,
            parts=(Part(text=said),),
            context_id=context_id,
            task_id=task_id,
        )
    given = {"message_id": options.message_id, "context_id": context_id, "task_id": task_id}
    changed = {name: value for name, value in given.items() if value is not None}
    return said.model_copy(update=changed) if changed else said


def request_of(message: Message, tenant: str | None, options: SendOptions) -> SendMessageRequest:
    """The parameters of a send; a configuration only if it says something."""
    configuration = SendMessageConfiguration(
        accepted_output_modes=options.accepted_output_modes or None,
        history_length=options.history_length,
        return_immediately=options.return_immediately or None,
        task_push_notification_config=options.push,
    )
    wanted = any(getattr(configuration, name) is not None for name in SendMessageConfiguration.model_fields)
    return SendMessageRequest(
        message=message,
        tenant=tenant,
        configuration=configuration if wanted else None,
        metadata=options.metadata or None,
    )


def headers_of(message: Message) -> dict[str, str]:
    """What the message adds to the headers that go with every request."""
    return {"idempotency-key": message.message_id} if fits_header(message.message_id) else {}


def extension_headers(card: AgentCard, named: Iterable[str]) -> dict[str, str]:
    """The header that activates the extensions that are `named`, and those of ours that the card requires.

    ExtensionSupportRequiredError when the card requires one that is neither: an extension may change what messages
    mean, so nobody is to say that they follow one unless they do (R-EXT-03, R-EXT-04).
    """
    wanted = dict.fromkeys(named)
    required = [found.uri for found in card.capabilities.extensions or () if found.required]
    missing = [uri for uri in required if uri not in wanted and uri not in OUR_EXTENSIONS]
    if missing:
        raise ExtensionSupportRequiredError(
            f"the agent {card.name!r} requires {', '.join(missing)}. If your code follows what that says, name it in"
            " SendOptions(extensions=...), or for all calls in headers={'A2A-Extensions': ...}"
        )
    uris = [*wanted, *(uri for uri in required if uri not in wanted)]
    return {"a2a-extensions": ", ".join(uris)} if uris else {}


def fits_header(value: str) -> bool:
    """Whether an id of somebody else's making may stand in a header."""
    return 0 < len(value) <= 256 and value.isascii() and value.isprintable()

"""What a send is made of: options, message, parameters, headers."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from a2a_bridge.errors import InvalidAgentResponseError
from a2a_bridge.protocol.objects import Message, Part, Role, Struct, Task
from a2a_bridge.protocol.requests import SendMessageConfiguration, SendMessageRequest, SendMessageResponse


@dataclass(frozen=True, slots=True)
class SendOptions:
    """What a send may say beside its words.

    `message_id` makes it idempotent: the same id and content means the same task. `history_length` limits the history
    in the answer, 0 for none. `return_immediately` answers as soon as the task exists; streams ignore it.
    `extensions` are the URIs of extensions to activate.
    """

    message_id: str | None = None
    accepted_output_modes: tuple[str, ...] = ()
    history_length: int | None = None
    return_immediately: bool = False
    metadata: Struct | None = None
    extensions: tuple[str, ...] = ()


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
    )
    wanted = any(getattr(configuration, name) is not None for name in SendMessageConfiguration.model_fields)
    return SendMessageRequest(
        message=message,
        tenant=tenant,
        configuration=configuration if wanted else None,
        metadata=options.metadata or None,
    )


def headers_of(message: Message, options: SendOptions, always: Mapping[str, str]) -> dict[str, str]:
    """What a send adds to the headers that go with every request: extensions of both are activated."""
    headers = {}
    if fits_header(message.message_id):
        headers["idempotency-key"] = message.message_id
    if options.extensions:
        known = [always["a2a-extensions"]] if "a2a-extensions" in always else []
        headers["a2a-extensions"] = ", ".join([*known, *options.extensions])
    return headers


def fits_header(value: str) -> bool:
    """Whether an id of somebody else's making may stand in a header."""
    return 0 < len(value) <= 256 and value.isascii() and value.isprintable()

"""Every exception of the project, one tree.

The first line of a class's docstring is its default message, so text and documentation cannot drift.
Codes, HTTP statuses, their gRPC names and reasons of protocol errors stand here and nowhere else (A2A 1.0.1 §3.3.2,
§5.4): JSON-RPC tells the code, HTTP+JSON the status and its name, both the reason.

    BridgeError
    ├── A2AError               what the protocol can say; the client raises the classes that the server raised
    ├── CardError              a card that cannot be read, or must not be trusted
    ├── AdapterError           AdapterNotFoundError, AdapterNotInstalledError, AdapterFailedError
    ├── ClientError            ConnectionFailedError, StreamBrokenError, RemoteTimeoutError, AddressRefusedError
    ├── StoreError             StoreConflictError, StoreUnavailableError, StoppingError
    ├── ConfigError            settings that contradict each other or are unknown
    └── ChatError              UnknownRoomError, SpeakerSelectionError, ToolError, CodeExecutionError
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, NamedTuple


class BridgeError(Exception):
    """Something went wrong in a2a_bridge."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip().partition("\n")[0]
        super().__init__(self.message)


class Violation(NamedTuple):
    """One field of a request that cannot be accepted: dotted camelCase path, and why."""

    field: str
    description: str


class A2AError(BridgeError):
    """The agent answered with an error that the protocol has no name for."""

    code: ClassVar[int] = -32603
    http_status: ClassVar[int] = 500
    grpc_status: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(
        self,
        message: str | None = None,
        *,
        violations: Iterable[Violation] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})


class TaskNotFoundError(A2AError):
    """There is no such task, or it is not yours to see."""

    code, http_status, grpc_status, reason = -32001, 404, "NOT_FOUND", "TASK_NOT_FOUND"


class TaskNotCancelableError(A2AError):
    """The task has already ended and cannot be canceled."""

    code, http_status, grpc_status, reason = -32002, 400, "FAILED_PRECONDITION", "TASK_NOT_CANCELABLE"


class PushNotificationNotSupportedError(A2AError):
    """This agent does not send push notifications."""

    code, http_status, grpc_status, reason = -32003, 400, "FAILED_PRECONDITION", "PUSH_NOTIFICATION_NOT_SUPPORTED"


class UnsupportedOperationError(A2AError):
    """This agent, or this task in its present state, does not support the operation."""

    code, http_status, grpc_status, reason = -32004, 400, "FAILED_PRECONDITION", "UNSUPPORTED_OPERATION"


class ContentTypeNotSupportedError(A2AError):
    """The agent does not accept content of this type."""

    code, http_status, grpc_status, reason = -32005, 400, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED"


class InvalidAgentResponseError(A2AError):
    """The agent gave an answer that the protocol does not allow."""

    code, http_status, grpc_status, reason = -32006, 500, "INTERNAL", "INVALID_AGENT_RESPONSE"


class ExtendedAgentCardNotConfiguredError(A2AError):
    """The agent has no extended card configured."""

    code, http_status, grpc_status, reason = -32007, 400, "FAILED_PRECONDITION", "EXTENDED_AGENT_CARD_NOT_CONFIGURED"


class ExtensionSupportRequiredError(A2AError):
    """The agent requires an extension that the request does not name in A2A-Extensions."""

    code, http_status, grpc_status, reason = -32008, 400, "FAILED_PRECONDITION", "EXTENSION_SUPPORT_REQUIRED"


class VersionNotSupportedError(A2AError):
    """The protocol version is not supported here."""

    code, http_status, grpc_status, reason = -32009, 400, "FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED"


class InvalidRequestError(A2AError):
    """The request is not a valid JSON-RPC 2.0 request object."""

    code, http_status, grpc_status, reason = -32600, 400, "INVALID_ARGUMENT", "INVALID_REQUEST"


class MethodNotFoundError(A2AError):
    """There is no such method."""

    code, http_status, grpc_status, reason = -32601, 404, "NOT_FOUND", "METHOD_NOT_FOUND"


class InvalidParamsError(A2AError):
    """The parameters of the request are not valid."""

    code, http_status, grpc_status, reason = -32602, 400, "INVALID_ARGUMENT", "INVALID_PARAMS"


class JSONParseError(A2AError):
    """The body is not valid JSON in UTF-8."""

    code, http_status, grpc_status, reason = -32700, 400, "INVALID_ARGUMENT", "INVALID_REQUEST"


class BusyError(A2AError):
    """There is as much to do here as may be: try again later."""

    http_status, grpc_status, reason = 429, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"


class InternalError(A2AError):
    """Internal error."""


class CardError(BridgeError):
    """The agent card cannot be read, or must not be trusted."""


class AdapterError(BridgeError):
    """An object of another framework could not be used as an agent."""


class AdapterNotFoundError(AdapterError):
    """Nothing here knows how to use this object as an agent."""


class AdapterNotInstalledError(AdapterError):
    """The framework that this adapter needs is not installed."""


class AdapterFailedError(AdapterError):
    """The framework's own agent failed; the cause is kept as __cause__."""


class framework_errors:
    """Within `with framework_errors("the AG2 agent 'x'"):` what a framework raises becomes an AdapterFailedError.

    A framework's errors, its tools' and its model provider's have no common base, so this is every Exception but our
    own AdapterErrors; its text stays in the cause. A cancellation is no Exception and goes through.
    """

    def __init__(self, who: str) -> None:
        self._who = who

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, AdapterError):
            raise AdapterFailedError(f"{self._who} failed: {type(error).__name__}") from error


class needs_extra:
    """Within `with needs_extra("crewai"):` a module that is not installed is told with the extra that brings it.

    It stays a ModuleNotFoundError with the `name` of the module, so whoever catches an ImportError goes on doing so.
    """

    def __init__(self, extra: str) -> None:
        self._extra = extra

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ModuleNotFoundError):
            raise ModuleNotFoundError(
                f'{error.name} is not installed. Install it with: pip install "a2a-agent-bridge[{self._extra}]"',
                name=error.name,
            ) from error


class ClientError(BridgeError):
    """A call to another agent failed."""


class ConnectionFailedError(ClientError):
    """No connection to the agent could be made, or it answered with an HTTP error.

    `unreachable`: there was no connection at all, so nothing has been sent.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        unreachable: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.unreachable = unreachable


class StreamBrokenError(ClientError):
    """The stream ended before the task ended, and it could not be taken up again."""

    def __init__(self, message: str | None = None, *, last: int = 0) -> None:
        super().__init__(message)
        self.last = last


class RemoteTimeoutError(ClientError):
    """The agent did not answer in time."""


class AddressRefusedError(ClientError):
    """This address may not be called from here."""


class StoreError(BridgeError):
    """The store could not do what was asked."""


class StoreConflictError(StoreError):
    """Somebody else has taken over this stream, or a record is not as expected."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached, is full, or belongs to another process."""


class StoppingError(StoreUnavailableError):
    """The server is stopping: send again when it is back."""


class ConfigError(BridgeError):
    """The configuration is not valid."""


class ChatError(BridgeError):
    """The conversation could not go on."""


class UnknownRoomError(ChatError):
    """The store has no room of that id."""


class SpeakerSelectionError(ChatError):
    """No next speaker could be chosen."""


class ToolError(ChatError):
    """A tool call failed."""


class CodeExecutionError(ChatError):
    """Code could not be run safely."""

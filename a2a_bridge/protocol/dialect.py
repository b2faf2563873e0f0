"""Versions of the protocol, as data: which requests each takes, and how it differs from 1.0.

Inside there is 1.0 only. A dialect is one version on one binding: its requests are lifted to 1.0 before they are
parsed, results and events of 1.0 are lowered before they are sent. A binding finds the dialect of a request by its
method name or path, and the core then holds the version header against it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from a2a_bridge.errors import A2AError
from a2a_bridge.protocol.card import PROTOCOL_VERSION
from a2a_bridge.protocol.methods import Operation


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version on one binding.

    `version` is what answers say in A2A-Version. `speaks` tells whether a request that asks for this version (None: it
    did not say) is meant. The rest is None where nothing differs from 1.0: `lift` makes parameters of 1.0 and raises
    InvalidParamsError, `lower` makes the result from its JSON, `lower_row` the data of one event, `lower_error` the
    error object of JSON-RPC, or what stands beside the body of an HTTP+JSON error. `streams_refusals`: a stream that is
    refused is a stream of one event, the error, and errors have no event name of their own (R-COMPAT-12, R-JRPC-24).
    `pings`: quiet streams get comments (R-JRPC-22).
    """

    version: str
    speaks: Callable[[str | None], bool]
    lift: Callable[[Operation, Any], Any] | None = None
    lower: Callable[[Operation, bytes], bytes] | None = None
    lower_row: Callable[[bytes], bytes] | None = None
    lower_error: Callable[[A2AError], dict[str, Any]] | None = None
    streams_refusals: bool = False
    pings: bool = True


def is_version(asked: str, version: str) -> bool:
    """Whether this version is asked for, by major and minor number: the patch number does not matter (R-VER-03)."""
    dot, patch = asked[len(version) : len(version) + 1], asked[len(version) + 1 :]
    return asked == version or (asked.startswith(version) and dot == "." and patch.isascii() and patch.isdigit())


V1 = Dialect(PROTOCOL_VERSION, lambda version: version is not None and is_version(version, PROTOCOL_VERSION))

"""What does not come in, as all but the JSON-RPC binding tells it: google.rpc.Status (R-REST-09, R-REST-10)."""

from a2a_bridge.errors import MethodNotFoundError
from a2a_bridge.protocol.dialect import V1, Dialect
from a2a_bridge.protocol.rest import A2A_JSON, status_body
from a2a_bridge.server.http import JSON, Answer, Headers, Refused

A2A = A2A_JSON.encode("ascii")
_NOTHING_HERE = "There is nothing at this path; agents are at /NAME/, cards below them."


def refusal(refused: Refused, headers: Headers, dialect: Dialect = V1) -> Answer:
    """A refusal as an answer (R-REST-09, R-REST-12)."""
    body = status_body(refused.error, refused.status, dialect)
    return Answer(body, refused.status, answer_type(headers, dialect), refused.headers)


def not_found(headers: Headers, why: str = _NOTHING_HERE) -> Answer:
    """There is no such route (R-REST-10)."""
    return refusal(Refused(MethodNotFoundError(why)), headers)


def wrong_verb(allow: str) -> Refused:
    """The path takes other verbs, which are listed."""
    return Refused(MethodNotFoundError(f"This path takes {allow}."), 405, ((b"allow", allow.encode("ascii")),))


def answer_type(headers: Headers, dialect: Dialect = V1) -> bytes:
    """R-REST-07: what Accept names, else what the request was sent as, else the binding's own. 0.3 has no own."""
    if dialect.version != V1.version:
        return JSON
    accept = headers.get(b"accept", b"")
    takes_own, takes_json = A2A in accept, JSON in accept
    if takes_own != takes_json:
        return A2A if takes_own else JSON
    return JSON if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == JSON else A2A

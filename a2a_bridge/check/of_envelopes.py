"""Cases about the JSON-RPC envelope of 1.0 (A2A 1.0.1 §9)."""

import json
from typing import Any

from a2a_bridge.check.case import ADVICE, Cases, Failed, expect, skip
from a2a_bridge.check.line import Line, Reply
from a2a_bridge.errors import (
    InvalidParamsError,
    InvalidRequestError,
    JSONParseError,
    MethodNotFoundError,
    TaskNotFoundError,
)

CASES = Cases(binding="JSONRPC", version="1.0")

_NOBODY = {"id": "check-no-such-task"}
_GET = {"jsonrpc": "2.0", "id": "check", "method": "GetTask", "params": _NOBODY}


def _id(reply: Reply) -> Any:
    return reply.object.get("id", "nothing")


@CASES.add("R-JRPC-01", about="other verbs than POST are answered with 405")
async def only_post(line: Line) -> None:
    reply = await line.http("GET", headers={"accept": "application/json"})
    expect(reply.status in (404, 405), f"HTTP {reply.status} for GET")


@CASES.add("R-JRPC-01", level=ADVICE, about="the URL works with and without a slash at its end")
async def slash_or_none(line: Line) -> None:
    url = line.endpoint.url
    other = url[:-1] if url.endswith("/") else url + "/"
    reply = await line.http("POST", other, body=json.dumps(_GET).encode())
    expect(reply.status == 200, f"HTTP {reply.status} at {other}")


@CASES.add("R-JRPC-02", about="answers are application/json")
async def answers_are_json(line: Line) -> None:
    reply = await line.rpc("GetTask", _NOBODY)
    expect(reply.media_type == "application/json", f"Content-Type {reply.media_type or 'missing'}")


@CASES.add("R-JRPC-03", level=ADVICE, about="a body of another type is refused before it is read")
async def other_types_are_refused(line: Line) -> None:
    reply = await line.http("POST", body=json.dumps(_GET).encode(), headers={"content-type": "text/plain"})
    error = line.refusal(reply)
    expect(reply.status >= 400 or (error is not None and error.code == -32005), f"{reply} for text/plain")


@CASES.add("R-JRPC-04", about="errors of the protocol come with HTTP 200")
async def errors_come_with_200(line: Line) -> None:
    for method, params in (("GetTask", _NOBODY), ("NoSuchMethod", {}), ("GetTask", {})):
        reply = await line.rpc(method, params)
        expect(reply.status == 200, f"HTTP {reply.status} for an error of {method}")
        expect(line.refusal(reply) is not None, f"{reply} where an error of {method} was expected")


@CASES.add("R-JRPC-05", about='jsonrpc other than "2.0" is an invalid request')
async def wrong_jsonrpc(line: Line) -> None:
    for value in ("1.0", 2, None):
        line.refused(await line.envelope({**_GET, "jsonrpc": value}), InvalidRequestError)


@CASES.add("R-JRPC-06", about="a method that is no string is an invalid request")
async def wrong_method(line: Line) -> None:
    wrong: tuple[Any, ...] = (None, 5, {})
    for value in wrong:
        line.refused(await line.envelope({**_GET, "method": value}), InvalidRequestError)


@CASES.add("R-JRPC-06", about="an unknown method is not found")
async def unknown_method(line: Line) -> None:
    line.refused(await line.rpc("NoSuchMethod", {}), MethodNotFoundError)


@CASES.add("R-JRPC-07", about="an id that is an object, an array or a boolean is an invalid request")
async def wrong_id(line: Line) -> None:
    wrong: tuple[Any, ...] = ({}, [], True)
    for value in wrong:
        line.refused(await line.envelope({**_GET, "id": value}), InvalidRequestError)


@CASES.add("R-JRPC-08", about="the id comes back with its value and type")
async def id_comes_back(line: Line) -> None:
    for value in ("a-string", 7):
        found = _id(await line.envelope({**_GET, "id": value}))
        expect(found == value and type(found) is type(value), f"id {found!r} for {value!r}")


@CASES.add("R-JRPC-08", about="the id of an invalid request comes back where it could be read")
async def id_of_an_invalid_request(line: Line) -> None:
    found = _id(await line.envelope({**_GET, "jsonrpc": "1.0"}))
    expect(found == _GET["id"], f"id {found!r} for {_GET['id']!r}")


@CASES.add("R-JRPC-08", about="a parse error has the id null")
async def id_of_a_parse_error(line: Line) -> None:
    found = _id(await line.envelope(b"{"))
    expect(found is None, f"id {found!r}")


@CASES.add("R-JRPC-10", level=ADVICE, about="a batch is one invalid request")
async def batches_are_refused(line: Line) -> None:
    line.refused(await line.envelope([_GET, _GET]), InvalidRequestError)
    line.refused(await line.envelope([]), InvalidRequestError)


@CASES.add("R-JRPC-11", about="params that are an array are invalid")
async def params_are_an_object(line: Line) -> None:
    line.refused(await line.envelope({**_GET, "params": ["check"]}), InvalidParamsError, InvalidRequestError)


@CASES.add("R-JRPC-12", about="what is no JSON is a parse error")
async def no_json(line: Line) -> None:
    for body in (b"{", b"not json", b""):
        line.refused(await line.envelope(body), JSONParseError)


@CASES.add("R-DM-14", about="what is no UTF-8 is a parse error")
async def no_utf8(line: Line) -> None:
    body = json.dumps({**_GET, "id": "X"}).encode().replace(b"X", b"\xff\xfe")
    line.refused(await line.envelope(body), JSONParseError)


@CASES.add("R-JRPC-15", level=ADVICE, about="extra members of the envelope are skipped")
async def extra_members(line: Line) -> None:
    line.refused(await line.envelope({**_GET, "meta": {"x": 1}}), TaskNotFoundError)


@CASES.add("R-JRPC-16", about="an answer has a result or an error, and not both")
async def result_or_error(line: Line) -> None:
    for reply in (await line.rpc("GetTask", _NOBODY), await line.rpc("NoSuchMethod", {})):
        found = reply.object
        expect(("result" in found) != ("error" in found), f"members {sorted(found)}")
        expect(found.get("jsonrpc") == "2.0", f"jsonrpc {found.get('jsonrpc')!r}")


@CASES.add("R-ERR-01", about="an error has a code, a message, perhaps data, and nothing else")
async def error_members(line: Line) -> None:
    error = (await line.rpc("GetTask", _NOBODY)).error_object
    expect(isinstance(error.get("code"), int) and isinstance(error.get("message"), str), f"{error}")
    expect(error.keys() <= {"code", "message", "data"}, f"members {sorted(error)}")


@CASES.add("R-ERR-02", about="errors of A2A carry an ErrorInfo with reason and domain")
async def error_info(line: Line) -> None:
    data = (await line.rpc("GetTask", _NOBODY)).error_object.get("data")
    if not isinstance(data, list):
        raise Failed(f"data {json.dumps(data)[:80]} is no array")
    info = [item for item in data if isinstance(item, dict) and str(item.get("@type")).endswith("ErrorInfo")]
    expect(info, "no ErrorInfo in data")
    found = (info[0].get("reason"), info[0].get("domain"))
    expect(found == ("TASK_NOT_FOUND", "a2a-protocol.org"), f"reason and domain {found}")


@CASES.add("R-JRPC-20", about="events of a stream carry the id of the request, one JSON a line")
async def events_carry_the_id(line: Line) -> None:
    reply = await line.streamed()
    ids = {json.dumps(json.loads(event.data).get("id")) for event in reply.events}
    expect(len(ids) == 1 and ids != {"null"}, f"ids {sorted(ids)}")
    expect(not any("\n" in event.data for event in reply.events), "data of several lines")


@CASES.add("R-JRPC-09", level=ADVICE, about="a streaming call without an id is refused")
async def streams_need_an_id(line: Line) -> None:
    if not line.streams:
        skip("the card does not offer streaming")
    envelope = {name: value for name, value in _GET.items() if name != "id"}
    reply = await line.envelope({**envelope, "method": "SubscribeToTask"})
    is_refused = line.refusal(reply) is not None or not reply.body.strip()
    expect(reply.status in (200, 202, 204) and not reply.events and is_refused, f"{reply}")

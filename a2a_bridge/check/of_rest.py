"""Cases about the HTTP+JSON binding of 1.0 (A2A 1.0.1 §11)."""

import json

from a2a_bridge.check.case import ADVICE, SHOULD, Cases, expect, skip
from a2a_bridge.check.line import Line
from a2a_bridge.check.of_operations import NOBODY
from a2a_bridge.errors import A2AError, InvalidParamsError, InvalidRequestError, JSONParseError, TaskNotFoundError

CASES = Cases(binding="HTTP+JSON", version="1.0")

_A2A = "application/a2a+json"


@CASES.add("R-REST-09", "R-ERR-02", about="an error is a google.rpc.Status with an ErrorInfo")
async def error_bodies(line: Line) -> None:
    reply = await line.ask("GetTask", {"id": NOBODY})
    error = reply.error_object
    expect(error.get("code") == reply.status, f"code {error.get('code')} in an answer of HTTP {reply.status}")
    expect(error.get("status") == "NOT_FOUND", f"status {error.get('status')!r}")
    info = [item for item in error.get("details") or () if str(item.get("@type")).endswith("ErrorInfo")]
    expect(info, "no ErrorInfo in details")
    found = (info[0].get("reason"), info[0].get("domain"))
    expect(found == ("TASK_NOT_FOUND", "a2a-protocol.org"), f"reason and domain {found}")


@CASES.add("R-REST-11", about="what is no JSON is answered with 400")
async def no_json(line: Line) -> None:
    for body in (b"{", b"not json", b"\xff\xfe"):
        reply = await line.http("POST", line.path("/message:send"), body=body)
        expect(reply.status == 400, f"HTTP {reply.status}")
        line.refused(reply, InvalidParamsError, InvalidRequestError, JSONParseError)


@CASES.add("R-REST-06", about="bodies may be application/a2a+json and application/json")
async def both_types(line: Line) -> None:
    body = json.dumps({"message": line.message(taskId=NOBODY)}).encode()
    for media_type in (_A2A, "application/json", "application/json; charset=utf-8"):
        reply = await line.http("POST", line.path("/message:send"), body=body, headers={"content-type": media_type})
        line.refused(reply, TaskNotFoundError)


@CASES.add("R-REST-06", level=SHOULD, about="answers are application/a2a+json where that is asked for")
async def answer_type(line: Line) -> None:
    task = await line.task()
    reply = await line.http("GET", line.path(f"/tasks/{task['id']}"), headers={"accept": _A2A})
    expect(reply.media_type == _A2A, f"Content-Type {reply.media_type}")


@CASES.add("R-REST-08", level=ADVICE, about="a body of another type is refused")
async def other_types(line: Line) -> None:
    body = json.dumps({"message": line.message(taskId=NOBODY)}).encode()
    reply = await line.http("POST", line.path("/message:send"), body=body, headers={"content-type": "text/plain"})
    expect(reply.status == 415, f"HTTP {reply.status} for text/plain")


@CASES.add("R-REST-10", level=ADVICE, about="an unknown route is answered with 404 in the form of errors")
async def unknown_routes(line: Line) -> None:
    reply = await line.http("GET", line.path("/tasks/a/b/c/d"))
    expect(reply.status == 404, f"HTTP {reply.status}")
    expect(isinstance(line.refusal(reply), A2AError), f"{reply} is no error object")


@CASES.add("R-REST-10", level=ADVICE, about="a wrong verb is answered with 405 and Allow")
async def wrong_verbs(line: Line) -> None:
    reply = await line.http("DELETE", line.path("/message:send"))
    expect(reply.status == 405, f"HTTP {reply.status}")
    expect(reply.headers.get("allow"), "no header Allow")


@CASES.add("R-REST-01", about="a task is followed by POST and by GET")
async def subscribe_verbs(line: Line) -> None:
    if not line.streams:
        skip("the card does not offer streaming")
    for verb in ("POST", "GET"):
        reply = await line.http(verb, line.path(f"/tasks/{NOBODY}:subscribe"))
        expect(reply.status not in (405, 501), f"HTTP {reply.status} for {verb}")
        line.refused(reply, TaskNotFoundError)


@CASES.add("R-REST-02", level=ADVICE, about="a verb that a route does not take is not another operation")
async def suffixes(line: Line) -> None:
    task = await line.task()
    reply = await line.http("GET", line.path(f"/tasks/{task['id']}:cancel"))
    expect(reply.status in (404, 405), f"HTTP {reply.status} for GET of :cancel")


@CASES.add("R-REST-03", level=ADVICE, about="ids are one segment of the path, whatever is in them")
async def odd_ids(line: Line) -> None:
    for task_id in ("check/no", "check no", "check%2Fno", "check:no", "chéck"):
        line.refused(await line.ask("GetTask", {"id": task_id}), TaskNotFoundError)


@CASES.add("R-REST-04", about="values of a query that make no sense are invalid")
async def wrong_queries(line: Line) -> None:
    task = await line.task()
    for path, query in (
        (f"/tasks/{task['id']}", {"historyLength": "many"}),
        ("/tasks", {"pageSize": "ten"}),
        ("/tasks", {"includeArtifacts": "perhaps"}),
        ("/tasks", {"statusTimestampAfter": "yesterday"}),
    ):
        reply = await line.http("GET", line.path(path, query))
        expect(reply.status == 400, f"HTTP {reply.status} for {query}")


@CASES.add("R-REST-04", level=ADVICE, about="names in a query are read in snake_case too")
async def snake_case_in_queries(line: Line) -> None:
    task = await line.task()
    reply = await line.http("GET", line.path(f"/tasks/{task['id']}", {"history_length": 0}))
    expect("history" not in line.result(reply), "history_length is not understood")


@CASES.add("R-REST-04", about="the filters of a list are read from the query")
async def list_filters(line: Line) -> None:
    task = await line.task()
    query = {"contextId": task.get("contextId"), "pageSize": 1, "includeArtifacts": "true", "historyLength": 0}
    found = line.result(await line.http("GET", line.path("/tasks", query)))
    expect(found.get("pageSize") == 1 and len(found["tasks"]) == 1, f"pageSize {found.get('pageSize')}")
    expect("artifacts" in found["tasks"][0] or not task.get("artifacts"), "the artifacts are missing")


@CASES.add("R-REST-23", level=ADVICE, about="a slash at the end of a collection does no harm")
async def slashes(line: Line) -> None:
    reply = await line.http("GET", line.path("/tasks/"))
    expect(reply.status == 200, f"HTTP {reply.status} for /tasks/")

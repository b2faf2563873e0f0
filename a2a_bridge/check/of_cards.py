"""Cases about the agent card itself; they are asked once, of the address it was found at."""

from urllib.parse import urlsplit

from a2a_bridge.cards.load import card_from_json
from a2a_bridge.check.case import ADVICE, MUST, SHOULD, Cases, Failed, expect, skip
from a2a_bridge.check.line import Line
from a2a_bridge.errors import CardError
from a2a_bridge.net import is_loopback

CASES = Cases()


@CASES.add("R-CARD-01", about="the card is a JSON object at its address")
async def card_is_served(line: Line) -> None:
    reply = await line.http("GET")
    expect(reply.status == 200, f"HTTP {reply.status}")
    expect("json" in reply.media_type, f"Content-Type {reply.media_type or 'missing'}")
    expect(isinstance(reply.value, dict), "the body is no JSON object")


@CASES.add("R-CARD-01", level=ADVICE, about="the card is public")
async def card_is_public(line: Line) -> None:
    reply = await line.http("GET", known=False)
    expect(reply.status == 200, f"HTTP {reply.status} without credentials")


@CASES.add("R-CARD-07", about="a 1.0 card has every member that is required")
async def card_is_complete(line: Line) -> None:
    found = dict((await line.http("GET")).object)
    if not found.get("supportedInterfaces"):
        skip("the card is one of 0.3")
    try:
        card_from_json(found)
    except CardError as error:
        raise Failed(error.message.removeprefix("agent card: ")) from None


@CASES.add("R-CARD-05", about="every interface names its protocol version as MAJOR.MINOR")
async def interfaces_name_their_version(line: Line) -> None:
    interfaces = (await line.http("GET")).object.get("supportedInterfaces")
    if not isinstance(interfaces, list):
        skip("the card is one of 0.3")
    for entry in interfaces:
        version = entry.get("protocolVersion") if isinstance(entry, dict) else None
        expect(isinstance(version, str) and version.count(".") == 1, f"protocolVersion {version!r}")


@CASES.add("R-CARD-05", about="every interface has an absolute URL")
async def interfaces_have_absolute_urls(line: Line) -> None:
    for entry in line.card.supported_interfaces:
        if entry.protocol_binding.upper() != "GRPC":
            expect(urlsplit(entry.url).scheme in ("http", "https"), f"URL {entry.url!r}")


@CASES.add("R-SEC-01", about="interfaces are reached by https, this machine excepted")
async def interfaces_use_tls(line: Line) -> None:
    for entry in line.card.supported_interfaces:
        parts = urlsplit(entry.url)
        expect(parts.scheme != "http" or is_loopback(parts.hostname or ""), f"{parts.netloc} is reached by http")


@CASES.add("R-CARD-08", level=SHOULD, about="the card may be kept: Cache-Control with max-age")
async def card_says_how_long_it_lasts(line: Line) -> None:
    control = (await line.http("GET")).headers.get("cache-control", "")
    expect("max-age" in control, f"Cache-Control {control or 'missing'}")


@CASES.add("R-CARD-08", level=SHOULD, about="the card has an ETag")
async def card_has_an_etag(line: Line) -> None:
    expect((await line.http("GET")).headers.get("etag"), "no ETag")


@CASES.add("R-CARD-09", about="an unchanged card is answered with 304")
async def card_is_not_sent_twice(line: Line) -> None:
    etag = (await line.http("GET")).headers.get("etag")
    if not etag:
        skip("the card has no ETag")
    reply = await line.http("GET", headers={"if-none-match": etag})
    expect(reply.status == 304, f"HTTP {reply.status} for If-None-Match with the ETag of the card")
    expect(not reply.body, "304 with a body")


@CASES.add("R-CARD-09", level=MUST, about="the card answers HEAD as GET, without a body")
async def card_answers_head(line: Line) -> None:
    reply = await line.http("HEAD")
    expect(reply.status == 200 and not reply.body, f"HTTP {reply.status}")


@CASES.add("R-CARD-11", level=SHOULD, about="browsers may read the card")
async def card_is_readable_in_browsers(line: Line) -> None:
    reply = await line.http("GET", headers={"origin": "https://inspector.example"})
    allowed = reply.headers.get("access-control-allow-origin")
    expect(allowed in ("*", "https://inspector.example"), f"Access-Control-Allow-Origin {allowed or 'missing'}")

"""Options of a command line as the credentials and the interface that a client takes."""

import re

from a2a_bridge.cli import environment
from a2a_bridge.cli.fault import usage
from a2a_bridge.cli.options import FetchOptions, TalkOptions
from a2a_bridge.client.auth import ApiKey, Basic, Bearer, ClientCredentials, Credential
from a2a_bridge.client.client import Wanted
from a2a_bridge.net import ClientCertificate

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,64}")


def line(secret: str) -> str:
    """A secret without the line end that it has when it was read from a file."""
    return secret.rstrip("\r\n")


def credentials_of(options: FetchOptions) -> tuple[Credential, ...]:
    """What the options give, in no order; CommandError for options that lack another one."""
    found: list[Credential] = []
    if options.bearer:
        found.append(Bearer(line(options.bearer)))
    if options.api_key:
        found.append(ApiKey(line(options.api_key)))
    if options.basic:
        user, colon, password = line(options.basic).partition(":")
        if not colon:
            raise usage("--basic is USER:PASSWORD")
        found.append(Basic(user, password))
    if options.client_id or options.client_secret:
        if not (options.client_id and options.client_secret):
            raise usage("--client-id and --client-secret belong together")
        scopes = tuple(options.scope.split()) if options.scope is not None else None
        secret = line(options.client_secret)
        found.append(ClientCredentials(options.client_id, secret, options.token_url, scopes))
    elif options.token_url or options.scope:
        raise usage("--token-url and --scope need --client-id and --client-secret")
    if options.certificate_key and not options.cert:
        raise usage("--key needs --cert")
    if options.cert or options.ca:
        found.append(ClientCertificate(options.cert, options.certificate_key, ca=options.ca))
    return tuple(found)


def headers_of(options: FetchOptions) -> dict[str, str]:
    """The headers that are given as such; CommandError, which never shows a value, for what is none."""
    found: dict[str, str] = {}
    for given in options.header or environment.lines("A2ACLI_HEADER", options.config):
        name, colon, value = given.partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon or not _NAME.fullmatch(name) or not value.isascii() or not value.isprintable():
            raise usage(f"--header is 'NAME: VALUE', in ASCII and on one line, which {name[:40]!r} is not")
        if name in found:
            raise usage(f"--header {name} is given twice")
        found[name] = value
    return found


def identifies(options: FetchOptions) -> bool:
    """Whether they tell who we are: authorities to trust do not."""
    given = (options.bearer, options.api_key, options.basic, options.client_id, options.cert)
    return any(given) or bool(headers_of(options))


def wanted_by(options: TalkOptions) -> Wanted:
    """Which interface of the card is asked for."""
    try:
        return Wanted(options.binding, options.protocol_version)
    except ValueError as error:
        raise usage(str(error)) from None

"""Options of a command line as the credentials and the interface that a client takes."""

from a2a_bridge.cli.fault import usage
from a2a_bridge.cli.options import TalkOptions
from a2a_bridge.client.auth import ApiKey, Basic, Bearer, ClientCredentials, Credential
from a2a_bridge.client.client import Wanted
from a2a_bridge.net import ClientCertificate


def line(secret: str) -> str:
    """A secret without the line end that it has when it was read from a file."""
    return secret.rstrip("\r\n")


def credentials_of(options: TalkOptions) -> tuple[Credential, ...]:
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
    if options.key and not options.cert:
        raise usage("--key needs --cert")
    if options.cert or options.ca:
        found.append(ClientCertificate(options.cert, options.key, ca=options.ca))
    return tuple(found)


def identifies(credentials: tuple[Credential, ...]) -> bool:
    """Whether they tell who we are: authorities to trust do not."""
    return any(not isinstance(found, ClientCertificate) or found.cert is not None for found in credentials)


def wanted_by(options: TalkOptions) -> Wanted:
    """Which interface of the card is asked for."""
    try:
        return Wanted(options.binding, options.protocol_version)
    except ValueError as error:
        raise usage(str(error)) from None

"""What lint can find in a card: one table of codes. A code never changes its meaning; a retired one is not used again.

C0 the text, C1 the shape, C2 interfaces, C3 the two versions, C4 skills and modes, C5 security, C6 extensions,
C7 signatures, C8 how the card is served.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from a2a_bridge.protocol.objects import JSONValue

Severity = Literal["error", "warning", "note"]

CODES: Mapping[str, tuple[Severity, str]] = {
    "C001": ("error", "the text is not a JSON object in UTF-8"),
    "C002": ("error", "a member stands twice, or has no one meaning"),
    "C101": ("error", "a required member is missing"),
    "C102": ("error", "a member has the wrong type"),
    "C103": ("error", "a required member is empty"),
    "C104": ("warning", "a member is unknown"),
    "C105": ("warning", "a member has the name of the proto file"),
    "C106": ("warning", "a member is null"),
    "C107": ("error", "a member is given in both spellings"),
    "C108": ("warning", "an optional member is empty"),
    "C201": ("error", "a URL is not absolute"),
    "C202": ("warning", "a URL is not https"),
    "C203": ("warning", "a URL is one that only this machine understands"),
    "C204": ("error", "a URL holds credentials"),
    "C205": ("error", "a protocol version is not MAJOR.MINOR"),
    "C206": ("warning", "a binding is unknown"),
    "C207": ("warning", "an older version is preferred to a newer one"),
    "C208": ("warning", "an interface is listed twice"),
    "C209": ("note", "the server fills the interfaces in"),
    "C210": ("warning", "no interface speaks 1.0"),
    "C301": ("warning", "the card is one of 0.3"),
    "C302": ("error", "members of 0.3 contradict those of 1.0"),
    "C303": ("warning", "members of 0.3 stand in a card that offers no 0.3"),
    "C304": ("error", "a member that 0.3 requires is missing"),
    "C401": ("error", "a skill's id is used twice"),
    "C402": ("error", "a mode is not a media type"),
    "C501": ("error", "a requirement names a scheme that is not declared"),
    "C502": ("error", "a security scheme is not of exactly one kind"),
    "C503": ("error", "an API key is in a place that does not exist"),
    "C504": ("warning", "an API key goes into the URL"),
    "C505": ("error", "an OAuth 2 scheme does not have exactly one flow"),
    "C506": ("warning", "an OAuth 2 flow is deprecated"),
    "C507": ("error", "a scope is required that its scheme does not declare"),
    "C508": ("error", "an extended card is promised without a security scheme"),
    "C509": ("warning", "a security scheme is declared and never required"),
    "C510": ("warning", "a requirement is empty: everybody may call"),
    "C511": ("error", "something in the card looks like a secret"),
    "C601": ("error", "an extension is listed twice"),
    "C602": ("error", "an extension's uri is not a URI"),
    "C701": ("note", "the card is not signed"),
    "C702": ("error", "a signature cannot be read"),
    "C703": ("error", "a signature proves nothing to others"),
    "C704": ("warning", "a signature does not name its key"),
    "C705": ("warning", "verifiers disagree about what is signed"),
    "C706": ("warning", "a signature has critical parameters"),
    "C707": ("note", "a signature says where its key is"),
    "C708": ("warning", "there are members beside the signed ones"),
    "C801": ("warning", "the answer does not say how long the card may be kept"),
    "C802": ("warning", "the answer has no entity tag"),
    "C803": ("error", "the answer does not say that it is JSON"),
    "C804": ("warning", "a known card is sent again"),
    "C805": ("warning", "an interface is on another origin than the card"),
}
"""How serious each is, and what it says of the card."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a card: where (a path such as `skills[0].tags`), what, and what to do about it."""

    code: str
    field: str
    message: str
    hint: str = ""

    @property
    def severity(self) -> Severity:
        """`error`: clients will trip over it; `warning`: some will; `note`: worth knowing."""
        return CODES[self.code][0]

    def as_json(self) -> dict[str, JSONValue]:
        """The finding for programs."""
        found: dict[str, JSONValue] = {
            "code": self.code, "severity": self.severity, "field": self.field, "message": self.message,
        }  # fmt: skip
        return found | {"hint": self.hint} if self.hint else found

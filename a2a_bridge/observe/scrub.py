"""Credentials that stand in a text, made unreadable before the text gets into a log.

Nothing of ours writes credentials into log lines; this is for texts that others make: messages and tracebacks of
frameworks, providers' errors, URLs. What looks like a credential is replaced; ordinary text stays as it is.
"""

import re

SCRUBBED = "***"
_WORDS = (
    r"api[-_]?key|apikey|access[-_]?token|refresh[-_]?token|id[-_]?token|auth[-_]?token|client[-_]?secret|secret"
    r"|password|passwd|credentials?|x-a2a-notification-token|x-api-key|token"
)
_PATTERNS = (
    # Authorization: Bearer ..., also inside quotes and dicts
    (re.compile(r"\b(bearer|basic|digest)(\s+)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), r"\1\2" + SCRUBBED),
    # https://user:password@host
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@\"']+@", re.IGNORECASE), r"\1" + SCRUBBED + "@"),
    # name=value, "name": "value", 'name': b'value'
    (
        re.compile(rf"(\b(?:{_WORDS})\b[\"']?\s*[:=]\s*b?)([\"']?)[^\s\"',;&)\]}}]{{4,}}\2", re.IGNORECASE),
        r"\1\2" + SCRUBBED + r"\2",
    ),
    # keys and tokens that tell by their form what they are
    (re.compile(r"\b(?:sk|pk|rk|ghp|gho|xox[abp])[-_][A-Za-z0-9_-]{8,}"), SCRUBBED),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), SCRUBBED),
)


def scrub(text: str) -> str:
    """The text without credentials."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text

"""Image names: what is one, and its default tag. The words of a refusal are those that clients know."""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = r"[\w][\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"^(?P<name>(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?$"
)
_IDENTIFIER = re.compile(r"^[a-f0-9]{64}$")
MAX_NAME_LENGTH = 255


class InvalidReference(ValueError):
    """The message is the parser's verdict alone."""


@dataclass(frozen=True, slots=True)
class ImageReference:
    name: str
    tag: str
    digest: str

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> ImageReference:
    """A name with ``latest`` as the tag when it has neither tag nor digest. Raises `InvalidReference`."""
    if _IDENTIFIER.match(text):
        raise InvalidReference(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    match = _REFERENCE.match(text)
    if match is None:
        raise InvalidReference(_verdict(text))
    name, tag, digest = match.group("name"), match.group("tag") or "", match.group("digest") or ""
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidReference(f"repository name must not be more than {MAX_NAME_LENGTH} characters")
    return ImageReference(name, tag if tag or digest else "latest", digest)


def _verdict(text: str) -> str:
    """Upper case in the repository part has a message of its own."""
    remainder = text
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first.lower() != first):
        remainder = rest
    repository = remainder.partition(":")[0]
    if repository.lower() != repository:
        return f"invalid reference format: repository name ({repository}) must be lowercase"
    return "invalid reference format"


def apply_default_tag(text: str) -> str:
    """The name to ask the runtime for. Raises `InvalidReference` with the whole message of the refusal."""
    try:
        return str(parse_reference(text))
    except InvalidReference as error:
        raise InvalidReference(
            f'Failed to apply default image tag "{text}": couldn\'t parse image name "{text}": {error}'
        ) from error


def default_pull_policy(text: str) -> str:
    """What a spec without a policy means: mutable names are always pulled."""
    try:
        reference = parse_reference(text)
    except InvalidReference:
        return "IfNotPresent"
    return "Always" if reference.tag == "latest" and not reference.digest else "IfNotPresent"

"""What may be called what: the name rules of the API, with the words a client gets when it breaks one.

Every check returns the list of complaints (empty: fine), because one value can break several rules and the answer
to the client names all of them. The texts are part of the interface: tools and people match on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

NameCheck = Callable[[str], list[str]]

LABEL_MAX_LENGTH = 63
SUBDOMAIN_MAX_LENGTH = 253

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + r"(\." + _LABEL + r")*"
_DNS1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = "(" + _QUALIFIED + ")?"
_WILDCARD = r"\*\." + _SUBDOMAIN
_C_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"
_CONFIG_KEY = r"[-._a-zA-Z0-9]+"
_HTTP_HEADER = r"[-A-Za-z0-9]+"
_PERCENT = r"[0-9]+%"

_label_re = re.compile(_LABEL)
_subdomain_re = re.compile(_SUBDOMAIN)
_dns1035_re = re.compile(_DNS1035)
_qualified_re = re.compile(_QUALIFIED)
_label_value_re = re.compile(_LABEL_VALUE)
_wildcard_re = re.compile(_WILDCARD)
_c_identifier_re = re.compile(_C_IDENTIFIER)
_config_key_re = re.compile(_CONFIG_KEY)
_http_header_re = re.compile(_HTTP_HEADER)
_percent_re = re.compile(_PERCENT)

EMPTY = "must be non-empty"


def too_long(limit: int) -> str:
    """Labels and qualified names say bytes, DNS names say characters; both count bytes."""
    return f"must be no more than {limit} bytes"


def _too_many_characters(limit: int) -> str:
    return f"must be no more than {limit} characters"


def regex_message(text: str, pattern: str, *examples: str) -> str:
    """The sentence that explains a pattern, with its examples, as clients know it."""
    if not examples:
        return f"{text} (regex used for validation is '{pattern}')"
    listed = " or ".join(f"'{example}', " for example in examples)
    return f"{text} (e.g. {listed}regex used for validation is '{pattern}')"


_LABEL_TEXT = regex_message(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character", _LABEL, "my-name", "123-abc")
_SUBDOMAIN_TEXT = regex_message(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character", _SUBDOMAIN, "example.com")
_DNS1035_TEXT = regex_message(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character", _DNS1035, "my-name", "abc-123")
_QUALIFIED_CHARACTERS = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character")
_QUALIFIED_EXAMPLES = ("MyName", "my.name", "123-abc")
_QUALIFIED_TEXT = regex_message(_QUALIFIED_CHARACTERS, _QUALIFIED, *_QUALIFIED_EXAMPLES)
_LABEL_VALUE_TEXT = regex_message(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character", _LABEL_VALUE, "MyValue", "my_value", "12345")
_WILDCARD_TEXT = regex_message(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character", _WILDCARD, "*.example.com")
_C_IDENTIFIER_TEXT = regex_message(
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters "
    "or '_'", _C_IDENTIFIER, "my_name", "MY_NAME", "MyName")
_CONFIG_KEY_TEXT = regex_message(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    _CONFIG_KEY, "key.name", "KEY_NAME", "key-name")
_HTTP_HEADER_TEXT = regex_message(
    "a valid HTTP header must consist of alphanumeric characters or '-'", _HTTP_HEADER, "X-Header-Name")
_PERCENT_TEXT = regex_message(
    "a valid percent string must be a numeric string followed by an ending '%'", _PERCENT, "1%", "93%")


def _size(value: str) -> int:
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))


def dns1123_label(value: str) -> list[str]:
    errors = [_too_many_characters(LABEL_MAX_LENGTH)] if _size(value) > LABEL_MAX_LENGTH else []
    if not _label_re.fullmatch(value):
        # A name that would do as a subdomain has only its dots to blame.
        errors.append("must not contain dots" if _subdomain_re.fullmatch(value) else _LABEL_TEXT)
    return errors


def dns1123_subdomain(value: str) -> list[str]:
    errors = [_too_many_characters(SUBDOMAIN_MAX_LENGTH)] if _size(value) > SUBDOMAIN_MAX_LENGTH else []
    if not _subdomain_re.fullmatch(value):
        errors.append(_SUBDOMAIN_TEXT)
    return errors


def dns1035_label(value: str) -> list[str]:
    errors = [_too_many_characters(LABEL_MAX_LENGTH)] if _size(value) > LABEL_MAX_LENGTH else []
    if not _dns1035_re.fullmatch(value):
        errors.append(_DNS1035_TEXT)
    return errors


def wildcard_dns1123_subdomain(value: str) -> list[str]:
    errors = [_too_many_characters(SUBDOMAIN_MAX_LENGTH)] if _size(value) > SUBDOMAIN_MAX_LENGTH else []
    if not _wildcard_re.fullmatch(value):
        errors.append(_WILDCARD_TEXT)
    return errors


@lru_cache(maxsize=8192)
def _label_value(value: str) -> tuple[str, ...]:
    errors = [too_long(LABEL_MAX_LENGTH)] if _size(value) > LABEL_MAX_LENGTH else []
    if not _label_value_re.fullmatch(value):
        errors.append(_LABEL_VALUE_TEXT)
    return tuple(errors)


def label_value(value: str) -> list[str]:
    return list(_label_value(value))


@lru_cache(maxsize=8192)
def _qualified_name(value: str) -> tuple[str, ...]:
    errors: list[str] = []
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        return (
            "a valid label key " + _QUALIFIED_TEXT
            + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        )
    if slash:
        if not prefix:
            errors.append("prefix part " + EMPTY)
        else:
            errors.extend("prefix part " + text.replace(" characters", " bytes", text.startswith("must be no more"))
                          for text in dns1123_subdomain(prefix))
    if not name:
        errors.append("name part " + EMPTY)
    elif _size(name) > LABEL_MAX_LENGTH:
        errors.append("name part " + too_long(LABEL_MAX_LENGTH))
    if not _qualified_re.fullmatch(name):
        errors.append("name part " + _QUALIFIED_TEXT)
    return tuple(errors)


def qualified_name(value: str) -> list[str]:
    """`[prefix/]name`: keys of labels, annotations and taints, resource names, finalizers."""
    return list(_qualified_name(value))


def path_segment(value: str) -> list[str]:
    """Names that only have to survive in a URL: roles, bindings, certificates' requests."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{bad}'" for bad in ("/", "%") if bad in value]


def fully_qualified_name(value: str) -> list[str]:
    """A domain of at least three parts, as admission webhooks are named."""
    if not value:
        return [EMPTY]
    errors = dns1123_subdomain(value)
    if errors:
        return errors
    return ["should be a domain with at least three segments separated by dots"] if value.count(".") < 2 else []


def c_identifier(value: str) -> list[str]:
    return [] if _c_identifier_re.fullmatch(value) else [_C_IDENTIFIER_TEXT]


_env_name_re = re.compile(r"[ -<>-~]+")


def env_var_name(value: str) -> list[str]:
    """Any printable ASCII but `=`."""
    if not value:
        return ["environment variable name" + " must be non-empty"]
    if not _env_name_re.fullmatch(value):
        return [
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
        ]
    return []


def config_map_key(value: str) -> list[str]:
    errors = [_too_many_characters(SUBDOMAIN_MAX_LENGTH)] if _size(value) > SUBDOMAIN_MAX_LENGTH else []
    if not _config_key_re.fullmatch(value):
        errors.append(_CONFIG_KEY_TEXT)
    # A key becomes a file in a volume: it must not climb out, and `..x` is how volumes name their own data.
    if value == ".":
        errors.append("must not be '.'")
    if value == "..":
        errors.append("must not be '..'")
    elif value.startswith(".."):
        errors.append("must not start with '..'")
    return errors


def http_header_name(value: str) -> list[str]:
    return [] if _http_header_re.fullmatch(value) else [_HTTP_HEADER_TEXT]


def percent(value: str) -> list[str]:
    return [] if _percent_re.fullmatch(value) else [_PERCENT_TEXT]


def port_number(value: int) -> list[str]:
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def port_name(value: str) -> list[str]:
    """IANA service names: at most 15 of `[a-z0-9-]`, a letter somewhere, dashes never doubled or at an end."""
    errors: list[str] = []
    if len(value) > 15:
        errors.append("must be no more than 15 characters")
    if not re.fullmatch(r"[-a-z0-9]+", value):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", value):
        errors.append("must contain at least one letter (a-z)")
    if "--" in value:
        errors.append("must not contain consecutive hyphens")
    if value and (value[0] == "-" or value[-1] == "-"):
        errors.append("must not begin or end with a hyphen")
    return errors


def mask_trailing_dash(name: str) -> str:
    """A generateName may end in dashes: what follows makes it whole, so check it as if it did."""
    return name[:-2] + "a" if len(name) > 1 and name.endswith("-") else name

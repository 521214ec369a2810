"""Kubernetes' own libraries: URLs, addresses, quantities, versions, named formats."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from apiserver.cel.functions import Functions
from apiserver.cel.library.standard import integer
from apiserver.cel.values import NONE, EvalError, Opaque, Optional, some
from apiserver.crd.structural.formats import FORMATS
from machinery.meta import names
from machinery.meta.go_format import go_quote
from machinery.meta.quantity import Quantity, QuantityError, parse_quantity


def add(functions: Functions) -> None:
    _urls(functions)
    _addresses(functions)
    _quantities(functions)
    _versions(functions)
    _formats(functions)
    _authorizer(functions)


# -- URLs ----------------------------------------------------------------------------------------------------------------


class Url(Opaque):
    type_name = "kubernetes.URL"

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts = urlsplit(text)

    def identity(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text

    def query(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.parts.query, keep_blank_values=True):
            found.setdefault(name, []).append(value)
        return found


def url(text: str) -> Url:
    scheme, colon, _ = text.partition(":")
    absolute = bool(colon) and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) is not None
    if not absolute and not text.startswith("/"):
        raise EvalError(
            f"URL parse error during conversion from string: parse {go_quote(text)}: invalid URI for request"
        )
    try:
        made = Url(text)
        made.parts.port  # noqa: B018 (a bad port is found when asked for)
    except ValueError as error:
        raise EvalError(f"URL parse error during conversion from string: parse {go_quote(text)}: {error}") from None
    return made


def _is(make: Callable[[str], Any]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            make(text)
        except EvalError:
            return False
        return True

    return check


def _host_of(made: Url) -> str:
    return made.parts.netloc.rpartition("@")[2]


def _urls(functions: Functions) -> None:
    on = functions.add
    on("url(string): kubernetes.URL", url)
    on("isURL(string): bool", _is(url))
    on("string(kubernetes.URL): string", str)
    for name, part in (
        ("getScheme", lambda made: made.parts.scheme), ("getHost", _host_of),
        ("getHostname", lambda made: re.sub(r":\d*$", "", _host_of(made)).strip("[]")),
        ("getPort", lambda made: str(made.parts.port) if made.parts.port is not None else ""),
        ("getEscapedPath", lambda made: made.parts.path),
    ):  # fmt: skip
        _method(functions, "kubernetes.URL", name, "", "string", part)
    _method(functions, "kubernetes.URL", "getQuery", "", "map(string, list(string))", Url.query)


def _method(functions: Functions, receiver: str, name: str, args: str, result: str, run: Callable[..., Any]) -> None:
    functions.add(f"{receiver}.{name}({args}): {result}", run)


# -- addresses -----------------------------------------------------------------------------------------------------------


class Ip(Opaque):
    type_name = "net.IP"

    def __init__(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        self.address = address

    def identity(self) -> Any:
        return self.address

    def __str__(self) -> str:
        return str(self.address)


class Cidr(Opaque):
    type_name = "net.CIDR"

    def __init__(self, interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface) -> None:
        self.interface = interface

    def identity(self) -> Any:
        return self.interface.ip, self.interface.network.prefixlen

    def __str__(self) -> str:
        return str(self.interface)


def ip(text: str) -> Ip:
    head = f"IP Address {go_quote(text)}"
    if "%" in text:
        raise EvalError(f"{head} with zone value is not allowed")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise EvalError(
            f"{head} parse error during conversion from string: ParseAddr({go_quote(text)}): unable to parse IP"
        ) from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise EvalError(f"IPv4-mapped IPv6 address {go_quote(text)} is not allowed")
    return Ip(address)


def cidr(text: str) -> Cidr:
    head = "network address parse error during conversion from string: "
    if "/" not in text:
        raise EvalError(f"{head}{head}netip.ParsePrefix({go_quote(text)}): no '/'")
    try:
        return Cidr(ipaddress.ip_interface(text))
    except ValueError:
        raise EvalError(f"{head}{head}netip.ParsePrefix({go_quote(text)}): unable to parse IP") from None


def _contains_ip(block: Cidr, address: Ip | str) -> bool:
    one = (ip(address) if isinstance(address, str) else address).address
    return one.version == block.interface.version and one in block.interface.network


def _contains_cidr(block: Cidr, other: Cidr | str) -> bool:
    inner = (cidr(other) if isinstance(other, str) else other).interface.network
    outer = block.interface.network
    return inner.version == outer.version and inner.prefixlen >= outer.prefixlen and (
        inner.network_address in outer
    )


def _is_global(value: Ip) -> bool:
    address = value.address
    return not (address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local) and (
        str(address) != "255.255.255.255"
    )


def _is_link_local_multicast(value: Ip) -> bool:
    address = value.address
    if address.version == 4:
        return address in ipaddress.ip_network("224.0.0.0/24")
    return address.is_multicast and (int(address) >> 112) & 0xF == 2


def _addresses(functions: Functions) -> None:
    on = functions.add
    on("ip(string): net.IP", ip)
    on("isIP(string): bool", _is(ip))
    on("::ip.isCanonical(string): bool", lambda text: str(ip(text)) == text)
    on("string(net.IP): string", str)
    for name, result, run in (
        ("family", "int", lambda value: value.address.version),
        ("isUnspecified", "bool", lambda value: value.address.is_unspecified),
        ("isLoopback", "bool", lambda value: value.address.is_loopback),
        ("isLinkLocalMulticast", "bool", _is_link_local_multicast),
        ("isLinkLocalUnicast", "bool", lambda value: value.address.is_link_local),
        ("isGlobalUnicast", "bool", _is_global),
    ):  # fmt: skip
        _method(functions, "net.IP", name, "", result, run)
    on("cidr(string): net.CIDR", cidr)
    on("isCIDR(string): bool", _is(cidr))
    on("string(net.CIDR): string", str)
    for argument in ("string", "net.IP"):
        _method(functions, "net.CIDR", "containsIP", argument, "bool", _contains_ip)
    for argument in ("string", "net.CIDR"):
        _method(functions, "net.CIDR", "containsCIDR", argument, "bool", _contains_cidr)
    _method(functions, "net.CIDR", "ip", "", "net.IP", lambda block: Ip(block.interface.ip))
    _method(functions, "net.CIDR", "masked", "", "net.CIDR", lambda block: Cidr(
        ipaddress.ip_interface(str(block.interface.network))))  # fmt: skip
    _method(functions, "net.CIDR", "prefixLength", "", "int", lambda block: block.interface.network.prefixlen)


# -- quantities ----------------------------------------------------------------------------------------------------------


class QuantityValue(Opaque):
    type_name = "kubernetes.Quantity"

    def __init__(self, quantity: Quantity) -> None:
        self.quantity = quantity

    def identity(self) -> Any:
        return self.quantity.nanos

    def __str__(self) -> str:
        return str(self.quantity)


def quantity(text: str) -> QuantityValue:
    try:
        return QuantityValue(parse_quantity(text))
    except QuantityError as error:
        raise EvalError(str(error)) from None


def _whole(value: QuantityValue) -> int:
    whole, rest = divmod(value.quantity.nanos, 10**9)
    if rest:
        raise EvalError("cannot convert value to integer")
    return integer(whole)


def _is_whole(value: QuantityValue) -> bool:
    return value.quantity.nanos % 10**9 == 0


def _compare(one: QuantityValue, other: QuantityValue) -> int:
    return int(one.identity() > other.identity()) - int(one.identity() < other.identity())


def _operand(value: QuantityValue | int) -> Quantity:
    return value.quantity if isinstance(value, QuantityValue) else parse_quantity(str(value))


def _quantities(functions: Functions) -> None:
    on = functions.add
    on("quantity(string): kubernetes.Quantity", quantity)
    on("isQuantity(string): bool", _is(quantity))
    for name, args, result, run in (
        ("asInteger", "", "int", _whole), ("isInteger", "", "bool", _is_whole),
        ("asApproximateFloat", "", "double", lambda value: value.quantity.nanos / 10**9),
        ("compareTo", "kubernetes.Quantity", "int", _compare),
        ("isGreaterThan", "kubernetes.Quantity", "bool", lambda a, b: _compare(a, b) > 0),
        ("isLessThan", "kubernetes.Quantity", "bool", lambda a, b: _compare(a, b) < 0),
        ("add", "kubernetes.Quantity", "kubernetes.Quantity", lambda a, b: QuantityValue(a.quantity + _operand(b))),
        ("add", "int", "kubernetes.Quantity", lambda a, b: QuantityValue(a.quantity + _operand(b))),
        ("sub", "kubernetes.Quantity", "kubernetes.Quantity", lambda a, b: QuantityValue(a.quantity - _operand(b))),
        ("sub", "int", "kubernetes.Quantity", lambda a, b: QuantityValue(a.quantity - _operand(b))),
    ):  # fmt: skip
        _method(functions, "kubernetes.Quantity", name, args, result, run)
    # Upstream declares this one as a plain function alone.
    on("sign(kubernetes.Quantity): int", lambda value: (value.identity() > 0) - (value.identity() < 0))


# -- versions ------------------------------------------------------------------------------------------------------------


class Semver(Opaque):
    type_name = "kubernetes.Semver"

    def __init__(self, numbers: tuple[int, int, int], before: tuple[str, ...], build: str) -> None:
        self.numbers = numbers
        self.before = before
        self.build = build

    def identity(self) -> Any:
        return self.numbers, self.before

    def order(self) -> Any:
        release = not self.before
        return self.numbers, release, [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.before]


_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)


def semver(text: str, normalize: bool = False) -> Semver:
    if normalize:
        text = _normalized(text)
    match = _SEMVER.fullmatch(text)
    if match is None:
        if text.partition("-")[0].count(".") < 2:
            raise EvalError("No Major.Minor.Patch elements found")
        raise EvalError(f"Invalid character(s) found in version {go_quote(text)}")
    before = tuple(match[4].split(".")) if match[4] else ()
    return Semver((int(match[1]), int(match[2]), int(match[3])), before, match[5] or "")


def _normalized(text: str) -> str:
    text = text.removeprefix("v")
    core, mark, rest = text, "", ""
    for sign in ("-", "+"):
        at = core.find(sign)
        if at >= 0:
            core, mark, rest = core[:at], sign, core[at + 1 :] + (mark + rest if mark else "")
    parts = [part.lstrip("0") or "0" for part in core.split(".")] if core else []
    return ".".join([*parts, *["0"] * (3 - len(parts))]) + (mark + rest if mark else "")


def _versions(functions: Functions) -> None:
    on = functions.add
    on("semver(string): kubernetes.Semver", semver)
    on("semver(string, bool): kubernetes.Semver", semver)
    on("isSemver(string): bool", _is(semver))

    def is_semver(text: str, normalize: bool) -> bool:
        return _is(lambda one: semver(one, normalize))(text)

    on("isSemver(string, bool): bool", is_semver)
    for at, name in enumerate(("major", "minor", "patch")):
        _method(functions, "kubernetes.Semver", name, "", "int", lambda value, at=at: value.numbers[at])
    one = "kubernetes.Semver"
    _method(functions, one, "compareTo", one, "int", lambda a, b: (a.order() > b.order()) - (a.order() < b.order()))
    _method(functions, one, "isLessThan", one, "bool", lambda a, b: a.order() < b.order())
    _method(functions, one, "isGreaterThan", one, "bool", lambda a, b: a.order() > b.order())


# -- formats -------------------------------------------------------------------------------------------------------------


class NamedFormat(Opaque):
    type_name = "kubernetes.NamedFormat"

    def __init__(self, name: str, check: Callable[[str], list[str]]) -> None:
        self.name = name
        self.check = check

    def identity(self) -> str:
        return self.name


def _simple(test: Callable[[str], bool], complaint: str) -> Callable[[str], list[str]]:
    return lambda text: [] if test(text) else [complaint]


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _uri_complaints(text: str) -> list[str]:
    try:
        url(text)
    except EvalError as error:
        return [str(error).removeprefix("URL parse error during conversion from string: ")]
    return []


_FORMATS: dict[str, Callable[[str], list[str]]] = {
    "dns1123Label": names.dns1123_label, "dns1123Subdomain": names.dns1123_subdomain,
    "dns1035Label": names.dns1035_label, "qualifiedName": names.qualified_name, "labelValue": names.label_value,
    "dns1123LabelPrefix": lambda text: names.dns1123_label(names.mask_trailing_dash(text)),
    "dns1123SubdomainPrefix": lambda text: names.dns1123_subdomain(names.mask_trailing_dash(text)),
    "dns1035LabelPrefix": lambda text: names.dns1035_label(names.mask_trailing_dash(text)),
    "uri": _uri_complaints, "uuid": _simple(FORMATS["uuid"], "does not match the UUID format"),
    "byte": _simple(_is_base64, "invalid base64"), "date": _simple(FORMATS["date"], "invalid date"),
    "datetime": _simple(FORMATS["datetime"], "invalid datetime"),
}  # fmt: skip


def _named(name: str) -> Optional:
    return some(NamedFormat(name, _FORMATS[name])) if name in _FORMATS else NONE


def _authorizer(functions: Functions) -> None:
    """Declared everywhere; the variable ``authorizer`` exists only where a request is judged. What it does is the
    value's own doing."""
    base = "kubernetes.authorization."
    for receiver, name, args, result in (
        ("Authorizer", "path", "string", "PathCheck"), ("Authorizer", "group", "string", "GroupCheck"),
        ("Authorizer", "serviceAccount", "string, string", "Authorizer"),
        ("GroupCheck", "resource", "string", "ResourceCheck"), ("ResourceCheck", "subresource", "string", "ResourceCheck"),
        ("ResourceCheck", "namespace", "string", "ResourceCheck"), ("ResourceCheck", "name", "string", "ResourceCheck"),
        ("ResourceCheck", "fieldSelector", "string", "ResourceCheck"),
        ("ResourceCheck", "labelSelector", "string", "ResourceCheck"),
        ("PathCheck", "check", "string", "Decision"), ("ResourceCheck", "check", "string", "Decision"),
    ):  # fmt: skip
        _method(functions, base + receiver, name, args, base + result,
                lambda value, *given, name=name: getattr(value, name)(*given))
    for name, result in (("allowed", "bool"), ("reason", "string"), ("errored", "bool"), ("error", "string")):
        _method(functions, base + "Decision", name, "", result, lambda value, name=name: getattr(value, name))


def _validate(form: NamedFormat, text: str) -> Optional:
    found = form.check(text)
    return some(list(found)) if found else NONE


def _formats(functions: Functions) -> None:
    for name, check in _FORMATS.items():
        functions.add(f"::format.{name}(): kubernetes.NamedFormat", lambda form=NamedFormat(name, check): form)
    functions.add("::format.named(string): optional(kubernetes.NamedFormat)", _named)
    _method(functions, "kubernetes.NamedFormat", "validate", "string", "optional(list(string))", _validate)

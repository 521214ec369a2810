"""Resource quantities: exact numbers with a suffix, printed in one canonical form.

A quantity is an exact decimal plus the family of suffixes it was written in (`1Gi`, `1G` and `1e9` stay apart when
printed but compare as numbers). The number is kept as an integer of nano units, the finest the API knows; finer parts
are rounded up, as the API promises never to give less than asked. Canonical form: the largest suffix that leaves an
integer mantissa.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache, total_ordering
from typing import Final

_NANO: Final = 10**9
_MAX: Final = (2**63 - 1) * _NANO
FORMAT_ERROR: Final = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
SUFFIX_ERROR: Final = "unable to parse quantity's suffix"
NUMBER_ERROR: Final = "unable to parse numeric part of quantity"

_SHAPE = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_NAMES: Final = {exponent: name for name, exponent in _DECIMAL.items()}
_BINARY_NAMES: Final = {shift: name for name, shift in _BINARY.items()}

DECIMAL_SI, BINARY_SI, DECIMAL_EXPONENT = "DecimalSI", "BinarySI", "DecimalExponent"


class QuantityError(ValueError):
    """The text is no quantity; the message is what the API answers."""


@total_ordering
class Quantity:
    """An exact amount. `nanos` is the number in units of 10⁻⁹; equality and order ignore the format."""

    __slots__ = ("format", "nanos")

    def __init__(self, nanos: int, format: str = DECIMAL_SI) -> None:
        self.nanos = nanos
        self.format = format

    @classmethod
    def of(cls, value: int, format: str = DECIMAL_SI) -> Quantity:
        return cls(value * _NANO, format)

    @classmethod
    def of_milli(cls, value: int, format: str = DECIMAL_SI) -> Quantity:
        return cls(value * (_NANO // 1000), format)

    def value(self) -> int:
        """The amount in whole units, rounded away from zero."""
        return _round_up(self.nanos, _NANO)

    def milli_value(self) -> int:
        return _round_up(self.nanos, _NANO // 1000)

    def is_zero(self) -> bool:
        return self.nanos == 0

    def sign(self) -> int:
        return (self.nanos > 0) - (self.nanos < 0)

    def as_float(self) -> float:
        return self.nanos / _NANO

    def __add__(self, other: Quantity) -> Quantity:
        # A zero has no opinion about the format of a sum.
        return Quantity(self.nanos + other.nanos, other.format if self.nanos == 0 else self.format)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos - other.nanos, other.format if self.nanos == 0 else self.format)

    def __neg__(self) -> Quantity:
        return Quantity(-self.nanos, self.format)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nanos == other.nanos

    def __lt__(self, other: Quantity) -> bool:
        return self.nanos < other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __bool__(self) -> bool:
        return self.nanos != 0

    def __str__(self) -> str:
        return _canonical(self.nanos, self.format)

    def __repr__(self) -> str:
        return f"Quantity({str(self)!r})"


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) if number >= 0 else number // unit


@lru_cache(maxsize=4096)
def _parse(text: str) -> Quantity:
    if not text:
        raise QuantityError(FORMAT_ERROR)
    if text == "0":
        return Quantity(0)
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise QuantityError(FORMAT_ERROR)
    sign, whole, fraction, suffix = match.group(1), match.group(2), match.group(3) or "", match.group(4)
    if not whole and not fraction:
        raise QuantityError(NUMBER_ERROR if suffix in _DECIMAL or suffix in _BINARY else FORMAT_ERROR)
    digits = int((whole or "0") + fraction)
    if suffix in _BINARY:
        format, numerator = BINARY_SI, digits * _NANO << _BINARY[suffix]
        scale = -len(fraction)
    else:
        if suffix in _DECIMAL:
            format, exponent = DECIMAL_SI, _DECIMAL[suffix]
        elif suffix[0] in "eE" and re.fullmatch(r"[-+]?[0-9]+", suffix[1:]):
            format, exponent = DECIMAL_EXPONENT, int(suffix[1:])
            if abs(exponent) > 2**31:
                raise QuantityError(SUFFIX_ERROR)
        else:
            raise QuantityError(SUFFIX_ERROR)
        numerator = digits
        scale = exponent - len(fraction) + 9
    if digits == 0:
        return Quantity(0, format)
    if scale >= 0:
        # Past the largest amount the digits no longer matter: it is capped.
        nanos = numerator * 10 ** min(scale, 64)
    elif scale < -4096:
        nanos = 1
    else:
        nanos = -(-numerator // 10**-scale)
    nanos = min(nanos, _MAX)
    return Quantity(-nanos if sign == "-" else nanos, format)


def parse_quantity(text: str | int | float) -> Quantity:
    """Parse what manifests hold: a string, or a bare number."""
    if isinstance(text, bool):
        raise QuantityError(FORMAT_ERROR)
    return _parse(text if isinstance(text, str) else repr(text) if isinstance(text, float) else str(text))


@lru_cache(maxsize=4096)
def canonical_quantity(text: str | int | float) -> str:
    """The text the API stores for `text`."""
    return str(parse_quantity(text))


def sum_quantities(amounts: Iterable[Quantity]) -> Quantity:
    total = Quantity(0)
    for amount in amounts:
        total = total + amount
    return total


def _canonical(nanos: int, format: str) -> str:
    if nanos == 0:
        return "0"
    sign = "-" if nanos < 0 else ""
    number = abs(nanos)
    if format == BINARY_SI:
        if number % _NANO == 0 and number >= 1024 * _NANO:
            whole, shift = number // _NANO, 0
            while shift < 60 and whole & 1023 == 0:
                whole >>= 10
                shift += 10
            return f"{sign}{whole}{_BINARY_NAMES.get(shift, '')}"
        # Below one unit of Ki, and with parts of a unit, binary suffixes say nothing: decimal ones are used.
        format = DECIMAL_SI if number < 1024 * _NANO or number % _NANO else format
    exponent = -9
    while exponent < 18 and number % 1000 == 0:
        number //= 1000
        exponent += 3
    if format == DECIMAL_EXPONENT:
        return f"{sign}{number}e{exponent}" if exponent else f"{sign}{number}"
    return f"{sign}{number}{_DECIMAL_NAMES[exponent]}"

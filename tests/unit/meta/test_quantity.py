"""Quantities: canonical text, exact numbers, refusals."""

from __future__ import annotations

import pytest

from machinery.meta.quantity import FORMAT_ERROR, Quantity, QuantityError, parse_quantity


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"), ("0.5", "500m"), ("1500m", "1500m"), ("1000m", "1"), ("1Gi", "1Gi"), ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"), ("0.5Gi", "512Mi"), ("1.5Gi", "1536Mi"), ("1000", "1k"), ("1024", "1024"),
        ("100k", "100k"), ("1e3", "1e3"), ("1E", "1E"), ("12e6", "12e6"), ("1.5e3", "1500"), ("0.1n", "1n"),
        ("100000u", "100m"), ("-0.5", "-500m"), ("+1", "1"), ("1Ki", "1Ki"), ("0.5Ki", "512"), ("1.", "1"),
        (".5", "500m"), ("1M", "1M"), ("1000000", "1M"), ("999999999999999999999", "9223372036854775807"),
        ("0Gi", "0"), ("00010", "10"), ("123456789123", "123456789123"), ("1e-3", "1e-3"), ("0.5Mi", "512Ki"),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert str(parse_quantity(text)) == canonical


@pytest.mark.parametrize("text", ["", "a", "1.2.3", "1 Gi", "Gi", "1GiB", "--1", "1e", "1KiB", "0x10", "٣"])
def test_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_quantity(text)


def test_the_words_of_a_refusal() -> None:
    with pytest.raises(QuantityError) as caught:
        parse_quantity("1 Gi")
    assert str(caught.value) == FORMAT_ERROR


def test_numbers() -> None:
    assert parse_quantity("1500m").value() == 2
    assert parse_quantity("-1500m").value() == -2
    assert parse_quantity("1500m").milli_value() == 1500
    assert parse_quantity("100u").milli_value() == 1
    assert parse_quantity("1Gi").value() == 1 << 30
    assert parse_quantity(3).value() == 3
    assert parse_quantity("1Gi") > parse_quantity("1G")
    assert parse_quantity("1") == parse_quantity("1000m")
    assert str(parse_quantity("1Gi") + parse_quantity("512Mi")) == "1536Mi"
    assert str(Quantity(0) + parse_quantity("1Mi")) == "1Mi"
    assert str(parse_quantity("2") - parse_quantity("500m")) == "1500m"
    assert str(Quantity.of_milli(250)) == "250m"

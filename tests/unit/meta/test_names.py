"""Name rules: what passes, what does not, and in which words."""

from __future__ import annotations

import pytest

from machinery.meta import names


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (names.dns1123_label, ["a", "a-b", "0x"], ["", "-a", "A", "a.b", "a_b", "a" * 64]),
        (names.dns1123_subdomain, ["a.b", "0", "a-b.c"], ["", ".a", "a..b", "A", "a" * 254]),
        (names.dns1035_label, ["a", "a-1"], ["1a", "", "a-", "a.b"]),
        (names.label_value, ["", "A_b.c-1"], ["-", "a b", "x" * 64]),
        (names.qualified_name, ["a", "example.com/My.Name", "x_y"], ["", "/a", "a/", "a/b/c", "A.com/x", "-"]),
        (names.config_map_key, ["a.txt", ".x", "_"], ["", ".", "..", "..a", "a b"]),
        (names.port_name, ["http", "a-1"], ["", "1", "a--b", "-a", "A", "x" * 16]),
        (names.path_segment, ["system:x", "A b"], [".", "..", "a/b", "a%"]),
        (names.env_var_name, ["A", "a.b", "9x", "é"[:0] or "x y"], ["", "a=b", "é"]),
        (names.percent, ["1%", "100%"], ["1", "%", "-1%"]),
        (names.wildcard_dns1123_subdomain, ["*.a.b"], ["a", "*", "*.A"]),
        (names.http_header_name, ["X-A"], ["a b", ""]),
    ],
)
def test_names(check: names.NameCheck, good: list[str], bad: list[str]) -> None:
    assert [name for name in good if check(name)] == []
    assert [name for name in bad if not check(name)] == []


def test_words() -> None:
    assert names.dns1123_label("a.b") == ["must not contain dots"]
    assert names.dns1123_label("-" * 64)[0] == "must be no more than 63 characters"
    assert names.qualified_name("/a") == ["prefix part must be non-empty"]
    assert names.dns1123_label("A")[0].endswith(
        "(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')")


def test_generated_prefixes_may_end_in_a_dash() -> None:
    assert names.dns1123_subdomain(names.mask_trailing_dash("web-")) == []

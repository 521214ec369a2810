"""What is said of a text that is no JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.endpoints.json_errors import json_offence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "unexpected end of JSON input"),
        ('{"a":', "unexpected end of JSON input"),
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        ('{"a":1}{"b"', "invalid character '{' after top-level value"),
        ("{'a'", "invalid character '\\'' looking for beginning of object key string"),
        ("nope", "invalid character 'o' in literal null (expecting 'u')"),
        ("[1 2]", "invalid character '2' after array element"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ("-x", "invalid character 'x' in numeric literal"),
        ('"\n"', "invalid character '\\n' in string literal"),
    ],
)
def test_the_first_offence(text: str, said: str) -> None:
    assert json_offence(text.encode()) == said


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c))


@given(JSON)
def test_json_has_no_offence(value: object) -> None:
    assert json_offence(json.dumps(value).encode()) == ""


@given(JSON, st.integers(0, 200))
def test_it_agrees_with_a_parser_about_cut_texts(value: object, at: int) -> None:
    text = json.dumps(value)[:at]
    try:
        json.loads(text)
        broken = False
    except ValueError:
        broken = True
    assert bool(json_offence(text.encode())) == broken

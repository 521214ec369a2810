"""CEL by what expressions give, what is refused, and what they cost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver.cel.costs import ENDLESS, estimate
from apiserver.cel.environment import Environment
from apiserver.cel.syntax import Mistake
from apiserver.cel.types import DYN, INT, Type, list_of, optional_of
from apiserver.cel.values import Duration, EvalError, Timestamp, UInt, some

OBJECT = Type("object", fields={"amount": INT, "name": Type("string", size=80), "namespace": Type("string", size=80)})
ENVIRONMENT = Environment({
    "self": OBJECT, "words": list_of(Type("string", size=400), size=2000), "any": DYN, "old": optional_of(INT),
})  # fmt: skip
VALUES = {
    "self": {"amount": 3, "name": "orchid", "namespace": "n"}, "words": ["a", "b"], "any": {"k": [1, 2]}, "old": some(7),
}  # fmt: skip


def run(source: str):
    return ENVIRONMENT.compile(source).run(VALUES)


@pytest.mark.parametrize(("source", "wanted"), [
    ("1 + 2 * 3", 7), ("-7 / 2", -3), ("-7 % 3", -1), ("7.0 / 2.0", 3.5), ("0x1F", 31), ("1u + 2u", UInt(3)),
    ("'a' + \"b\"", "ab"), ("b'ab'", b"ab"), ("r'\\d'", "\\d"), ("'''x\ny'''", "x\ny"), ("'\\u00e9'", "é"),
    ("self.amount > 2 ? 'more' : 'less'", "more"), ("has(self.name) && self.name.startsWith('or')", True),
    ("self.__namespace__", "n"), ("self.namespace", "n"),
    ("[1, 2, 3].filter(x, x % 2 == 1)", [1, 3]), ("[1, 2].map(x, x > 1, x * 10)", [20]),
    ("{'a': 1, 'b': 2}.exists(k, k == 'b')", True), ("[1, 2].exists_one(x, x > 1)", True),
    ("{'a': 1}.transformMap(k, v, v + 1)", {"a": 2}), ("[1, 2].transformList(i, v, i + v)", [1, 3]),
    ("2 in [1, 2] && 'a' in {'a': 1}", True), ("any.k[1]", 2), ("any[?'z'].orValue(4)", 4), ("old.value()", 7),
    ("old.optMap(x, x + 1).orValue(0)", 8), ("timestamp('2026-01-01T00:00:00Z') + duration('1h')",
                                              Timestamp(1767229200 * 10**9)),
    ("duration('1h30m').getMinutes()", 90), ("duration('90s')", Duration(90 * 10**9)),
    ("type(1) == int && type('a') == string", True), ("'%d of %s'.format([3, ['a', 'b']])", '3 of ["a", "b"]'),
    ("'a,b'.split(',').join('-')", "a-b"), ("quantity('1Gi').isGreaterThan(quantity('1G'))", True),
    ("cidr('10.0.0.0/8').containsIP('10.1.2.3')", True), ("ip('::1').isLoopback()", True),
    ("url('https://a.b:8443/c').getPort()", "8443"), ("semver('1.2.3-a').isLessThan(semver('1.2.3'))", True),
    ("format.dns1123Label().validate('A').hasValue()", True), ("sets.intersects([1], [1, 2])", True),
    ("'abc 12'.find('[0-9]+')", "12"), ("[3, 1].isSorted()", False), ("[1, 2].sum()", 3),
])  # fmt: skip
def test_values(source: str, wanted: object) -> None:
    found = run(source)
    assert found == wanted and type(found) is type(wanted)


@pytest.mark.parametrize(("source", "complaint"), [
    ("1 / (self.amount - 3) == 1", "division by zero"), ("[1][5] == 1", "index out of bounds: 5"),
    ("any.none", "no such key: none"), ("9223372036854775807 + self.amount > 0", "integer overflow"),
    ("int(self.name) == 1", "type conversion error from 'string' to 'int'"), ("dyn('x') > 3", "no such overload"),
    ("optional.none().value() == 1", "optional.none() dereference"), ("[0].all(x, 1 / x == 1)", "division by zero"),
])  # fmt: skip
def test_failures(source: str, complaint: str) -> None:
    with pytest.raises(EvalError, match=complaint.replace("(", r"\(").replace(")", r"\)")):
        run(source)


def test_an_error_is_absorbed_by_the_side_that_decides() -> None:
    assert run("1 / 0 == 1 || true") is True
    assert run("false && 1 / 0 == 1") is False
    assert run("[0, 1].exists(x, 1 / x == 1)") is True


@pytest.mark.parametrize(("source", "place", "complaint"), [
    ("self ==", "1:8", "Syntax error: mismatched input '<EOF>' expecting {'[', "),
    ("self.amount)", "1:12", "Syntax error: extraneous input ')' expecting <EOF>"),
    ("nope == 1", "1:1", "undeclared reference to 'nope' (in container '')"),
    ("self.weight > 1", "1:5", "undefined field 'weight'"),
    ("self.amount + self.name == 3", "1:13", "found no matching overload for '_+_' applied to '(int, string)'"),
    ("self.name.frob()", "1:15", "undeclared reference to 'frob' (in container '')"),
    ("has(self)", "1:5", "invalid argument to has() macro"),
    ("[1, 'a'].size() == 2", "1:5", "expected type 'int' but found 'string'"),
    ("self.name.matches('[a')", "1:19", "invalid matches argument"),
    ("true &&\n  nope", "2:3", "undeclared reference to 'nope' (in container '')"),
])  # fmt: skip
def test_mistakes_are_told_with_their_place(source: str, place: str, complaint: str) -> None:
    with pytest.raises(Mistake) as caught:
        ENVIRONMENT.compile(source)
    assert str(caught.value).startswith(f"ERROR: <input>:{place}: {complaint}")


def test_costs_follow_the_sizes() -> None:
    def most(source: str) -> int:
        return estimate(ENVIRONMENT.compile(source).root).most

    assert most("self.amount > 1") < 5
    assert most("words.all(x, words.all(y, y != x))") == 180_010_002
    assert most("any.a.all(x, x == any.b)") == ENDLESS
    assert most("'%d'.format([self.amount])") < 50 < most("string(self.amount) + 'x' == 'y'")


@pytest.mark.parametrize("source", ["(" * 5000 + "1" + ")" * 5000, "+".join(["1"] * 5000), "!" * 5000 + "true"])
def test_deep_expressions_are_refused_not_walked(source: str) -> None:
    with pytest.raises(Mistake, match="recursion limit exceeded"):
        ENVIRONMENT.compile(source)


@pytest.mark.timeout(5)
def test_no_pattern_can_stop_the_server() -> None:
    text = "a" * 20_000 + "b"
    assert ENVIRONMENT.compile("any.matches('^(a+)+$')").run({"any": text}) is False
    assert ENVIRONMENT.compile("string(any).find('^(a+)+$')").run({"any": text}) == ""
    with pytest.raises(EvalError, match="error parsing regexp"):
        ENVIRONMENT.compile("'x'.matches(any)").run({"any": "(?!x)"})


def test_a_run_cannot_loop_for_ever() -> None:
    source = "lists.range(1000).all(x, lists.range(1000).all(y, lists.range(1000).all(z, true)))"
    with pytest.raises(EvalError, match="actual cost limit exceeded"):
        run(source)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="self.amount()[]{}'\"<>=!&|?:+-*/%,0123456789abx \\\n`", max_size=40))
def test_any_text_is_compiled_or_refused(source: str) -> None:
    try:
        program = ENVIRONMENT.compile(source)
    except Mistake as mistake:
        assert str(mistake).startswith("ERROR: <input>:")
        return
    try:
        program.run(VALUES)
    except EvalError as error:
        assert str(error)

"""The language, by tables after cel-spec's `tests/simple`."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.unit.lib.cel.speaking import ENVIRONMENT, evaluated, value

from kybern.lib.cel.source import CompileError
from kybern.lib.cel.values import CostExceeded, EvalError, UInt

TRUE = """
1 + 2 * 3 == 7
(1 + 2) * 3 == 9
7 / 2 == 3 && -7 / 2 == -3
7 % 3 == 1 && -7 % 3 == -1
7u / 2u == 3u
1.5 + 1.5 == 3.0
- -3 == 3
!false && !!true
1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && 1 != 2
1 < 1.5 && 1u < 2 && 2.0 >= 1u
'a' < 'b' && b'a' < b'b'
'a' + 'b' == "ab"
[1] + [2] == [1, 2]
1 in [1, 2] && !('c' in ['a', 'b'])
'a' in {'a': 1}
{'a': 1} == {'a': 1} && {'a': 1} != {'a': 2}
dyn(1) == dyn(1u) && dyn(1) == dyn(1.0) && dyn(1) != dyn('1')
dyn(true) != dyn(1)
dyn([1, 2]) == dyn([1.0, 2.0])
{1: 'a'}[1] == 'a' && {true: 'b'}[true] == 'b'
[1, 2, 3][1] == 2
{'a': {'b': 1}}.a.b == 1
has({'a': 1}.a) && !has({'a': 1}.b)
true ? 1 == 1 : 1 / 0 == 0
false && 1 / 0 == 0 || true
1 / 0 == 0 || true
!(1 / 0 == 0 && false)
[1, 2].all(x, x > 0) && ![1, 2].all(x, x > 1)
[0, 1].exists(x, 1 / x == 1)
![0, 2].all(x, 2 / x == 0 && x == 0)
[].all(x, x == 1) && ![].exists(x, x == 1)
[1, 2, 2].exists_one(x, x == 1) && ![1, 2, 2].exists_one(x, x == 2)
[1, 2, 3].filter(x, x > 1) == [2, 3]
[1, 2, 3].map(x, x * 2) == [2, 4, 6]
[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]
{'a': 1, 'b': 2}.all(k, k < 'c')
{'a': 1}.map(k, k + 'x') == ['ax']
[[1, 2], [3]].all(row, row.all(cell, row.exists(x, x == cell)))
[3, 4].all(i, v, v == i + 3)
{'a': 1}.exists(k, v, k == 'a' && v == 1)
[1, 2].existsOne(i, v, v == 2)
[3, 4].transformList(i, v, i + v) == [3, 5]
{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v * 10) == {'b': 20}
{'a': 'b'}.transformMapEntry(k, v, {v: k}) == {'b': 'a'}
size('äöü') == 3 && size([1]) == 1 && size({'a': 1}) == 1 && 'abc'.size() == 3 && size(b'ä') == 2
type(1) == int && type('a') == string && type([]) == list && type(type(1)) == type
type(1u) != type(1) && type(null) == null_type
int('42') == 42 && int(4.9) == 4 && int(-4.9) == -4 && uint(3) == 3u && double(1) == 1.0
string(1) == '1' && string(1.5) == '1.5' && string(true) == 'true' && string(b'a') == 'a'
string(1e30) == '1e+30' && string(100000.0) == '100000' && string(0.0001) == '0.0001'
bool('true') && !bool('0') && bytes('a') == b'a'
'abc'.contains('b') && 'abc'.startsWith('ab') && 'abc'.endsWith('bc') && 'abc'.matches('^a.c$')
matches('foo123', '[a-z]+[0-9]+') && 'x'.matches('[[:alpha:]]')
timestamp('2026-01-02T03:04:05Z').getFullYear() == 2026
timestamp('2026-01-02T03:04:05.5Z').getMilliseconds() == 500
timestamp('2026-01-02T23:04:05Z').getDate('+02:00') == 3
timestamp('2026-01-04T00:00:00Z').getDayOfWeek() == 0
timestamp('2026-01-02T03:04:05Z').getHours('Europe/Berlin') == 4
timestamp('2026-01-02T03:04:05Z') + duration('1h') == timestamp('2026-01-02T04:04:05Z')
timestamp('2026-01-02T03:04:05Z') - timestamp('2026-01-02T03:04:04Z') == duration('1s')
duration('1h30m').getMinutes() == 90 && duration('-1.5s').getMilliseconds() == -1500
string(duration('90s')) == '90s' && string(timestamp(0)) == '1970-01-01T00:00:00Z'
int(timestamp('1970-01-01T00:01:00Z')) == 60
"\\x41\\u00e4\\n\\101" == 'Aä\\nA' && r'\\n' == '\\\\n' && '''a'b''' == "a'b"
b'\\xff' == b'\\377'
0x1F == 31 && 0x1Fu == 31u && 1e3 == 1000.0 && .5 == 0.5
optional.of(1).hasValue() && !optional.none().hasValue()
optional.none().orValue(2) == 2 && optional.of(1).or(optional.of(2)).value() == 1
{'a': {'b': 1}}.?a.?b.orValue(0) == 1 && {'a': {'b': 1}}.?x.b.orValue(0) == 0
[1][?0].value() == 1 && ![1][?5].hasValue() && {'a': 1}[?'b'].orValue(7) == 7
optional.of(2).optMap(x, x * 2).value() == 4 && !optional.none().optMap(x, x).hasValue()
optional.of(2).optFlatMap(x, optional.of(x + 1)).value() == 3
[?optional.of(1), ?optional.none(), 2] == [1, 2] && {?'a': optional.none()} == {}
!optional.ofNonZeroValue('').hasValue() && optional.ofNonZeroValue(1).hasValue()
sets.contains([1, 2, 3], [3, 1]) && sets.equivalent([1, 1], [1]) && sets.intersects([1], [2, 1])
'abc'.charAt(1) == 'b' && 'abca'.indexOf('a', 1) == 3 && 'abca'.lastIndexOf('a') == 3
['a', 'b'].join('-') == 'a-b' && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'ab'.split('') == ['a', 'b']
'ABC'.lowerAscii() == 'abc' && 'äb'.upperAscii() == 'äB' && ' a '.trim() == 'a'
'abab'.replace('b', 'x', 1) == 'axab' && 'abc'.substring(1) == 'bc' && 'abc'.substring(0, 2) == 'ab'
'%s: %d of %x, %.2f'.format([dyn('n'), 3, 255, 1.5]) == 'n: 3 of ff, 1.50'
'%s'.format([[dyn(1), 'a', null, true]]) == '[1, a, null, true]' && '%%'.format([]) == '%'
strings.quote('a"b') == '"a\\\\"b"'
-9223372036854775808 < 0 && 18446744073709551615u > 0u
true || d.x.y.z // a comment
point.x == 3 && point.tags[0] == 'a' && has(point.name)
"""


@pytest.mark.parametrize("text", TRUE.strip().splitlines())
def test_is_true(text: str) -> None:
    point = {"x": 3, "name": "p", "tags": ["a"]}
    assert value(text, d={}, point=point) is True


ERRORS = {
    "1 / 0": "division by zero",
    "1 % 0": "modulus by zero",
    "9223372036854775807 + 1": "integer overflow",
    "-9223372036854775808 - 1": "integer overflow",
    "9223372036854775807 * 2": "integer overflow",
    "-n": "integer overflow",
    "0u - 1u": "unsigned integer overflow",
    "18446744073709551615u + 1u": "unsigned integer overflow",
    "uint(-1)": "unsigned integer overflow",
    "int(1e30)": "integer overflow",
    "{'a': 1}.b": "no such key: b",
    "{'a': 1}['b']": "no such key: b",
    "[1][1]": "index out of bounds: 1",
    "[1][-1]": "index out of bounds: -1",
    "d.x": "no such overload",
    "d + 'a'": "no such overload",
    "d && true": "no such overload",
    "d.all(x, true)": "no such overload",
    "{'a': 1, 'a': 2}": "Failed with repeated key: a",
    "optional.none().value()": "optional.none() dereference",
    "int('x')": 'strconv.ParseInt: parsing "x": invalid syntax',
    "'abc'.charAt(9)": "index out of range: 9",
    "'abc'.substring(2, 1)": "invalid substring range. start: 2, end: 1",
    "'%d'.format(['a'])": (
        "error during formatting: decimal clause can only be used on integers, was given string"
    ),
    "'a'.matches(s)": "error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
    "{'a': 1}.transformMapEntry(k, v, dyn(v))": "no such overload",
    "1 / 0 == 0 && true": "division by zero",
    "1 / 0 == 0 || false": "division by zero",
    "[0].all(x, 1 / x == 1)": "division by zero",
    "duration('1' + s + 'h')": 'time: invalid duration "1(?=a)h"',
    "'%.9999999999f'.format([1.0])": (
        "could not parse formatting clause: error parsing precision: value out of range"
    ),
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text: str) -> None:
    with pytest.raises(EvalError) as error:
        value(text, d=1, n=-(1 << 63), s="(?=a)")
    assert str(error.value) == ERRORS[text]


REFUSED = {
    "x": (1, "undeclared reference to 'x' (in container '')"),
    "x.y.z": (1, "undeclared reference to 'x' (in container '')"),
    "f(1)": (2, "undeclared reference to 'f' (in container '')"),
    "s.f(1)": (4, "undeclared reference to 'f' (in container '')"),
    "n + s": (3, "found no matching overload for '_+_' applied to '(int, string)'"),
    "n > '1'": (3, "found no matching overload for '_>_' applied to '(int, string)'"),
    "1 == 1.0": (3, "found no matching overload for '_==_' applied to '(int, double)'"),
    "n && true": (3, "found no matching overload for '_&&_' applied to '(int, bool)'"),
    "n ? 1 : 2": (3, "found no matching overload for '_?_:_' applied to '(int, int, int)'"),
    "!n": (1, "found no matching overload for '!_' applied to '(int)'"),
    "-u": (1, "found no matching overload for '-_' applied to '(uint)'"),
    "names[s]": (
        6, "found no matching overload for '_[_]' applied to '(list(string), string)'",
    ),
    "n in names": (3, "found no matching overload for '@in' applied to '(int, list(string))'"),
    "s.startsWith(n)": (
        13, "found no matching overload for 'startsWith' applied to 'string.(int)'",
    ),
    "point.y": (6, "undefined field 'y'"),
    "has(point.y)": (4, "undefined field 'y'"),
    "point.x.y": (8, "type 'int' does not support field selection"),
    "[1, 'a']": (5, "expected type 'int' but found 'string'"),
    "{'a': 1, 'b': 'c'}": (15, "expected type 'int' but found 'string'"),
    "n.all(x, true)": (
        1,
        "expression of type 'int' cannot be range of a comprehension "
        "(must be list, map, or dynamic)",
    ),
    "names.all(x, x)": (10, "found no matching overload for '_&&_' applied to '(bool, string)'"),
    "names.all(n.x, true)": (12, "argument must be a simple name"),
    "has(n)": (5, "invalid argument to has() macro"),
    "for": (1, "reserved identifier: for"),
    "9223372036854775808": (1, "invalid int literal"),
    "18446744073709551616u": (1, "invalid uint literal"),
    "duration('x')": (10, "invalid duration argument"),
    "timestamp('x')": (11, "invalid timestamp argument"),
    "s.matches('(')": (11, "invalid matches argument"),
    "1 1": (3, "Syntax error: mismatched input '1' expecting <EOF>"),
    "(1": (3, "Syntax error: mismatched input '<EOF>' expecting ')'"),
    "1 # 2": (3, "Syntax error: token recognition error at: '#'"),
    "Point{x: 1}": (6, "undeclared reference to 'Point' (in container '')"),
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_refusals(text: str) -> None:
    column, message = REFUSED[text]
    with pytest.raises(CompileError) as error:
        ENVIRONMENT.compile(text)
    mark = "." * (column - 1) + "^"
    assert str(error.value) == f"ERROR: <input>:1:{column}: {message}\n | {text}\n | {mark}"


def test_every_error_is_shown_at_its_line() -> None:
    with pytest.raises(CompileError) as error:
        ENVIRONMENT.compile("x &&\n  y")
    assert str(error.value) == (
        "ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x &&\n | ^\n"
        "ERROR: <input>:2:3: undeclared reference to 'y' (in container '')\n |   y\n | ..^"
    )


TYPES = {
    "1": "int", "d": "dyn", "d.x": "dyn", "d.x == 1": "bool", "'a' + d": "string",
    "[1]": "list(int)", "{'a': [1u]}": "map(string, list(uint))", "[]": "list(dyn)",
    "names.map(x, size(x))": "list(int)", "labels.?a": "optional_type(string)",
    "d ? 1 : 2": "int", "[null, point]": "list(Point)", "optional.none()": "optional_type(dyn)",
    "type(1)": "type(int)", "d.x + d.y": "dyn", "timestamp(0) - timestamp(0)": "duration",
    "[1].map(x, [x])[0][0]": "int", "labels['a']": "string", "names[?0].orValue('')": "string",
}  # fmt: skip


@pytest.mark.parametrize("text", TYPES)
def test_types(text: str) -> None:
    assert str(ENVIRONMENT.compile(text).type) == TYPES[text]


COSTS = {
    "1": 0, "n": 1, "point.x": 2, "n + 1": 2, "n == 1": 2, "has(d.a)": 1, "[n]": 11, "{'a': n}": 31,
    "names.all(x, true)": 1 + 3 * 2 + 1, "names.exists(x, false)": 1 + 4 * 2 + 1,
    "names.map(x, x)": 1 + 13 * 2 + 1, "s.startsWith('aaaaaaaaaaa')": 3, "s + s": 2 + 4,
    "s.contains('a')": 1 + 2, "true || n == 1": 0, "n in [1, 2, 3]": 4,
}  # fmt: skip


@pytest.mark.parametrize("text", COSTS)
def test_costs(text: str) -> None:
    values = {"n": 2, "s": "b" * 20, "names": ["a", "b"], "d": {}, "point": {"x": 1}}
    assert evaluated(text, **values)[1] == COSTS[text]


def test_what_costs_too_much_is_stopped() -> None:
    program = ENVIRONMENT.compile("names.all(a, names.all(b, names.all(c, a + b != c)))")
    values = {"names": [str(index) for index in range(100)]}
    with pytest.raises(CostExceeded, match="operation cancelled: actual cost limit exceeded"):
        program.evaluate(values, 10_000)
    doubling = "[s].map(a, a + a).map(a, a + a).map(a, a + a)"
    with pytest.raises(CostExceeded):
        ENVIRONMENT.compile(doubling).evaluate({"s": "x" * 100_000}, 10_000)


def test_programs_know_what_they_speak_of() -> None:
    program = ENVIRONMENT.compile("n > 1 && names.all(d, d != s)")
    assert program.uses == {"n", "names", "s", "d"}


def test_infinities() -> None:
    assert value("1.0 / 0.0") == math.inf
    assert value("-1.0 / 0.0") == -math.inf
    assert math.isnan(value("0.0 / 0.0"))
    assert value("dyn(0.0 / 0.0) == dyn(0.0 / 0.0)") is False


def test_kinds_of_numbers_survive() -> None:
    assert type(value("1u + 2u")) is UInt
    assert type(value("u", u=UInt(1))) is UInt


@pytest.mark.parametrize("text", ["(" * 300 + "1" + ")" * 300, "[" * 300, "!(" * 300])
def test_what_is_too_deep_is_refused(text: str) -> None:
    with pytest.raises(CompileError, match="expression recursion limit exceeded"):
        ENVIRONMENT.compile(text)


def test_long_chains() -> None:
    assert value(" && ".join(["true"] * 3000)) is True
    assert value(" || ".join(["d.x"] * 3000 + ["true"]), d={}) is True
    assert value(" + ".join(["n"] * 100), n=1) == 100
    with pytest.raises(CompileError, match="expression recursion limit exceeded"):
        ENVIRONMENT.compile(" + ".join(["n"] * 200))


def test_what_is_not_too_deep_works_on_a_stack_that_is() -> None:
    text = "[" * 48 + " + ".join(["1"] * 90) + "]" * 48

    def down(levels: int) -> Any:
        return value(text) if not levels else down(levels - 1)

    assert down(100)


def test_nothing_grows_without_bounds() -> None:
    with pytest.raises(CostExceeded):
        value("s.replace('', s)", s="x" * 100_000)
    long = "9" * 5000
    for text in ("int(s)", "uint(s)", "duration(s + 'h')"):
        with pytest.raises(EvalError):
            value(text, s=long)
    with pytest.raises(CompileError, match="invalid int literal"):
        ENVIRONMENT.compile(long)

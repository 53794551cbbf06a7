"""What Kubernetes adds to CEL, by tables after upstream's documentation of each function."""

from __future__ import annotations

from typing import Any

import pytest

from kybern.api.expressions import admission
from kybern.api.expressions.admission import PER_CALL, Speech, Unusable
from kybern.api.expressions.authorizer import Asked, Authorizer, Decision, ResourceCheck
from kybern.lib.cel.source import CompileError
from kybern.lib.cel.values import EvalError

TRUE = """
[1, 2, 2].isSorted() && !['b', 'a'].isSorted() && [].isSorted()
[1, 2].sum() == 3 && [1.5, 1.5].sum() == 3.0 && [duration('1m'), duration('1s')].sum() == duration('61s')
[3, 1].min() == 1 && ['a', 'b'].max() == 'b'
[1, 2, 2].indexOf(2) == 1 && [1, 2, 2].lastIndexOf(2) == 2 && [1].indexOf(3) == -1
'abc 123'.find('[0-9]+') == '123' && 'abc'.find('x') == ''
'123 abc 456'.findAll('[0-9]+') == ['123', '456'] && '1 2 3'.findAll('[0-9]', 2) == ['1', '2']
url('https://user:pw@example.com:80/a%20b?x=1&x=2#f').getHost() == 'example.com:80'
url('https://[::1]:80/').getHostname() == '::1' && url('https://a:80').getPort() == '80'
url('/path').getScheme() == '' && url('https://a/b').getScheme() == 'https'
url('https://a/a%20b').getEscapedPath() == '/a%20b'
url('https://a/?k=1&k=2').getQuery() == {'k': ['1', '2']}
isURL('https://a') && isURL('/a') && !isURL('a') && !isURL('../a') && !isURL('https://a:x')
url('/a') == url('/a')
quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('100m').isLessThan(quantity('1'))
quantity('1k').compareTo(quantity('1000')) == 0 && quantity('1k') == quantity('1000')
quantity('50k').add(20) == quantity('50020') && quantity('1k').sub(quantity('1')) == quantity('999')
quantity('-1').sign() == -1 && quantity('0').sign() == 0
quantity('5k').isInteger() && quantity('5k').asInteger() == 5000 && !quantity('50m').isInteger()
quantity('50m').asApproximateFloat() == 0.05
isQuantity('1.5Ki') && !isQuantity('1.5 Ki') && !isQuantity('')
ip('127.0.0.1').isLoopback() && ip('::1').family() == 6 && ip('192.0.2.1').family() == 4
ip('0.0.0.0').isUnspecified() && ip('224.0.0.1').isLinkLocalMulticast() && ip('ff02::1').isLinkLocalMulticast()
ip('169.254.1.1').isLinkLocalUnicast() && ip('8.8.8.8').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()
isIP('192.0.2.1') && !isIP('192.0.2.300') && !isIP('::ffff:1.2.3.4') && !isIP('fe80::1%eth0')
ip.isCanonical('2001:db8::1') && !ip.isCanonical('2001:DB8::1')
string(ip('2001:db8:0::1')) == '2001:db8::1' && ip('::1') == ip('0::1')
cidr('192.0.2.0/24').containsIP(ip('192.0.2.5')) && cidr('192.0.2.0/24').containsIP('192.0.2.5')
cidr('192.0.2.0/24').containsCIDR('192.0.2.0/25') && !cidr('192.0.2.0/25').containsCIDR(cidr('192.0.2.0/24'))
cidr('192.0.2.9/24').ip() == ip('192.0.2.9') && cidr('192.0.2.9/24').masked() == cidr('192.0.2.0/24')
cidr('192.0.2.0/24').prefixLength() == 24 && string(cidr('::/0')) == '::/0'
isCIDR('::/0') && !isCIDR('192.0.2.0') && !isCIDR('192.0.2.0/33')
!format.dns1123Label().validate('my-label').hasValue()
format.dns1123Label().validate('My-Label').value()[0].startsWith('a lowercase RFC 1123 label must')
format.named('dns1123Subdomain').value().validate('a_b').hasValue() && !format.named('x').hasValue()
!format.dns1123LabelPrefix().validate('a-').hasValue() && format.dns1123Label().validate('a-').hasValue()
format.uri().validate('x').hasValue() && !format.uri().validate('https://a').hasValue()
!format.uuid().validate('123e4567-e89b-12d3-a456-426614174000').hasValue()
!format.byte().validate('aGVsbG8=').hasValue() && format.byte().validate('!').hasValue()
!format.date().validate('2021-01-01').hasValue() && format.date().validate('2021-13-01').hasValue()
!format.datetime().validate('2021-01-01T00:00:00Z').hasValue()
format.labelValue().validate('a b').hasValue() && !format.qualifiedName().validate('a/b').hasValue()
semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').isLessThan(semver('1.0.0'))
semver('1.0.0-alpha.9').isLessThan(semver('1.0.0-alpha.10')) && semver('1.0.0-1').isLessThan(semver('1.0.0-a'))
semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2 && semver('1.2.3').patch() == 3
semver('1.2.3+a') == semver('1.2.3+b') && semver('1.2.3').compareTo(semver('1.2.3')) == 0
semver('v01.2', true) == semver('1.2.0') && isSemver('v1', true) && !isSemver('v1.0.0') && !isSemver('1.0')
image('registry.k8s.io/a/b:1').registry() == 'registry.k8s.io' && image('registry.k8s.io/a/b:1').repository() == 'a/b'
image('nginx').registry() == 'index.docker.io' && image('nginx').tag() == 'latest' && image('localhost:5000/ab:t').tag() == 't'
isImage('nginx') && !isImage('registry.k8s.io//a') && !isImage('A') && !isImage('a@sha256:1') && image('a/b:x').identifier() == 'x'
!image('a/b').containsDigest() && image('a/b:t@sha256:6aefddb645ee6963afd681b1845c661d0ea4c3b20ab9db86d9e753b203d385f2').tag() == ''
jsonpatch.escapeKey('a/b~c') == 'a~1b~0c'
type(quantity('1')) == type(quantity('2')) && type(ip('::1')) != type(cidr('::/0'))
"""


def value(text: str, **variables: Any) -> Any:
    program = admission.environment(Speech()).compile(text)
    return program.evaluate(variables, PER_CALL)[0]


@pytest.mark.parametrize("text", TRUE.strip().splitlines())
def test_is_true(text: str) -> None:
    assert value(text) is True


ERRORS = {
    "[].min() == 1": "min called on empty list",
    "url('x') == url('y')": (
        'URL parse error during conversion from string: parse "x": invalid URI for request'
    ),
    "quantity('x').isInteger()": (
        "quantities must match the regular expression "
        "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    ),
    "quantity('1m').asInteger()": "cannot convert value to integer",
    "ip('::ffff:1.2.3.4')": 'IPv4-mapped IPv6 address "::ffff:1.2.3.4" is not allowed',
    "semver('1')": "No Major.Minor.Patch elements found",
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text: str) -> None:
    with pytest.raises(EvalError) as error:
        value(text)
    assert str(error.value) == ERRORS[text]


def test_questions_to_the_authorizer() -> None:
    asked: list[Asked] = []

    def ask(question: Asked) -> Decision:
        asked.append(question)
        return Decision(question.verb == "get", "because")

    me = Authorizer(ask)
    pods = "authorizer.group('').resource('pods').subresource('log').namespace('n').name('p')"
    assert value(f"{pods}.check('get').allowed()", authorizer=me) is True
    assert asked.pop() == Asked("get", "", "", "pods", "log", "n", "p")
    assert value("authorizer.path('/x').check('put').reason()", authorizer=me) == "because"
    assert asked.pop() == Asked("put", "/x")
    account = "authorizer.serviceAccount('ns', 'sa').group('apps').resource('deployments')"
    value(f"{account}.check('get').errored()", authorizer=me)
    assert asked.pop() == Asked("get", group="apps", resource="deployments", account=("ns", "sa"))
    mine = ResourceCheck(me, Asked("", resource="secrets"))
    text = "authorizer.requestResource.check('list').allowed()"
    assert value(text, **{"authorizer.requestResource": mine}) is False
    with pytest.raises(EvalError, match="Invalid service account name"):
        value("authorizer.serviceAccount('ns', 'A!').path('/').check('get')", authorizer=me)


def test_a_question_costs_a_third_of_what_an_expression_may() -> None:
    ask = Authorizer(lambda _: Decision(True, ""))
    one = "authorizer.path('/').check('get').allowed()"
    program = admission.environment(Speech()).compile(one)
    assert program.evaluate({"authorizer": ask}, PER_CALL)[1] > 350_000


@pytest.mark.parametrize(
    ("text", "returns", "told"),
    [
        ("1", admission.CONDITION, "must evaluate to bool but got int"),
        ("object.x", admission.CONDITION, "must evaluate to bool but got dyn"),
        ("1", admission.ANNOTATION, "must evaluate to one of [string null_type] but got int"),
        ("timestamp(0)", admission.MESSAGE, "must evaluate to string but got google.protobuf.Timestamp"),
        ("[1]", admission.PATCH, "must evaluate to list(JSONPatch) but got list(int)"),
        (
            "x", admission.ANYTHING,
            "compilation failed: ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n"
            " | x\n | ^",
        ),
    ],
)  # fmt: skip
def test_what_expressions_must_return(text: str, returns: Any, told: str) -> None:
    with pytest.raises(Unusable) as error:
        admission.compiled(admission.environment(Speech()), text, returns)
    assert str(error.value) == told


def test_what_is_there_depends() -> None:
    with pytest.raises(CompileError, match="undeclared reference to 'params'"):
        admission.environment(Speech()).compile("params.x == 1")
    admission.environment(Speech(params=True)).compile("params.x == 1")
    with pytest.raises(CompileError, match="undeclared reference to 'authorizer'"):
        admission.environment(Speech(authorizer=False)).compile("authorizer.path('/')")
    with pytest.raises(CompileError, match="undeclared reference to 'Object'"):
        admission.environment(Speech()).compile("Object{}")

"""Prints as Go makes them."""

import pytest

from kybern.api.patch import go_format


@pytest.mark.parametrize(
    ("value", "plain", "syntax", "kind"),
    [
        (None, "<nil>", "interface {}(nil)", "<nil>"),
        (True, "true", "true", "bool"),
        (3, "3", "3", "int64"),
        (2.5, "2.5", "2.5", "float64"),
        (1e21, "1e+21", "1e+21", "float64"),
        (1e-7, "1e-07", "1e-07", "float64"),
        (3.0, "3", "3", "float64"),
        ('a"b', 'a"b', '"a\\"b"', "string"),
        (["a", 1], "[a 1]", '[]interface {}{"a", 1}', "[]interface {}"),
        (
            {"b": [1], "a": {"c": "d"}},
            "map[a:map[c:d] b:[1]]",
            'map[string]interface {}{"a":map[string]interface {}{"c":"d"}, "b":[]interface {}{1}}',
            "map[string]interface {}",
        ),
    ],
)
def test_prints(value, plain, syntax, kind):
    assert go_format.plain(value) == plain
    assert go_format.syntax(value) == syntax
    assert go_format.type_name(value) == kind


@pytest.mark.parametrize(
    ("decoded", "converted"),
    [
        (
            "number into Go struct field EnvVar.value of type string",
            "cannot convert int64 to string",
        ),
        ("string into Go struct field S.replicas of type int32", "cannot convert string to int32"),
        ("bool into Go value of type int64", "cannot convert bool to int64"),
        ("object into Go struct field P.ports of type []v1.Port", "cannot restore slice from map"),
        (
            "string into Go struct field X.labels of type map[string]string",
            "cannot restore map from string",
        ),
        ("array into Go struct field D.spec of type v1.Spec", "cannot restore struct from: slice"),
    ],
)
def test_what_does_not_fit_is_told_as_a_conversion(decoded, converted):
    assert go_format.conversion(f"json: cannot unmarshal {decoded}") == converted
    assert go_format.conversion("something else") == "something else"

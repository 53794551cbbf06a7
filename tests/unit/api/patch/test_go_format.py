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

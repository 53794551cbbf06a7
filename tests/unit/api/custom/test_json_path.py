"""Paths that definitions name."""

import pytest

from kybern.api.custom import json_path

TREE = {
    "spec": {"replicas": 3, "a.b": "dotted", "hosts": ["x", "y", "z"]},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True", "age": 3},
            {"type": "Synced", "status": "False", "age": 9},
        ]
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.replicas", [3]),
        ("{.spec.replicas}", [3]),
        ("$.spec.replicas", [3]),
        (".spec.none", []),
        (".spec.replicas.deeper", []),
        (r".spec.a\.b", ["dotted"]),
        (".spec['a.b']", ["dotted"]),
        (".spec.hosts[0]", ["x"]),
        (".spec.hosts[-1]", ["z"]),
        (".spec.hosts[7]", []),
        (".spec.hosts[*]", ["x", "y", "z"]),
        (".spec.hosts[1:]", ["y", "z"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type=='Synced')].status", ["False"]),
        (".status.conditions[?(@.age>5)].type", ["Synced"]),
        (".status.conditions[?(@.age<'x')].type", []),
        (".status.conditions[*].type", ["Ready", "Synced"]),
        ("..type", ["Ready", "Synced"]),
    ],
)
def test_what_a_path_finds(path, found):
    assert json_path.find(path, TREE) == found


@pytest.mark.parametrize("path", [".a[", ".a[?(b)]", ".a[x]", ".a[?(@.b==c)]"])
def test_what_is_no_path(path):
    with pytest.raises(json_path.PathError):
        json_path.compiled(path)

"""OpenAPI v2 as protobuf, read back by the numbers of gnostic's OpenAPIv2.proto."""

import struct

import pytest

from kybern.apiserver import openapi_protobuf

# message -> number -> (name, type); only what the documents here have
MESSAGES = {
    "Document": {1: ("swagger", str), 2: ("info", "Info"), 4: ("basePath", str), 6: ("consumes", [str]),
                 8: ("paths", "Paths"), 9: ("definitions", "Definitions"),
                 12: ("security", ["Requirement"]), 13: ("securityDefinitions", "SecurityDefinitions"),
                 14: ("tags", ["Tag"])},
    "Info": {1: ("title", str), 2: ("version", str), 6: ("license", "License"), 7: ("x", ["NamedAny"])},
    "License": {1: ("name", str), 2: ("url", str)},
    "Tag": {1: ("name", str), 2: ("description", str)},
    "NamedAny": {1: ("name", str), 2: ("value", "Any")},
    "Any": {2: ("yaml", str)},
    "Definitions": {1: ("entries", ["NamedSchema"])},
    "NamedSchema": {1: ("name", str), 2: ("value", "Schema")},
    "Schema": {1: ("$ref", str), 2: ("format", str), 4: ("description", str), 5: ("default", "Any"),
               6: ("multipleOf", float), 7: ("maximum", float), 10: ("exclusiveMinimum", bool),
               11: ("maxLength", int), 16: ("uniqueItems", bool), 18: ("minProperties", int),
               19: ("required", [str]), 20: ("enum", ["Any"]),
               21: ("additionalProperties", "SchemaOrFlag"), 22: ("type", "Types"),
               23: ("items", "Items"), 24: ("allOf", ["Schema"]), 25: ("properties", "Definitions"),
               27: ("readOnly", bool), 31: ("x", ["NamedAny"])},
    "SchemaOrFlag": {1: ("schema", "Schema"), 2: ("boolean", bool)},
    "Types": {1: ("value", [str])},
    "Items": {1: ("schema", ["Schema"])},
    "Paths": {1: ("x", ["NamedAny"]), 2: ("paths", ["NamedPath"])},
    "NamedPath": {1: ("name", str), 2: ("value", "PathItem")},
    "PathItem": {2: ("get", "Operation"), 4: ("post", "Operation"), 5: ("delete", "Operation"),
                 8: ("patch", "Operation"), 9: ("parameters", ["ParameterItem"])},
    "Operation": {1: ("tags", [str]), 3: ("description", str), 5: ("operationId", str),
                  6: ("produces", [str]), 8: ("parameters", ["ParameterItem"]),
                  9: ("responses", "Responses"), 10: ("schemes", [str]), 11: ("deprecated", bool),
                  13: ("x", ["NamedAny"])},
    "ParameterItem": {1: ("written", "Parameter"), 2: ("referred", "Reference")},
    "Reference": {1: ("$ref", str)},
    "Parameter": {1: ("body", "Body"), 2: ("other", "Other")},
    "Body": {1: ("description", str), 2: ("name", str), 3: ("in", str), 4: ("required", bool),
             5: ("schema", "Schema")},
    "Other": {1: ("header", "HeaderOrPath"), 2: ("formData", "Query"), 3: ("query", "Query"),
              4: ("path", "HeaderOrPath")},
    "Query": {1: ("required", bool), 2: ("in", str), 4: ("name", str), 5: ("allowEmptyValue", bool),
              6: ("type", str), 10: ("default", "Any"), 20: ("uniqueItems", bool), 21: ("enum", ["Any"])},
    "HeaderOrPath": {1: ("required", bool), 2: ("in", str), 4: ("name", str), 5: ("type", str),
                     7: ("items", "Plain"), 14: ("maxLength", int), 19: ("uniqueItems", bool)},
    "Plain": {1: ("type", str), 10: ("maxLength", int)},
    "Responses": {1: ("codes", ["NamedResponse"])},
    "NamedResponse": {1: ("name", str), 2: ("value", "ResponseValue")},
    "ResponseValue": {1: ("written", "Response"), 2: ("referred", "Reference")},
    "Response": {1: ("description", str), 2: ("schema", "SchemaItem")},
    "SchemaItem": {1: ("schema", "Schema")},
    "Requirement": {1: ("entries", ["NamedTexts"])},
    "NamedTexts": {1: ("name", str), 2: ("value", "Types")},
    "SecurityDefinitions": {1: ("entries", ["NamedSecurity"])},
    "NamedSecurity": {1: ("name", str), 2: ("value", "Security")},
    "Security": {1: ("basic", "Basic"), 2: ("apiKey", "ApiKey"), 6: ("accessCode", "AccessCode")},
    "Basic": {1: ("type", str)},
    "ApiKey": {1: ("type", str), 2: ("name", str), 3: ("in", str), 4: ("description", str)},
    "AccessCode": {1: ("type", str), 2: ("flow", str), 3: ("scopes", "Scopes"),
                   4: ("authorizationUrl", str), 5: ("tokenUrl", str), 6: ("description", str)},
    "Scopes": {1: ("entries", ["NamedText"])},
    "NamedText": {1: ("name", str), 2: ("value", str)},
}  # fmt: skip


def number(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def read(data, message):
    out, at = {}, 0
    while at < len(data):
        tag, at = number(data, at)
        name, kind = MESSAGES[message][tag >> 3]
        if tag & 7 == 0:
            value, at = number(data, at)
        elif tag & 7 == 1:
            value, at = struct.unpack_from("<d", data, at)[0], at + 8
        else:
            size, at = number(data, at)
            value, at = data[at : at + size], at + size
        one = kind[0] if isinstance(kind, list) else kind
        if isinstance(one, str):
            value = read(value, one)
        elif one is str:
            value = value.decode()
        else:
            value = one(value)
        if isinstance(kind, list):
            out.setdefault(name, []).append(value)
        else:
            out[name] = value
    return out


def test_the_head_of_a_document():
    document = {
        "swagger": "2.0",
        "info": {"title": "T", "version": "v1", "license": {"name": "L"}, "x-a": {"b": [1]}},
        "basePath": "/",
        "consumes": ["a/b", "c/d"],
        "tags": [{"name": "t", "description": "d"}],
        "security": [{"Token": []}, {"OAuth": ["read"]}],
        "securityDefinitions": {
            "Token": {"type": "apiKey", "name": "authorization", "in": "header"},
            "Plain": {"type": "basic"},
            "OAuth": {
                "type": "oauth2", "flow": "accessCode", "authorizationUrl": "a", "tokenUrl": "t",
                "scopes": {"read": "r"}, "description": "d",
            },
        },
    }  # fmt: skip
    assert read(openapi_protobuf.encode(document), "Document") == {
        "swagger": "2.0",
        "info": {
            "title": "T", "version": "v1", "license": {"name": "L"},
            "x": [{"name": "x-a", "value": {"yaml": '{"b":[1]}\n'}}],
        },
        "basePath": "/",
        "consumes": ["a/b", "c/d"],
        "tags": [{"name": "t", "description": "d"}],
        "security": [
            {"entries": [{"name": "Token", "value": {}}]},
            {"entries": [{"name": "OAuth", "value": {"value": ["read"]}}]},
        ],
        "securityDefinitions": {
            "entries": [
                {"name": "Token", "value": {
                    "apiKey": {"type": "apiKey", "name": "authorization", "in": "header"}}},
                {"name": "Plain", "value": {"basic": {"type": "basic"}}},
                {"name": "OAuth", "value": {"accessCode": {
                    "type": "oauth2", "flow": "accessCode", "authorizationUrl": "a",
                    "tokenUrl": "t", "description": "d",
                    "scopes": {"entries": [{"name": "read", "value": "r"}]}}}},
            ]
        },
    }  # fmt: skip


def schema(tree):
    document = {"definitions": {"a.b.C": tree}}
    found = read(openapi_protobuf.encode(document), "Document")["definitions"]["entries"]
    assert [each["name"] for each in found] == ["a.b.C"]
    return found[0]["value"]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"$ref": "#/definitions/x"}, {"$ref": "#/definitions/x"}),
        ({"type": "string", "format": "date-time"}, {"type": {"value": ["string"]}, "format": "date-time"}),
        ({"type": ["string", "null"]}, {"type": {"value": ["string", "null"]}}),
        ({"description": "ünï"}, {"description": "ünï"}),
        ({"items": {"type": "x"}}, {"items": {"schema": [{"type": {"value": ["x"]}}]}}),
        ({"items": [{}, {}]}, {"items": {"schema": [{}, {}]}}),
        ({"additionalProperties": {"type": "x"}},
         {"additionalProperties": {"schema": {"type": {"value": ["x"]}}}}),
        ({"additionalProperties": True}, {"additionalProperties": {"boolean": True}}),
        ({"additionalProperties": False}, {"additionalProperties": {"boolean": False}}),
        ({"required": ["a", "b"], "maximum": 1.5, "multipleOf": 2},
         {"required": ["a", "b"], "maximum": 1.5, "multipleOf": 2.0}),
        ({"maxLength": 300, "minProperties": 0, "uniqueItems": True, "exclusiveMinimum": True},
         {"maxLength": 300, "minProperties": 0, "uniqueItems": True, "exclusiveMinimum": True}),
        ({"enum": ["a", 1], "default": {}},
         {"enum": [{"yaml": '"a"\n'}, {"yaml": "1\n"}], "default": {"yaml": "{}\n"}}),
        ({"allOf": [{"$ref": "r"}], "readOnly": True}, {"allOf": [{"$ref": "r"}], "readOnly": True}),
        ({"readOnly": False}, {}),
        ({"properties": {"p": {"$ref": "r"}}},
         {"properties": {"entries": [{"name": "p", "value": {"$ref": "r"}}]}}),
        ({"x-kubernetes-group-version-kind": [{"group": "", "kind": "Pod", "version": "v1"}]},
         {"x": [{"name": "x-kubernetes-group-version-kind",
                 "value": {"yaml": '[{"group":"","kind":"Pod","version":"v1"}]\n'}}]}),
    ],
)  # fmt: skip
def test_schemas(tree, expected):
    assert schema(tree) == expected


def test_paths():
    operation = {
        "description": "d", "operationId": "o", "produces": ["a/b"], "schemes": ["https"],
        "tags": ["t"], "deprecated": True, "x-kubernetes-action": "list",
        "parameters": [
            {"in": "body", "name": "body", "required": True, "schema": {"$ref": "r"}},
            {"in": "query", "name": "dryRun", "type": "string", "uniqueItems": True},
            {"in": "path", "name": "ns", "type": "array", "required": True,
             "items": {"type": "string", "maxLength": 3}},
            {"in": "header", "name": "h", "type": "string", "maxLength": 9},
            {"$ref": "#/parameters/p"},
        ],
        "responses": {"200": {"description": "OK", "schema": {"$ref": "r"}}, "default": {"$ref": "e"}},
    }  # fmt: skip
    document = {"paths": {"/api/v1/pods": {"get": operation, "parameters": [{"$ref": "q"}]}}}
    found = read(openapi_protobuf.encode(document), "Document")["paths"]["paths"]
    item = found[0]["value"]
    assert (found[0]["name"], item["parameters"]) == ("/api/v1/pods", [{"referred": {"$ref": "q"}}])
    assert item["get"] == {
        "description": "d", "operationId": "o", "produces": ["a/b"], "schemes": ["https"],
        "tags": ["t"], "deprecated": True,
        "x": [{"name": "x-kubernetes-action", "value": {"yaml": '"list"\n'}}],
        "parameters": [
            {"written": {"body": {"in": "body", "name": "body", "required": True, "schema": {"$ref": "r"}}}},
            {"written": {"other": {"query": {
                "in": "query", "name": "dryRun", "type": "string", "uniqueItems": True}}}},
            {"written": {"other": {"path": {
                "in": "path", "name": "ns", "type": "array", "required": True,
                "items": {"type": "string", "maxLength": 3}}}}},
            {"written": {"other": {"header": {
                "in": "header", "name": "h", "type": "string", "maxLength": 9}}}},
            {"referred": {"$ref": "#/parameters/p"}},
        ],
        "responses": {"codes": [
            {"name": "200", "value": {"written": {"description": "OK", "schema": {"schema": {"$ref": "r"}}}}},
            {"name": "default", "value": {"referred": {"$ref": "e"}}},
        ]},
    }  # fmt: skip


def test_media_types_are_what_clients_ask_and_can_parse():
    assert "@" in openapi_protobuf.ASKED[0]
    assert "@" not in openapi_protobuf.MEDIA_TYPE

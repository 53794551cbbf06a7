"""Pack the OpenAPI schemas of v1.36 into the package: `build_openapi.py`.

In:   the PyPI package `kubernetes-validate`, a build dependency.
Out:  `src/kybern/apiserver/openapi_schemas.bin`: zlib of the JSON schemas by upstream's names.
By:   hatch_build.py when the package is built or installed. The file is not in the repository:
      descriptions are upstream's words and stay in upstream's distribution of them.
"""

from __future__ import annotations

import json
import pathlib
import zlib

OUT = pathlib.Path(__file__).parents[1] / "src/kybern/apiserver/openapi_schemas.bin"
VERSION = "v1.36.0-local"
PLAIN = {  # schemas whose JSON form is not an object
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string"},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "type": "string", "format": "int-or-string",
    },
}  # fmt: skip


def main() -> None:
    """Write the file, unless it is there already with the same content."""
    import kubernetes_validate

    folder = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    definitions = json.loads((folder / VERSION / "_definitions.json").read_text())["$defs"]
    packed = pack(definitions)
    if not OUT.exists() or OUT.read_bytes() != packed:
        OUT.write_bytes(packed)


def pack(definitions: dict) -> bytes:
    """Return the compressed schemas, as Kubernetes publishes them in OpenAPI v2."""
    schemas = {name: clean(schema) for name, schema in definitions.items()}
    for name, plain in PLAIN.items():
        if name in schemas:
            schemas[name] = {"description": schemas[name].get("description", ""), **plain}
    return zlib.compress(json.dumps(schemas, separators=(",", ":"), sort_keys=True).encode(), 9)


def clean(schema: object) -> object:
    """Undo what the packagers did for validators: null types, `$defs`, kind enumerations."""
    if isinstance(schema, list):
        return [clean(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {}
    for key, value in schema.items():
        if key == "$ref":
            result[key] = value.replace("#/$defs/", "#/definitions/")
        elif key == "type" and isinstance(value, list):
            result[key] = next(kind for kind in value if kind != "null")
        elif key == "properties":
            result[key] = {name: clean_property(name, item) for name, item in value.items()}
        elif key == "oneOf" and any("$ref" in item for item in value):
            result.update(clean(next(item for item in value if "$ref" in item)))
        else:
            result[key] = clean(value)
    return result


def clean_property(name: str, schema: dict) -> object:
    if name in ("kind", "apiVersion"):
        schema = {key: value for key, value in schema.items() if key != "enum"}
    return clean(schema)


if __name__ == "__main__":
    main()

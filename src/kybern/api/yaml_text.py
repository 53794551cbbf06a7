"""YAML as Kubernetes reads it.

In:   the text of one document.
Out:  a tree of JSON values; duplicate keys are told with their line.
By:   the codec for YAML bodies, server-side apply, the command line.

Go's YAML turns into JSON: dates stay strings, `012` is an octal number, `yes` is true (YAML 1.1).
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from kybern.api import bounds

if TYPE_CHECKING:
    from collections.abc import Iterator


ERRORS = "yaml: unmarshal errors:\n"


class YamlError(ValueError):
    """The text is not YAML; the message says where."""


def duplicates_text(duplicates: list[str]) -> str:
    """Return what upstream's reader says about duplicate keys, given one line about each."""
    return f"{ERRORS}  " + "\n  ".join(duplicates)


@functools.cache
def _loader() -> type:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]  # the C one where PyYAML has it
        """Safe loader without dates and base-60 numbers, which tells duplicate keys."""

        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's way
        duplicates: list[str]

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            self.flatten_mapping(node)
            tree: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = _key(self.construct_object(key_node, deep=True))
                if key in tree:
                    line = key_node.start_mark.line + 1
                    self.duplicates.append(f'line {line}: key "{key}" already set in map')
                tree[key] = self.construct_object(value_node, deep=True)
            return tree

    def construct_map(loader: Any, node: Any) -> Iterator[dict[str, Any]]:
        tree: dict[str, Any] = {}
        yield tree
        tree.update(loader.construct_mapping(node))

    Loader.add_constructor("tag:yaml.org,2002:map", construct_map)
    for tag, pattern, first in (
        ("bool", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
         "yYnNtTfFoO"),
        ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
                  r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+0123456789."),
        ("int", r"[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+",
         "-+0123456789"),
        ("merge", r"<<", "<"),
        ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ):  # fmt: skip
        Loader.add_implicit_resolver(
            f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), list(first)
        )
    # PyYAML takes the first resolver that matches: whole numbers before floats
    for char, resolvers in Loader.yaml_implicit_resolvers.items():
        resolvers.sort(key=lambda r: r[0].endswith(":float"))
        Loader.yaml_implicit_resolvers[char] = resolvers
    return Loader


def _key(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def load(text: bytes | str) -> tuple[Any, list[str]]:
    """Return the tree of one document and the duplicate keys in it.

    Raises:
        YamlError: `yaml: line 3: mapping values are not allowed in this context`.
    """
    documents = list(load_all(text))
    if not documents:
        return None, []
    return documents[0]


def load_all(text: bytes | str) -> Iterator[tuple[Any, list[str]]]:
    """Yield each document and the duplicate keys in it."""
    import yaml

    loader = None
    try:
        # Making what a document says is recursive, in C: so its shape is looked at first.
        bounds.Growth().check(yaml.parse(text, Loader=_loader()))
        loader = _loader()(text)
        while loader.check_data():
            loader.duplicates = []
            tree = loader.get_data()
            yield tree, loader.duplicates
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise YamlError(f"yaml: {line}{error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise YamlError(f"yaml: {error}") from None
    finally:
        if loader is not None:
            loader.dispose()

"""The build hook: packs the OpenAPI schemas into the wheel, or beside the sources when editable."""

import pathlib
import runpy

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class OpenApiHook(BuildHookInterface):
    """Runs tools/build_openapi.py before anything is packed."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Write the schemas and have them included although git ignores them."""
        root = pathlib.Path(self.root)
        runpy.run_path(str(root / "tools/build_openapi.py"), run_name="__main__")
        build_data["artifacts"].append("src/kybern/apiserver/openapi_schemas.bin")

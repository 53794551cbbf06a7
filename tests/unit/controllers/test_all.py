"""The list is complete, and every controller looks the same from outside."""

from __future__ import annotations

from pathlib import Path

import kybern.controllers
from kybern.controllers.all import ALL

FOLDER = Path(kybern.controllers.__file__).parent


def test_every_package_is_in_the_list():
    packages = {path.parent.name for path in FOLDER.glob("*/controller.py")} - {"runtime"}
    assert packages == {one.make.__module__.split(".")[-2] for one in ALL}


def test_every_controller_has_a_pure_plan_and_a_thin_shell():
    for one in ALL:
        package = FOLDER / one.make.__module__.split(".")[-2]
        assert (package / "plan.py").exists(), package
        assert one.make.__doc__
        assert callable(one.make.run)
        assert callable(one.make.statistics)

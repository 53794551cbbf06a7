"""The settings of a cluster, for verbs that need one to be there.

In:   a Directory.
Out:  its Settings, or a failure the user can read.
By:   the verbs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.cli.errors import Failed
from kybern.cluster import settings as settings_file

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory
    from kybern.cluster.settings import Settings


def settings_of(directory: Directory) -> Settings:
    """Return the settings.

    Raises:
        Failed: there are none, or they are damaged.
    """
    try:
        return settings_file.load(directory.settings)
    except settings_file.SettingsError as error:
        raise Failed(str(error)) from None

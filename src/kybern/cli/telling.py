"""What went wrong with a data directory, in one sentence.

By:   the verbs that write one: `up`, `agent`.
"""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from kybern.cli.errors import Failed
from kybern.cluster.certificates import DamagedError
from kybern.cluster.settings import SettingsError
from kybern.cluster.slots import NoSlotError
from kybern.cluster.wires import WireError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.cluster.directory import Directory


@contextlib.contextmanager
def telling(directory: Directory) -> Iterator[None]:
    """Turn what the block raises about the directory into a Failed."""
    try:
        yield
    except (SettingsError, NoSlotError, DamagedError) as error:
        raise Failed(str(error)) from None
    except WireError as error:
        raise Failed(f"the nodes cannot be joined: {error}.") from None
    except OSError as error:
        space = "Free some space or choose" if error.errno == errno.ENOSPC else "Choose"
        raise Failed(
            f"cannot write to {error.filename or directory.root}: {error.strerror}. "
            f"{space} another directory with --data-dir."
        ) from None

"""What a container leaves behind to say why it ended.

In:   its status with the annotations it was made with, the file it could write to, its log.
Out:  the message.
By:   pods/containers.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kybern.kubelet.runtime import labels

if TYPE_CHECKING:
    from kybern.kubelet.runtime.messages.container import ContainerStatus

MESSAGE_MAX = 4096
LOG_LINES, LOG_MAX = 80, 2048
FALLBACK = "FallbackToLogsOnError"
# "2026-01-02T03:04:05.123456789Z stdout F " comes before each line's text; P before a piece of one
PREFIX_WORDS = 3
PARTIAL = b"P"


def message_path(pod_dir: Path, name: str, restarts: int) -> Path:
    """Return the file in which a container may leave a message."""
    return pod_dir / "containers" / name / f"{restarts}.message"


def termination_message(status: ContainerStatus, pod_dir: Path, restarts: int) -> str:
    """Return the message of a container which has ended."""
    name = status.labels.get(labels.CONTAINER_NAME, "")
    notes = status.annotations
    text = ""
    if notes.get(labels.TERMINATION_PATH):
        text = _read(message_path(pod_dir, name, restarts), MESSAGE_MAX)
    if not text and status.exit_code != 0 and notes.get(labels.TERMINATION_POLICY) == FALLBACK:
        text = _end_of_log(Path(status.log_path))
    return text


def _read(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as handle:
            return handle.read(limit).decode(errors="replace")
    except OSError:
        return ""


def _end_of_log(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            handle.seek(0, 2)
            # A line's stamp is a good deal shorter than what is kept of a whole log.
            handle.seek(max(0, handle.tell() - 4 * LOG_MAX - LOG_LINES * 48))
            lines = handle.read().split(b"\n")
    except OSError:
        return ""
    words = [line.split(b" ", PREFIX_WORDS) for line in lines if line.count(b" ") >= PREFIX_WORDS]
    texts = [text if tag == PARTIAL else text + b"\n" for _, _, tag, text in words[-LOG_LINES:]]
    return b"".join(texts)[-LOG_MAX:].decode(errors="replace")

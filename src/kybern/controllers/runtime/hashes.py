"""Short hashes that become parts of names and values of labels.

In:   bytes, and how often their hash was taken already.
Out:  at most ten letters and digits that spell no words.
By:   deployment.revisions, history.plan. Pure.

The hash is ours: what matters to users is that it is stable and fits in a label. What is current is
decided by comparing templates, so a cluster taken over from another implementation keeps its names.
"""

from __future__ import annotations

import hashlib
from typing import Final

# Without vowels and look-alikes; upstream's alphabet for generated names.
ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"


def short_hash(data: bytes, collisions: int) -> str:
    """Return a short hash; `collisions` makes another one of the same data."""
    digest = hashlib.blake2b(data, digest_size=4, salt=collisions.to_bytes(8, "little")).digest()
    return "".join(ALPHABET[ord(c) % 27] for c in str(int.from_bytes(digest, "little")))

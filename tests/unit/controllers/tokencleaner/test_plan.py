"""When a bootstrap token goes."""

from __future__ import annotations

import base64

import pytest

from kybern.api.core.v1 import Secret
from kybern.controllers.tokencleaner.plan import due


@pytest.mark.parametrize(
    ("expiration", "seconds"),
    [
        (None, None),
        ("1970-01-01T00:02:00Z", 20.0),
        ("1970-01-01T01:02:00+01:00", 20.0),
        ("1970-01-01T00:01:40Z", 0.0),
        ("1970-01-01T00:00:00Z", 0.0),
        ("soon", 0.0),
    ],
)
def test_due(expiration, seconds):
    data = {"expiration": base64.b64encode(expiration.encode()).decode()} if expiration else {}
    assert due(Secret(data=data), 100.0) == seconds

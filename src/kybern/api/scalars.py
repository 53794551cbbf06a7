"""Scalars with rules of their own. On a Struct they are plain strings and numbers.

The codec canonicalises them on the way in (`api/codec.py`), protobuf has its own form for each
(`api/protobuf.py`). Sources: apimachinery's resource.Quantity, intstr.IntOrString, metav1.Time.
"""

from __future__ import annotations

from typing import Any

Quantity = str
"""`500m`, `1Gi`; canonical after decoding. See `api/quantity.py`."""

Time = str
"""RFC 3339 in UTC with whole seconds: `2026-01-02T03:04:05Z`."""

MicroTime = str
"""RFC 3339 in UTC with microseconds: `2026-01-02T03:04:05.000000Z`."""

Duration = str
"""Go's spelling: `30s`, `1h5m0s`."""

IntOrString = int | str
"""A number or a string such as `25%` or a port's name."""

RawExtension = Any
"""Any object, kept as a tree."""

JSON = Any
"""Any JSON value, kept as a tree."""

FieldsV1 = dict[str, Any]
"""A set of fields in the form of managedFields."""

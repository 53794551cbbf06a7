"""Protocol Buffers on Structs: no generated code, no descriptors.

In:   Structs whose fields say their number: `name: Annotated[str, PbField(1)] = ""`.
Out:  `Codec(Type).encode(obj) -> bytes` and `.decode(bytes) -> obj`.
By:   Kubernetes' own protobuf (with a `Dialect` of its own), and CRI, etcd and containerd over
      gRPC (proto3).

Absent fields take the Struct's default; fields the Struct does not have are skipped, and are lost
when it is encoded again. Groups, extensions and merging of repeated submessages, which none of the
above use, are not supported.
"""

from __future__ import annotations

import struct as binary
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kybern.lib.protobuf_decode import Decoders
from kybern.lib.protobuf_encode import Encoders
from kybern.lib.protobuf_fields import FromBytes, PbField, ProtobufError, Rules, ToBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["PROTO3", "Codec", "Dialect", "PbField", "ProtobufError"]

T = TypeVar("T")


class Dialect:
    """Rules for a family of Structs, and the codecs compiled by them.

    Args:
        scalars: for a name of `wire`, how the bytes of its value are made and read (without tag
            and length). Reading may return None: the field then counts as absent. The name may
            be one of protobuf's, such as `bytes`, to replace it.
        whole: those names whose value is the whole list or map of the Struct, not an item of it.
        proto3: zeros are not written (unless the Struct's field may be None, and then always)
            and repeated numbers are packed. Otherwise zeros are written and numbers are not packed.
        zero_is_absent: asked once for each optional field (Struct type, attribute, metadata):
            is a zero that was read the same as nothing? Go writes zeros of what is no pointer.
    """

    __slots__ = ("decoders", "encoders")

    def __init__(
        self,
        *,
        scalars: Mapping[str, tuple[ToBytes, FromBytes]] | None = None,
        whole: Iterable[str] = (),
        proto3: bool = False,
        zero_is_absent: Callable[[type, str, Any], bool] = lambda _struct, _attr, _meta: False,
    ) -> None:
        rules = Rules(dict(scalars or {}), frozenset(whole), proto3, zero_is_absent)
        self.encoders = Encoders(rules)
        self.decoders = Decoders(rules)


PROTO3 = Dialect(proto3=True)


class Codec(Generic[T]):
    """Encodes and decodes one type; cheap to make, as a dialect compiles each type once."""

    __slots__ = ("_decode", "_encode")

    def __init__(self, type_: type[T], dialect: Dialect = PROTO3) -> None:
        """Compile the type, unless that was done.

        Raises:
            TypeError: a field has no protobuf form.
        """
        self._encode = dialect.encoders[type_]
        self._decode = dialect.decoders[type_]

    def encode(self, obj: T) -> bytes:
        """Return the message of a Struct."""
        return self._encode(obj)

    def decode(self, data: bytes) -> T:
        """Return the Struct of a message.

        Raises:
            ProtobufError: the bytes are not such a message.
        """
        try:
            result: T = self._decode(data)
        except ProtobufError:
            raise
        except (IndexError, UnicodeDecodeError, binary.error, RecursionError) as error:
            raise ProtobufError(f"malformed message: {error}") from None
        return result

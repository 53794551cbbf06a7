"""How a plugin registers with the kubelet (k8s.io/kubelet/pkg/apis/pluginregistration/v1).

In:   the socket a plugin listens on.
Out:  what it is; and to the plugin, whether it was taken.
By:   plugins.py.
"""

from typing import Annotated

from msgspec import Struct, field

from kybern.csi.transport import Transport
from kybern.lib.protobuf import Codec
from kybern.lib.protobuf import PbField as N

SERVICE = "/pluginregistration.Registration/"
SECONDS = 10.0


class PluginInfo(Struct):
    """What a plugin is; the driver itself listens at `endpoint`."""

    type: Annotated[str, N(1)] = ""
    name: Annotated[str, N(2)] = ""
    endpoint: Annotated[str, N(3)] = ""
    supported_versions: Annotated[list[str], N(4)] = field(default_factory=list)


class RegistrationStatus(Struct):
    """Whether the kubelet has taken it."""

    plugin_registered: Annotated[bool, N(1)] = False
    error: Annotated[str, N(2)] = ""


async def get_info(transport: Transport) -> PluginInfo:
    """Ask a plugin what it is.

    Raises:
        CsiError: it does not answer.
    """
    return Codec(PluginInfo).decode(await transport.call(SERVICE + "GetInfo", b"", SECONDS))


async def notify(transport: Transport, error: str = "") -> None:
    """Tell a plugin that it was taken, or why not.

    Raises:
        CsiError: it does not answer.
    """
    status = RegistrationStatus(plugin_registered=not error, error=error)
    message = Codec(RegistrationStatus).encode(status)
    await transport.call(SERVICE + "NotifyRegistrationStatus", message, SECONDS)

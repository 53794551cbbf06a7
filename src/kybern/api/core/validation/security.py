"""Security contexts of pods and containers.

In:   PodSecurityContext, SecurityContext and their parts.
Out:  problems appended to the list given.
By:   `pod_spec`, `containers`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.core.validation.paths import check_descending
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
)

if TYPE_CHECKING:
    from kybern.api.core.v1 import (
        AppArmorProfile,
        PodSecurityContext,
        PodSpec,
        SeccompProfile,
        SecurityContext,
        WindowsSecurityContextOptions,
    )

PROFILES: Final = ("Localhost", "RuntimeDefault", "Unconfined")
PATH_MAX: Final = 4095
SYSCTL_MAX: Final = 253
SYSCTL_SEGMENT: Final = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
SYSCTL_FORMAT: Final = f"({SYSCTL_SEGMENT}[\\./])*{SYSCTL_SEGMENT}"
_sysctl = re.compile(SYSCTL_FORMAT).fullmatch
IPC_SYSCTLS: Final = ("kernel.shm", "kernel.msg", "fs.mqueue.", "kernel.sem")


def check_pod_security(spec: PodSpec, path: Path, out: list[Problem]) -> None:
    """The security context at `path`, where `spec` says what is shared with the node."""
    context = spec.securityContext
    if context is None:
        return
    for field in ("fsGroup", "runAsUser", "runAsGroup"):
        number = getattr(context, field)
        if number is not None and (messages := names.user_id(number)):
            out += all_invalid(path / field, number, messages)
    for index, group in enumerate(context.supplementalGroups or ()):
        if messages := names.user_id(group):
            out += all_invalid((path / "supplementalGroups")[index], group, messages)
    if spec.shareProcessNamespace and spec.hostPID:
        told = "ShareProcessNamespace and HostPID cannot both be enabled"
        out.append(invalid(path / "shareProcessNamespace", True, told))
    if context.sysctls:
        _check_sysctls(spec, context, path / "sysctls", out)
    _check_choice(context.fsGroupChangePolicy, ("Always", "OnRootMismatch"),
                  path, "fsGroupChangePolicy", out)  # fmt: skip
    check_seccomp(context.seccompProfile, path, out)
    check_windows(context.windowsOptions, path, out)
    check_app_armor(context.appArmorProfile, path, out)
    _check_choice(context.supplementalGroupsPolicy, ("Merge", "Strict"),
                  path, "supplementalGroupsPolicy", out)  # fmt: skip
    _check_choice(context.seLinuxChangePolicy, ("MountOption", "Recursive"),
                  path, "seLinuxChangePolicy", out)  # fmt: skip


def _check_choice(
    value: str | None, known: tuple[str, ...], path: Path, field: str, out: list[Problem]
) -> None:
    if value is not None and value not in known:
        out.append(not_supported(path / field, value, known))


def _check_sysctls(
    spec: PodSpec, context: PodSecurityContext, path: Path, out: list[Problem]
) -> None:
    seen: set[str] = set()
    for index, sysctl in enumerate(context.sysctls or ()):
        place = path[index] / "name"
        name = sysctl.name
        if not name:
            out.append(required(place))
        elif len(name) > SYSCTL_MAX or not _sysctl(name):
            told = f"must have at most {SYSCTL_MAX} characters and match regex ^{SYSCTL_FORMAT}$"
            out.append(invalid(place, name, told))
        elif name in seen:
            out.append(duplicate(place, name))
        seen.add(name)
        dotted = _dotted(name)
        if spec.hostNetwork and dotted.startswith("net."):
            told = "may not be specified when 'hostNetwork' is true"
            out.append(invalid(place, name, told))
        elif spec.hostIPC and dotted.startswith(IPC_SYSCTLS):
            out.append(invalid(place, name, "may not be specified when 'hostIPC' is true"))


def _dotted(name: str) -> str:
    """The name with dots as separators: when a slash comes first, dots and slashes swap."""
    dot, slash = name.find("."), name.find("/")
    if slash < 0 or 0 <= dot < slash:
        return name
    return name.translate(str.maketrans("./", "/."))


def check_security(
    context: SecurityContext | None, path: Path, out: list[Problem], *, host_users: bool
) -> None:
    """The security context of a container, in the field `securityContext` of the place."""
    if context is None:
        return
    path /= "securityContext"
    for field in ("runAsUser", "runAsGroup"):
        number = getattr(context, field)
        if number is not None and (messages := names.user_id(number)):
            out += all_invalid(path / field, number, messages)
    if context.procMount is not None:
        _check_choice(context.procMount, ("Default", "Unmasked"), path, "procMount", out)
        if host_users and context.procMount == "Unmasked":
            told = "`hostUsers` must be false to use `Unmasked`"
            out.append(invalid(path / "procMount", context.procMount, told))
    check_seccomp(context.seccompProfile, path, out)
    if context.allowPrivilegeEscalation is False:
        _check_no_escalation(context, path, out)
    check_windows(context.windowsOptions, path, out)
    check_app_armor(context.appArmorProfile, path, out)


def _check_no_escalation(context: SecurityContext, path: Path, out: list[Problem]) -> None:
    so = "cannot set `allowPrivilegeEscalation` to false and"
    if context.privileged:
        out.append(invalid(path, context, f"{so} `privileged` to true"))
    added = (context.capabilities and context.capabilities.add) or ()
    if "CAP_SYS_ADMIN" in added:
        out.append(invalid(path, context, f"{so} `capabilities.Add` CAP_SYS_ADMIN"))


def check_seccomp(profile: SeccompProfile | None, path: Path, out: list[Problem]) -> None:
    """Which system calls are allowed."""
    if profile is None:
        return
    path /= "seccompProfile"
    if not profile.type:
        told = "type is required when seccompProfile is set"
        out.append(required(path / "type", told))
    elif profile.type not in PROFILES:
        out.append(not_supported(path / "type", profile.type, PROFILES))
    if profile.type == "Localhost":
        if profile.localhostProfile is None:
            told = "must be set when seccomp type is Localhost"
            out.append(required(path / "localhostProfile", told))
        else:
            check_descending(profile.localhostProfile, path / "localhostProfile", out)
    elif profile.localhostProfile is not None:
        told = "can only be set when seccomp type is Localhost"
        out.append(invalid(path / "localhostProfile", profile, told))


def check_app_armor(profile: AppArmorProfile | None, path: Path, out: list[Problem]) -> None:
    """Which AppArmor profile confines it."""
    if profile is None:
        return
    path /= "appArmorProfile"
    text = profile.localhostProfile
    if profile.type == "Localhost":
        told = "must be set when AppArmor type is Localhost"
        if not text or not text.strip():
            out.append(required(path / "localhostProfile", told))
        elif text != text.strip():
            told = "must not be padded with whitespace"
            out.append(invalid(path / "localhostProfile", text, told))
        if text and names.size(text) > PATH_MAX:
            out.append(too_long(path / "localhostProfile", PATH_MAX))
    elif profile.type in ("RuntimeDefault", "Unconfined"):
        if text is not None:
            told = "can only be set when AppArmor type is Localhost"
            out.append(invalid(path / "localhostProfile", text, told))
    elif not profile.type:
        told = "type is required when appArmorProfile is set"
        out.append(required(path / "type", told))
    else:
        out.append(not_supported(path / "type", profile.type, PROFILES))


SPEC_LIMIT_KIB: Final = 64
DOMAIN_MAX: Final = 256
USER_MAX: Final = 104
_control = re.compile(r"[\x00-\x1f\x7f]").search
_netbios = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}').fullmatch
_domain_label = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_domain = re.compile(rf"{_domain_label}(?:\.{_domain_label})*").fullmatch
_bad_user = re.compile(r'["/\\:;|=,+*?<>@\[\]]').search


def check_windows(
    options: WindowsSecurityContextOptions | None, path: Path, out: list[Problem]
) -> None:
    """Whom a container on Windows runs as."""
    if options is None:
        return
    path /= "windowsOptions"
    name = options.gmsaCredentialSpecName
    if name is not None and (messages := names.dns1123_subdomain(name)):
        out += all_invalid(path / "gmsaCredentialSpecName", name, messages)
    spec = options.gmsaCredentialSpec
    if spec is not None:
        if not spec:
            told = "gmsaCredentialSpec cannot be an empty string"
            out.append(invalid(path / "gmsaCredentialSpec", spec, told))
        elif names.size(spec) > SPEC_LIMIT_KIB * 1024:
            told = f"gmsaCredentialSpec size must be under {SPEC_LIMIT_KIB} KiB"
            out.append(invalid(path / "gmsaCredentialSpec", spec, told))
    if options.runAsUserName is not None:
        text = options.runAsUserName
        out += [invalid(path / "runAsUserName", text, told) for told in _user_name(text)]


def _user_name(text: str) -> list[str]:
    if not text:
        return ["runAsUserName cannot be an empty string"]
    if _control(text):
        return ["runAsUserName cannot contain control characters"]
    if text.count("\\") > 1:
        return ["runAsUserName cannot contain more than one backslash"]
    domain, backslash, user = text.rpartition("\\")
    found = []
    if len(domain) >= DOMAIN_MAX:
        found.append(f"runAsUserName's Domain length must be under {DOMAIN_MAX} characters")
    if backslash and not (_netbios(domain) or _domain(domain)):
        found.append("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
    if not user:
        found.append("runAsUserName's User cannot be empty")
    elif len(user) > USER_MAX:
        found.append(
            f"runAsUserName's User length must not be longer than {USER_MAX} characters"
        )
    if user and not user.strip(". "):
        found.append("runAsUserName's User cannot contain only periods or spaces")
    if _bad_user(user):
        found.append(
            "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"
        )
    return found

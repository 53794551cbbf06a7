"""With which authorities the controller manager signs certificate requests.

In:   upstream's flags: one pair of files for all signers, or pairs for some of them.
Out:  signer name → authority.
By:   cmd.controller_manager.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.certificates import requests as ask
from kybern.cmd import flags
from kybern.cmd.process import Fatal
from kybern.lib import pki

if TYPE_CHECKING:
    from argparse import Namespace

SIGNERS = {
    "kubelet-serving": ask.KUBELET_SERVING,
    "kubelet-client": ask.KUBELET_CLIENT,
    "kube-apiserver-client": ask.CLIENT,
    "legacy-unknown": ask.LEGACY_UNKNOWN,
}
"""What the flag calls it → the signer's name."""


def add_flags(parser: flags.Parser) -> None:
    """Add the flags; without any, no requests are signed."""
    for name in ("", *SIGNERS):
        what = f"requests for {SIGNERS[name]}" if name else "all requests for certificates"
        infix = f"-{name}" if name else ""
        parser.option(f"--cluster-signing{infix}-cert-file", f"signs {what}", type=flags.file)
        parser.option(f"--cluster-signing{infix}-key-file", "its key", type=flags.file)
    parser.option(
        "--cluster-signing-duration",
        "the longest a signed certificate is good",
        type=flags.duration,
        default=365 * 86400.0,
        metavar="TIME",
    )


def check(args: Namespace) -> list[str]:
    """Return which flags do not go together."""
    problems = []
    given = []
    for name in ("", *SIGNERS):
        certificate, key = _files(args, name)
        if bool(certificate) != bool(key):
            infix = f"-{name}" if name else ""
            problems.append(
                f"--cluster-signing{infix}-cert-file and --cluster-signing{infix}-key-file "
                "go together"
            )
        if certificate or key:
            given.append(name)
    if "" in given and len(given) > 1:
        problems.append(
            "cannot specify --cluster-signing-{cert,key}-file and other "
            "--cluster-signing-*-file flags at the same time"
        )
    if args.cluster_signing_duration <= 0:
        problems.append("--cluster-signing-duration must be greater than 0")
    return problems


def authorities(args: Namespace) -> dict[str, pki.KeyPair]:
    """Read the files.

    Raises:
        Fatal: one cannot be read, or a key is not the certificate's.
    """
    found = {}
    for name, signer in SIGNERS.items():
        certificate, key = _files(args, name)
        if not certificate:
            certificate, key = _files(args, "")
        if not certificate or not key:
            continue
        try:
            pair = pki.KeyPair.load(certificate, key)
            fits = pki.key_matches(pair)
        except OSError as error:
            raise Fatal(f"cannot read {error.filename}: {error.strerror}.") from None
        except pki.PkiError as error:
            raise Fatal(f"cannot sign with {certificate} and {key}: {error}.") from None
        if not fits:
            raise Fatal(f"{key} is not the key of {certificate}.")
        found[signer] = pair
    return found


def _files(args: Namespace, name: str) -> tuple[str, str]:
    prefix = f"cluster_signing_{name.replace('-', '_')}_" if name else "cluster_signing_"
    return getattr(args, f"{prefix}cert_file"), getattr(args, f"{prefix}key_file")

"""Tokens of service accounts: signed by us, bound to objects, good for a while.

In:   a service account and what the token is bound to; or a token.
Out:  a JWT; or the User it stands for.
By:   `serviceaccounts/token`, authn.chain, TokenReview.

A token is only as good as what it is bound to: the account, and the pod, secret or node, if named,
must exist with the same uid. That is looked up with each request, so that a deleted pod's token
ends with the pod; the signature is checked once.
"""

from __future__ import annotations

import functools
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api.core import account_tokens
from kybern.apiserver.authn import legacy_tokens
from kybern.apiserver.context import AUTHENTICATED, User
from kybern.apiserver.registry import selectable
from kybern.lib import jwt, pki
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from kybern.apiserver.config import Config
    from kybern.lib.clock import Clock
    from kybern.store.interface import Entry
    from kybern.store.objects import Store

PREFIX = "system:serviceaccount:"
ALL, IN_NAMESPACE = "system:serviceaccounts", "system:serviceaccounts:"
CLAIMS = "kubernetes.io"
EXTRA = "authentication.kubernetes.io/"
KEPT = 16384
LINGER = 60.0
"""Seconds a token outlives the deletion request of what it is bound to, as upstream."""


class Bound(NamedTuple):
    """Something a token depends on."""

    key: str
    uid: str


class Verified(NamedTuple):
    """A token whose signature and claims were checked."""

    user: User
    audiences: tuple[str, ...]
    starts: float
    expires: float
    bound: tuple[Bound, ...]
    legacy: legacy_tokens.Claimed | None = None
    """What it says, for one that lives in a Secret."""


class Tokens:
    """Issues tokens and recognises them."""

    def __init__(self, config: Config, store: Store, clock: Clock) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        if config.service_account_key or config.service_account_public_keys:
            _ = self._verifier  # keys that are none should end the start, not a request
        self.legacy = legacy_tokens.LegacyTokens(store, clock)
        self._known: dict[str, Verified] = {}
        self._alive: dict[str, Entry] = {}

    @functools.cached_property
    def _signer(self) -> jwt.Signer:
        """What signs; without a configured key made with the first token, and then for this run."""
        return jwt.Signer(self._config.service_account_key or pki.make_key())

    @functools.cached_property
    def _verifier(self) -> jwt.Verifier:
        others = map(jwt.PublicKey.from_pem, self._config.service_account_public_keys)
        by_id = {key.kid: key for key in (self._signer.public_key, *others)}
        return jwt.Verifier(by_id.values())

    def keys(self) -> dict[str, Any]:
        """Return the JSON Web Key Set for whoever wants to check tokens without asking us."""
        return jwt.key_set(self._verifier.keys)

    def algorithms(self) -> list[str]:
        """Return how tokens may be signed."""
        return sorted({key.algorithms[0] for key in self._verifier.keys})

    def issue(
        self,
        namespace: str,
        name: str,
        uid: str,
        *,
        audiences: tuple[str, ...],
        seconds: int,
        bound: dict[str, dict[str, str]],
        jti: str,
    ) -> str:
        """Return a token for a service account.

        Args:
            namespace: of the account.
            name: of the account.
            uid: of the account.
            audiences: whom it is meant for.
            seconds: how long it is good.
            bound: `pod`, `secret` or `node` to the `name` and `uid` of such an object.
            jti: the token's own id.
        """
        now = int(self._clock.now())
        private: dict[str, Any] = {
            "namespace": namespace,
            **bound,
            "serviceaccount": {"name": name, "uid": uid},
        }
        return self._signer.sign(
            {
                "aud": list(audiences),
                "exp": now + seconds,
                "iat": now,
                "iss": self._config.issuer,
                "jti": jti,
                CLAIMS: private,
                "nbf": now,
                "sub": f"{PREFIX}{namespace}:{name}",
            }
        )

    def user(self, token: str, audiences: tuple[str, ...] = ()) -> User | None:
        """Return whom a token stands for, if it is good now for one of the audiences."""
        found = self.verify(token)
        if found is None:
            return None
        wanted = audiences or self._config.audiences
        if not any(audience in wanted for audience in found.audiences):
            return None
        return found.user

    def verify(self, token: str) -> Verified | None:
        """Return what a token says, if it is good now; None otherwise."""
        found = self._known.get(token)
        if found is None:
            found = self._check(token)
            if found is None:
                return None
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[token] = found
        now = self._clock.now()
        if not found.starts <= now < found.expires:
            return None
        if not all(self._exists(each, now) for each in found.bound):
            return None
        if found.legacy is not None and not self.legacy.good(found.legacy, token):
            return None
        return found

    def _check(self, token: str) -> Verified | None:
        try:
            claims = self._verifier.verify(token)
        except jwt.InvalidToken:
            return None
        if claims.get("iss") == account_tokens.ISSUER:
            return self._legacy(claims)
        if claims.get("iss") != self._config.issuer:
            return None
        private = claims.get(CLAIMS)
        if not isinstance(private, dict):
            return None
        account, namespace = private.get("serviceaccount") or {}, private.get("namespace", "")
        name, uid = account.get("name", ""), account.get("uid", "")
        if claims.get("sub") != f"{PREFIX}{namespace}:{name}" or not uid:
            return None
        bound = [Bound(f"/registry/serviceaccounts/{namespace}/{name}", uid)]
        for kind, prefix in (
            ("pod", f"/registry/pods/{namespace}/"),
            ("secret", f"/registry/secrets/{namespace}/"),
        ):
            if kind in private:
                bound.append(Bound(prefix + private[kind]["name"], private[kind]["uid"]))
        if "node" in private and "pod" not in private:
            node = private["node"]
            bound.append(Bound("/registry/minions/" + node["name"], node["uid"]))
        audience = claims.get("aud") or []
        return Verified(
            User(
                f"{PREFIX}{namespace}:{name}",
                (ALL, IN_NAMESPACE + namespace, AUTHENTICATED),
                uid,
                _extra(claims, private),
            ),
            tuple([audience] if isinstance(audience, str) else audience),
            float(claims.get("nbf", 0)) - 1,
            float(claims.get("exp", 0)),
            tuple(bound),
        )

    def _legacy(self, claims: dict[str, Any]) -> Verified | None:
        claimed = legacy_tokens.read(claims)
        if claimed is None:
            return None
        namespace, name, uid, _ = claimed
        return Verified(
            User(
                f"{PREFIX}{namespace}:{name}", (ALL, IN_NAMESPACE + namespace, AUTHENTICATED), uid
            ),
            self._config.audiences,
            0.0,
            inf,
            (Bound(f"/registry/serviceaccounts/{namespace}/{name}", uid),),
            claimed,
        )

    def _exists(self, bound: Bound, now: float) -> bool:
        entry = self._store.get(bound.key)
        if entry is None:
            return False
        if self._alive.get(bound.uid) is entry:
            return True
        meta = selectable.PLAIN.look(entry.held).metadata
        if meta.uid != bound.uid:
            return False
        if meta.deletionTimestamp is not None:
            return parse_rfc3339(meta.deletionTimestamp) + LINGER > now
        if len(self._alive) >= KEPT:
            self._alive.clear()
        self._alive[bound.uid] = entry
        return True


def _extra(claims: dict[str, Any], private: dict[str, Any]) -> dict[str, list[str]]:
    extra = {}
    if claims.get("jti"):
        extra[EXTRA + "credential-id"] = [f"JTI={claims['jti']}"]
    for kind in ("pod", "node"):
        if kind in private:
            extra[f"{EXTRA}{kind}-name"] = [private[kind]["name"]]
            if "uid" in private[kind]:  # a pod's node need not be known yet
                extra[f"{EXTRA}{kind}-uid"] = [private[kind]["uid"]]
    return extra

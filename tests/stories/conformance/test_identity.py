"""A pod's token can be checked by anybody, with what the API server publishes."""

import json
import ssl
import urllib.request

from kybern.lib import jwt
from tests.conformance.marks import conforms
from tests.stories.conformance.pods import run, shell

FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


@conforms(
    "[sig-auth] ServiceAccounts ServiceAccountIssuerDiscovery should support OIDC discovery of service account issuer [Conformance]",
)
def test_a_pods_token_is_verified(k, cluster):
    said = run(
        k,
        [shell("token", f"cat {FOLDER}/token"), shell("authority", f"cat {FOLDER}/ca.crt")],
        name="discovering",
    )
    token = said["token"]
    trust = ssl.create_default_context(cadata=said["authority"])

    def fetch(path):
        request = urllib.request.Request(
            f"https://127.0.0.1:{cluster.port}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, context=trust) as answer:
            return json.load(answer)

    document = fetch("/.well-known/openid-configuration")
    assert document["issuer"] == jwt.unverified(token)["iss"]
    assert document["jwks_uri"].endswith("/openid/v1/jwks")
    assert document["response_types_supported"] == ["id_token"]
    assert document["subject_types_supported"] == ["public"]
    keys = [jwt.PublicKey.from_jwk(key) for key in fetch("/openid/v1/jwks")["keys"]]
    signed = {key.algorithms[0] for key in keys}
    assert signed == set(document["id_token_signing_alg_values_supported"])
    claims = jwt.Verifier(keys).verify(token)
    assert claims["sub"] == f"system:serviceaccount:{k.namespace}:default"
    assert claims["kubernetes.io"]["pod"]["name"] == "discovering"

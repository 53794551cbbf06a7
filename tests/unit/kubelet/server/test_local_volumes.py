"""What a kubelet says about volumes on its disk."""

from __future__ import annotations

import asyncio
import json

import pytest

from kybern.api import errors
from kybern.kubelet.server.local_volumes import answer
from kybern.kubelet.volumes.local_images import InUse, LocalVolumeProblem, Made
from kybern.lib.http.messages import Request


class Volumes:
    def __init__(self, problem=None):
        self.problem = problem
        self.done = []

    async def ensure(self, name, size):
        if self.problem:
            raise self.problem
        self.done.append((name, size))
        return Made(f"/volumes/{name}", enforced=True)

    async def remove(self, name):
        self.done.append((name, None))


def ask(method, body=b"", problem=None):
    volumes = Volumes(problem)
    request = Request(method, "/localVolumes/v", body=body)
    found = asyncio.run(answer(request, volumes, "v"))
    return found.status, json.loads(found.body), volumes.done


def test_a_volume_is_made_and_removed():
    made = {"path": "/volumes/v", "enforced": True}
    assert ask("PUT", b'{"bytes": 7}') == (200, made, [("v", 7)])
    assert ask("DELETE") == (200, {}, [("v", None)])


@pytest.mark.parametrize(
    ("body", "problem", "error", "words"),
    [
        (b'{"bytes": 7}', InUse("v"), errors.Conflict, "volume v can only grow while no pod"),
        (b'{"bytes": 7}', LocalVolumeProblem("mkfs said no"), errors.InternalError, "mkfs said no"),
        (b"7", None, errors.BadRequest, 'the body must be {"bytes": SIZE}'),
        (b"{}", None, errors.BadRequest, 'the body must be {"bytes": SIZE}'),
    ],
)
def test_what_cannot_be_is_said_in_words_that_reach_the_claim(body, problem, error, words):
    code, tree, _ = ask("PUT", body, problem)
    found = errors.from_status(tree, code)
    assert type(found) is error
    assert found.message.startswith(words)


def test_other_methods():
    assert ask("GET")[0] == 405

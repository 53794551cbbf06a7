"""Lists in pieces: limit and continue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.marks import conforms
from tests.conformance.world import World, refused, world

if TYPE_CHECKING:
    from tests.conformance.wire import Resource

COUNT = 400


async def fill(w: World) -> Resource:
    """Make many PodTemplates."""
    templates = w.resource("v1", "podtemplates", await w.namespace())
    spec = {"containers": [{"name": "test", "image": "test2"}]}
    for number in range(COUNT):
        name = f"template-{number:04}"
        await templates.create({"metadata": {"name": name}, "template": {"spec": spec}})
    return templates


@conforms(
    "[sig-api-machinery] Servers with support for API chunking should return chunks of results for"
    " list calls [Conformance]"
)
@world()
async def test_pages_are_of_one_revision(w: World) -> None:
    templates = await fill(w)
    for limit in (17, 100, 399, 400, 401):
        found, token, revision = [], "", ""
        while True:
            options = {"continue": token} if token else {}
            page = await templates.list(limit=limit, **options)
            meta = page["metadata"]
            revision = revision or meta["resourceVersion"]
            assert meta["resourceVersion"] == revision
            assert len(page["items"]) <= limit
            found += [item["metadata"]["name"] for item in page["items"]]
            token = meta.get("continue", "")
            if not token:
                assert "remainingItemCount" not in meta
                break
            assert meta["remainingItemCount"] == COUNT - len(found)
            # what is written meanwhile does not show up
            await templates.patch("template-0399", {"metadata": {"labels": {"seen": str(limit)}}})
        assert found == [f"template-{number:04}" for number in range(COUNT)]
    whole = await templates.list(limit=COUNT + 1)
    assert len(whole["items"]) == COUNT
    assert whole["metadata"].keys() == {"resourceVersion"}
    assert len(await templates.items()) == COUNT


@conforms(
    "[sig-api-machinery] Servers with support for API chunking should support continue listing from"
    " the last key if the original version has been compacted away, though the list is inconsistent"
    " [Slow] [Conformance]"
)
@world()
async def test_an_expired_token_comes_with_another(w: World) -> None:
    templates = await fill(w)
    first = await templates.list(limit=40)
    token = first["metadata"]["continue"]
    assert first["metadata"]["remainingItemCount"] == COUNT - 40
    await templates.patch("template-0399", {"metadata": {"labels": {"changed": "yes"}}})

    async def expired() -> bool:
        """Poll as upstream does: the server forgets the past by itself."""
        await w.settle(20)
        page = await w.raw("GET", templates.kind.path(templates.namespace),
                           query={"limit": 40, "continue": token})  # fmt: skip
        return page.status == 410

    await w.wait(expired, 20 * 60)
    with refused(410, "Expired") as answers:
        await templates.list(limit=40, **{"continue": token})
    assert "The provided continue parameter is too old" in answers[0].message
    inconsistent = answers[0].tree["metadata"]["continue"]
    assert inconsistent not in ("", token)

    page = await templates.list(limit=40, **{"continue": inconsistent})
    revision = page["metadata"]["resourceVersion"]
    assert int(revision) > int(first["metadata"]["resourceVersion"])
    found = [item["metadata"]["name"] for item in page["items"]]
    while token := page["metadata"].get("continue", ""):
        assert page["metadata"]["remainingItemCount"] == COUNT - 40 - len(found)
        page = await templates.list(limit=40, **{"continue": token})
        assert page["metadata"]["resourceVersion"] == revision
        found += [item["metadata"]["name"] for item in page["items"]]
    assert found == [f"template-{number:04}" for number in range(40, COUNT)]

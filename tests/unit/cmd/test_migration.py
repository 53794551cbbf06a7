"""`kybern store migrate`: from addresses to media."""

import pytest

from kybern.cli.errors import Failed
from kybern.cmd.migration import run
from kybern.store.kv.sqlite import SqliteEngine


def quiet(_done, _all):
    pass


def test_between_files_named_either_way(tmp_path, live):
    async def fill():
        engine = await SqliteEngine.open(tmp_path / "a.db")
        await engine.create("/registry/pods/a/x", b"{}")
        await engine.close()

    live(fill())
    assert run(f"sqlite:{tmp_path}/a.db", f"sqlite://{tmp_path}/b.db", quiet) == (1, 0)
    assert run(f"sqlite://{tmp_path}/b.db", f"sqlite:{tmp_path}/new/c.db", quiet) == (1, 0)


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        ("sqlite:a", "sqlite:a", "are the same"),
        ("memory:", "sqlite:a", "in memory is gone"),
        ("sqlite:/none", "sqlite:/b", "there is no file /none"),
        ("nfs:a", "sqlite:a", "neither sqlite:PATH nor etcd://HOST:PORT"),
        ("sqlite:", "sqlite:a", "neither sqlite:PATH nor etcd://HOST:PORT"),
    ],
)
def test_what_cannot_be_is_one_sentence(source, target, why):
    with pytest.raises(Failed, match=why) as error:
        run(source, target, quiet)
    assert str(error.value).endswith(".")

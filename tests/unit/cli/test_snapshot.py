"""`kybern snapshot`: what the user is told."""

from types import SimpleNamespace


def test_save_says_what_the_file_holds(kybern, directory, tmp_path):
    def saver(where, path, report):
        assert where.root == directory.root
        report(1, 2)
        path.write_bytes(b"x" * 1_500_000)
        return 1234, 99

    done = kybern("snapshot", "save", tmp_path / "s", "--data-dir", directory.root, saver=saver)
    assert done.code == 0
    assert "1,234 objects at revision 99, 1.5 MB" in done.err
    assert "keep it where only you can read it" in done.err


def test_a_directory_is_no_place_for_a_snapshot(kybern, tmp_path):
    done = kybern("snapshot", "save", tmp_path, "--data-dir", tmp_path)
    assert (done.code, "is a directory" in done.err) == (1, True)


def test_restore_says_where_the_old_store_is(kybern, directory, tmp_path):
    (tmp_path / "s").write_bytes(b"")

    def restorer(*_):
        return SimpleNamespace(objects=7, taken="then", aside=tmp_path / "aside", missing="/keys")

    done = kybern(
        "snapshot", "restore", tmp_path / "s", "--data-dir", directory.root, restorer=restorer
    )
    assert done.code == 0
    assert "7 objects as they were at then." in done.err
    assert "What is encrypted needs /keys, which is not here" in done.err
    assert f"What was there before is in {tmp_path / 'aside'}" in done.err
    assert f"kybern up --data-dir {directory.root}" in done.err

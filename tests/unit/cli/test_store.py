"""`kybern store migrate`: what the user is told."""


def test_migrate_says_what_was_copied(kybern):
    def migrator(source, target, report):
        report(1, 2)
        assert (source, target) == ("sqlite:a", "sqlite:b")
        return 1234, 1000

    done = kybern("store", "migrate", "sqlite:a", "sqlite:b", migrator=migrator)
    assert done.code == 0
    assert "1,234 objects, 1,000 of them by a migration that was interrupted" in done.err

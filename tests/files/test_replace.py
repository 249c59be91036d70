"""Tests of the replacement of files and folders: a failure loses neither version."""

import os
import stat

import pytest

from flowjax.files.replace import entries, replacing, replacing_folder


def fails_at(monkeypatch, path, count=1):
    """Lets the next `count` moves to `path` fail, as on a busy mount point."""
    real, left = os.replace, [count]

    def move(source, target):
        if str(target) == str(path) and left[0]:
            left[0] -= 1
            raise OSError(16, "Device or resource busy", str(source), None, str(target))
        return real(source, target)

    monkeypatch.setattr(os, "replace", move)


def write(folder, text):
    with replacing_folder(folder) as new:
        (new / "a").write_text(text)


def test_a_file_is_replaced_and_a_failure_keeps_it(tmp_path, monkeypatch):
    file = tmp_path / "a"
    (tmp_path / "a.partial").write_text("the user's")
    (tmp_path / ".a.partial").write_text("the user's")
    for text in ("one", "two"):
        with replacing(file) as new:
            new.write_text(text)
        assert file.read_text() == text
    with pytest.raises(KeyError), replacing(file) as new:
        new.write_text("three")
        raise KeyError
    fails_at(monkeypatch, file)
    with pytest.raises(OSError), replacing(file) as new:
        new.write_text("three")
    assert file.read_text() == "two"
    assert sorted(os.listdir(tmp_path)) == [".a.partial", "a", "a.partial"]
    assert (tmp_path / ".a.partial").read_text() == "the user's"


def test_a_folder_is_replaced_and_a_failure_keeps_it(tmp_path, monkeypatch):
    folder = tmp_path / "new" / "folder"
    for text in ("one", "two"):
        write(folder, text)
        assert (folder / "a").read_text() == text
    fails_at(monkeypatch, folder)
    with pytest.raises(OSError, match="busy"):
        write(folder, "three")
    assert (folder / "a").read_text() == "two" and os.listdir(tmp_path / "new") == ["folder"]


def test_if_nothing_can_be_moved_the_error_names_the_earlier_folder(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    write(folder, "one")
    fails_at(monkeypatch, folder, count=2)
    with pytest.raises(OSError, match="the earlier folder is now") as error:
        write(folder, "two")
    (left,) = tmp_path.iterdir()
    assert str(left) in str(error.value) and (left / "a").read_text() == "one"


def test_a_link_stays_a_link(tmp_path):
    write(tmp_path / "v1", "one")
    (tmp_path / "latest").symlink_to("v1")
    write(tmp_path / "latest", "two")
    assert (tmp_path / "latest").is_symlink() and (tmp_path / "v1" / "a").read_text() == "two"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        write(tmp_path / "folder", "text")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("folder", "folder/a")]
    assert modes == [0o777 & ~mask, 0o666 & ~mask]


def test_entries_lists_links_to_folders_and_nested_files(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert entries(tmp_path) == ["a/b/file", "link"]


def test_contents_are_flushed_before_the_move_and_the_folder_after(tmp_path, monkeypatch):
    events, fsync, move = [], os.fsync, os.replace

    def name(path):
        return "new" if str(path).endswith(".partial") else os.path.basename(path)

    def noted_fsync(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        size = os.fstat(descriptor).st_size if os.path.isfile(path) else None
        events.append(("fsync", name(path), size))
        fsync(descriptor)

    def noted_replace(source, target):
        events.append(("move", name(source), name(target)))
        move(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    after = ("fsync", tmp_path.name, None)
    with replacing(tmp_path / "file") as new:
        new.write_text("four")
    assert events == [("fsync", "new", 4), ("move", "new", "file"), after]
    events.clear()
    with replacing_folder(tmp_path / "folder") as new:
        (new / "b").mkdir()
        for path in ("a", "b/c"):
            (new / path).write_text(path)
    assert events == [("fsync", "a", 1), ("fsync", "c", 3), ("move", "new", "folder"), after]


def test_the_target_of_a_link_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("one")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "file")
    with replacing(tmp_path / "link") as new:
        new.write_text("two")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "file").read_text() == "two"
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    write(tmp_path / "folder", "three")
    assert (tmp_path / "folder").is_symlink() and entries(tmp_path / "real") == ["a"]

"""A tree of files becomes the same layer wherever and whenever it is written."""

from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path

from image_tree import Tree


def _python_tree(source: Path) -> Tree:
    tree = Tree()
    tree.add_python("/lib/code", source, lambda path: "tests" in path.parts)
    return tree


def test_times_owners_and_order_of_creation_leave_no_trace(tmp_path: Path) -> None:
    for name, order in (("a", ("x.py", "y.py")), ("b", ("y.py", "x.py"))):
        folder = tmp_path / name
        folder.mkdir()
        for file in order:
            (folder / file).write_text("answer = 42\n")
            os.utime(folder / file, (0, len(name) + len(order)))
        os.utime(folder / "x.py")
        _python_tree(folder).write(tmp_path / f"{name}.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_python_gets_bytecode_and_loses_what_is_skipped(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "tests").mkdir(parents=True)
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "module.cpython-00.pyc").write_bytes(b"stale")
    (source / "module.py").write_text("answer = 42\n")
    (source / "tests" / "test_module.py").write_text("")
    (source / "python2.py").write_text("print 'hello'\n")
    tree = _python_tree(source)
    names = {path.removeprefix("/lib/code/") for path in tree.entries}
    assert names == {
        "module.py",
        f"__pycache__/module.{sys.implementation.cache_tag}.pyc",
        "python2.py",
    }


def test_parents_come_before_what_is_in_them_and_keep_a_mode_given_to_them(tmp_path: Path) -> None:
    tree = Tree()
    tree.add_text("/tmp/deep/file", "text")
    tree.add_folder("/tmp", 0o1777)
    tree.add_link("/tmp/link", "deep/file")
    tree.write(tmp_path / "layer.tar")
    with tarfile.open(tmp_path / "layer.tar") as tar:
        members = {member.name: member for member in tar.getmembers()}
    assert list(members) == ["tmp", "tmp/deep", "tmp/deep/file", "tmp/link"]
    assert members["tmp"].mode == 0o1777
    assert members["tmp/deep"].isdir()
    assert members["tmp/link"].linkname == "deep/file"
    assert {(member.mtime, member.uid, member.gid) for member in members.values()} == {(0, 0, 0)}

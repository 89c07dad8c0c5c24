"""The index of a tar shard: every form of tar, what it keeps, and each kind of file that is refused."""

import gzip
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from essential.errors import DataError
from essential.remote import copies
from essential.remote import tar_index as module
from essential.remote.copies import local_copy
from essential.remote.tar_index import Shard, tar_index
from essential.remote.tar_shards import TarShards
from made_tars import write_tar

FILES = {
    "a/one.mp4": b"1" * 700,
    "a/one.cls": b" 7\n",
    "two.mp4": b"",
    "b/" + "long" * 40 + "/three.mp4": b"3" * 5000,
    "caf\u00e9.json": b'{"label": "jumping", "seconds": 3}',
    "four.txt": b"a b\r\n",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ESSENTIAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tar-shards"


def read(locator: str) -> bytes:
    vars(copies._kept).clear()  # the last copy
    with local_copy(locator) as path:
        assert path.suffix == Path(locator).suffix
        return path.read_bytes()


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_every_file_is_found_and_read_by_its_range(tmp_path: Path, form: int) -> None:
    shards = TarShards(str(write_tar(tmp_path / "x.tar", FILES, form=form)))
    assert list(shards.files().items()) == [(name, len(content)) for name, content in FILES.items()]
    for name, content in FILES.items():
        locator = shards.locator(name)
        assert shards.name_of(locator) == name
        assert read(locator) == content


def test_ustar_and_what_tar_itself_packs_are_read(tmp_path: Path) -> None:
    short = {name: content for name, content in FILES.items() if len(name) < 100}
    assert [*TarShards(str(write_tar(tmp_path / "u.tar", short, form=tarfile.USTAR_FORMAT))).files()] == [*short]
    folder = tmp_path / "folder"
    for name, content in short.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    with tarfile.open(tmp_path / "dot.tar", "w") as tar:
        tar.add(folder, ".")  # as `tar cf x.tar -C folder .` does: `./` and folders
    assert dict(TarShards(str(tmp_path / "dot.tar")).files()) == {name: len(each) for name, each in short.items()}


def test_labels_are_the_text_of_small_files(tmp_path: Path) -> None:
    more = {
        "number.json": b'{"label": 3}',
        "list.json": b'["label"]',
        "true.json": b'{"label": true}',
        "twice.json": b'{"label": 1, "label": 2}',
        "empty.txt": b"  \n",
        "bytes.cls": b"\xff",
        "long.txt": b"x" * 1001,
        "huge.txt": b"x" * (1 << 17),
        "UPPER.CLS": b"\xef\xbb\xbfup",
    }
    shards = TarShards(str(write_tar(tmp_path / "x.tar", {**FILES, **more})))
    (index,) = shards.indexes.values()
    nothing = dict.fromkeys(["list.json", "true.json", "twice.json", "empty.txt", "bytes.cls", "long.txt", "huge.txt"])
    found = {"a/one.cls": "7", "caf\u00e9.json": "jumping", "four.txt": "a b", "number.json": "3", "UPPER.CLS": "up"}
    assert index.labels == {**found, **nothing}


def test_of_videos_only_the_headers_are_read(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {f"{number}.mp4": bytes(1 << 18) for number in range(8)})
    content, asked = path.read_bytes(), list[int]()

    def counted(first: int, count: int) -> bytes:
        asked.append(count)
        return content[first : first + count]

    index = tar_index(Shard("s3://bucket/x.tar", len(content), "1", counted, 1 << 12))
    assert len(index.names) == 8
    assert len(asked) <= 8 + 3
    assert sum(asked) <= (8 + 3) << 12


def test_an_index_is_kept_until_its_shard_changes(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tar(tmp_path / "x.tar", FILES)
    first = TarShards(str(path)).indexes[str(path)]
    with monkeypatch.context() as patch:
        patch.setattr(module, "_walked", lambda _: pytest.fail("it was walked again"))
        again = TarShards(str(path)).indexes[str(path)]
    assert (again.names, again.labels) == (first.names, first.labels)
    assert again.firsts.tolist() == first.firsts.tolist()
    assert again.sizes.tolist() == first.sizes.tolist()
    (kept,) = own_cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:-3] + b"xyz")  # damage is made good
    assert TarShards(str(path)).indexes[str(path)].sizes.tolist() == first.sizes.tolist()
    write_tar(path, {"other.mp4": b"5" * 700})
    os.utime(path, ns=(0, 0))
    assert [*TarShards(str(path)).files()] == ["other.mp4"]


def test_an_index_is_made_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ESSENTIAL_CACHE", str(tmp_path / "file"))
    assert [*TarShards(str(write_tar(tmp_path / "x.tar", FILES))).files()] == [*FILES]


def test_in_a_shard_that_was_packed_anew_a_file_is_looked_for(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {"a.mp4": b"1" * 700, "b.mp4": b"2" * 700})
    locator = TarShards(str(path)).locator("b.mp4")
    for files in (
        {"a.mp4": b"1" * 300, "b.mp4": b"3" * 701},
        {"a.mp4": b"1" * 700, "c.mp4": b"4" * 700, "b.mp4": b"5" * 700},  # the same place and size, another name
        {"b.mp4": b"6" * 700},
        {"a.mp4": b"1" * 700, "b.mp4": b"7"},
    ):
        write_tar(path, files)
        assert read(locator) == files["b.mp4"]
    write_tar(path, {"a.mp4": b"1" * 700, "c.mp4": b"2" * 700})
    with pytest.raises(FileNotFoundError):
        read(locator)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(DataError, match=r"x\.tar: ends early, at byte 400"):
        read(locator)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read(locator)


def test_a_header_damaged_without_a_trace_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {"a.mp4": b"1" * 700}, form=tarfile.USTAR_FORMAT)
    locator, status, content = TarShards(str(path)).locator("a.mp4"), path.stat(), bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match=r"x\.tar, a\.mp4: its header is damaged; pack the shard again"):
        read(locator)


def test_a_file_that_no_shard_holds_has_a_locator_and_is_absent(tmp_path: Path) -> None:
    shards = TarShards(str(write_tar(tmp_path / "x.tar", FILES)))
    locator = shards.locator("none.mp4")
    assert shards.name_of(locator) == "none.mp4"
    with pytest.raises(FileNotFoundError):
        read(locator)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize("size", [100, 512, 700, 1024, 1500, 1536, 1600, 2048])
def test_a_shard_that_ends_early_is_refused(tmp_path: Path, size: int) -> None:
    path = write_tar(tmp_path / "x.tar", {"a.mp4": b"1" * 700, "b.mp4": b"2"}, form=tarfile.USTAR_FORMAT)
    cut(path, size)
    with pytest.raises(DataError, match=r"/x\.tar: ends early, at byte [\d,]+, without the end.*; copy it again"):
        TarShards(str(path)).files()


def with_member(path: Path, name: str, change: Callable[[tarfile.TarInfo], None]) -> None:
    with tarfile.open(path, "w") as tar:
        good, odd = tarfile.TarInfo("good.mp4"), tarfile.TarInfo(name)
        change(odd)
        tar.addfile(good)
        tar.addfile(odd)


def of_type(kind: bytes) -> Callable[[tarfile.TarInfo], None]:
    def change(member: tarfile.TarInfo) -> None:
        member.type, member.linkname = kind, "good.mp4"

    return change


@pytest.mark.parametrize(
    ("name", "kind", "problem"),
    [
        ("/etc/a.mp4", tarfile.REGTYPE, "'/etc/a.mp4' is an absolute path"),
        ("../a.mp4", tarfile.REGTYPE, r"'\.\./a.mp4' leaves the folder with '\.\.'"),
        ("a/../../b.mp4", tarfile.REGTYPE, r"leaves the folder with '\.\.'"),
        ("../a", tarfile.DIRTYPE, r"leaves the folder with '\.\.'"),
        ("s3://bucket/a.mp4", tarfile.REGTYPE, "has an empty part"),
        ("a\nb.mp4", tarfile.REGTYPE, "is not UTF-8 text of one line"),
        ("a\udcff.mp4", tarfile.REGTYPE, "is not UTF-8 text of one line"),
        ("a.mp4", tarfile.SYMTYPE, "'a.mp4' is a link; put the file itself there"),
        ("a.mp4", tarfile.LNKTYPE, "'a.mp4' is a link; put the file itself there"),
        ("a.mp4", tarfile.CHRTYPE, "'a.mp4' is a device; put the file itself there"),
        ("a.mp4", tarfile.BLKTYPE, "'a.mp4' is a device"),
        ("a.mp4", tarfile.FIFOTYPE, "'a.mp4' is a pipe"),
        ("good.mp4", tarfile.REGTYPE, "holds the name 'good.mp4' twice"),
        ("./good.mp4", tarfile.REGTYPE, "holds the name 'good.mp4' twice"),
    ],
)
def test_members_that_no_folder_could_hold_are_refused(tmp_path: Path, name: str, kind: bytes, problem: str) -> None:
    path = tmp_path / "x.tar"
    with_member(path, name, of_type(kind))
    with pytest.raises(DataError, match=rf"/x\.tar: .*{problem}"):
        TarShards(str(path)).files()


def test_a_compressed_tar_is_refused_by_its_kind(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", FILES)
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match=r"x\.tar: is compressed \(gzip\): .*; uncompress it"):
        TarShards(str(path)).files()
    with pytest.raises(ValueError, match=r"x\.tar\.gz is no tar shard; give files that end in \.tar, not compressed"):
        TarShards(f"{path}.gz")


@pytest.mark.parametrize("content", [b"", b"video", b"x" * 4096, bytes(10240)])
def test_what_is_no_tar_with_files_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.tar: (ends early|is no tar file|holds no file)"):
        TarShards(str(tmp_path / "x.tar")).files()


def test_damage_between_members_is_found(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {"a.mp4": b"1", "b.mp4": b"2"}, form=tarfile.USTAR_FORMAT)
    content = bytearray(path.read_bytes())
    content[1024 + 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.tar: is no tar file, or damaged: byte 1,024 begins no header"):
        TarShards(str(path)).files()


def test_a_header_that_asks_for_memory_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, 1 << 40
    (tmp_path / "x.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(DataError, match=r"damaged: a header of 1,099,511,627,776 bytes"):
        TarShards(str(tmp_path / "x.tar")).files()


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_negative_length_is_damage(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("a.mp4")
    member.type, member.size = kind, -512
    (tmp_path / "x.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(DataError, match=r"x\.tar: is no tar file, or damaged: .*-512 bytes"):
        TarShards(str(tmp_path / "x.tar")).files()


def test_sparse_members_are_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("a.mp4")
    member.type = tarfile.GNUTYPE_SPARSE
    (tmp_path / "x.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(DataError, match=r"'a\.mp4' is sparse"):
        TarShards(str(tmp_path / "x.tar")).files()


def test_shards_are_one_tree_of_files(tmp_path: Path) -> None:
    for number in range(3):
        write_tar(tmp_path / f"train-{number:03}.tar", {f"{number}/clip.mp4": bytes([number])})
    shards = TarShards(str(tmp_path / "train-{000..002}.tar"))
    assert [*shards.files()] == ["0/clip.mp4", "1/clip.mp4", "2/clip.mp4"]
    assert [read(shards.locator(name)) for name in shards.files()] == [b"\0", b"\1", b"\2"]
    write_tar(tmp_path / "train-002.tar", {"0/clip.mp4": b""})
    with pytest.raises(
        DataError, match=r"'0/clip.mp4' is in two shards, .*/train-000\.tar and .*/train-002\.tar; give"
    ):
        TarShards(shards.url).files()


def test_shards_that_are_missing_are_counted_and_named(tmp_path: Path) -> None:
    write_tar(tmp_path / "train-001.tar", FILES)
    with pytest.raises(
        DataError, match=r"2 of 3 tar shards are missing: '.*train-000\.tar', '.*train-002\.tar'; put them there"
    ):
        TarShards(str(tmp_path / "train-{000..002}.tar")).files()


def test_a_folder_is_no_shard(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "folder.tar" / "x.tar", FILES)
    with pytest.raises(DataError, match=r"folder\.tar"):
        TarShards(str(path.parent)).files()

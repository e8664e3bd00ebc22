"""Folders and archives from strangers: whole ones are read, others refused with their name."""

import gzip
import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from seqjepa.errors import DataError
from seqjepa.reading.archives import Files, Member, file_state, is_archive, locate, members

FILES = {"a/1.txt": b"one", "a/b/2.txt": b"two" * 1000, "c.bin": os.urandom(5000)}


def make_tar(
    path: Path,
    change: Callable[[tarfile.TarInfo], None] = lambda info: None,
    mode: str = "w:gz",
    files: dict[str, bytes] = FILES,
) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            change(info)
            archive.addfile(info, io.BytesIO(data))
    return path


def make_zip(path: Path, files: dict[str, bytes] = FILES, **options: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_folder(path: Path) -> Path:
    for name, data in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def contents(path: Path) -> dict[str, bytes]:
    return {member.name: member.read(1 << 20) for member in members(path)}


def read_all(path: Path) -> None:
    for member in members(path):
        member.read(1 << 30)


@pytest.mark.parametrize("form", ["folder", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_whatever_the_form_the_files_are_the_same(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"data.{form}"
    if form == "folder":
        make_folder(path)
    elif form == "zip":
        make_zip(path)
    else:
        make_tar(path, mode=f"w:{form[4:]}")

    assert contents(path) == FILES and list(contents(path)) == list(FILES)
    assert is_archive(path) == (form != "folder")
    for member in members(path):
        assert member.size == len(FILES[member.name])
        assert str(path) in member.where and member.name in member.where


def test_folders_and_dots_are_no_files(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data")
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        archive.add(folder, ".")
    assert contents(tmp_path / "data.tar") == FILES


def test_a_zip_with_backslashes_has_the_same_folders(tmp_path: Path) -> None:
    files = {f".\\{name}".replace("/", "\\"): data for name, data in FILES.items()}
    path = make_zip(tmp_path / "windows.zip", {"a\\": b"", **files})
    assert contents(path) == FILES

    found = Files(path)
    assert found.names("a") == ["a/1.txt", "a/b/2.txt"]
    assert found.read("a/b/2.txt", 9999) == FILES["a/b/2.txt"]


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_double_slashes_and_dots_make_no_folder(tmp_path: Path, form: str) -> None:
    path, odd = tmp_path / f"data.{form}", {"./a//1.txt": b"one", "a/./b///2.txt": b"two"}
    make_zip(path, odd) if form == "zip" else make_tar(path, mode="w", files=odd)
    assert contents(path) == {"a/1.txt": b"one", "a/b/2.txt": b"two"}


def test_files_of_a_zip_and_a_folder_may_be_read_later(tmp_path: Path) -> None:
    for path in (make_zip(tmp_path / "data.zip"), make_folder(tmp_path / "data")):
        iteration = members(path)
        found = [next(iteration) for _ in FILES]
        assert all(member.lasting for member in found)
        assert [member.read(9999) for member in found[::-1]] == list(FILES.values())[::-1]
    assert not any(member.lasting for member in members(make_tar(tmp_path / "data.tar.gz")))


def rename(name: str) -> Callable[[tarfile.TarInfo], None]:
    return lambda info: setattr(info, "name", name)


def link(kind: bytes) -> Callable[[tarfile.TarInfo], None]:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    return change


NAMES = [
    "../evil",
    "a/../../evil",
    "/etc/evil",
    "a\\..\\..\\evil",
    "\\evil",
    "C:\\evil",
    "C:/evil",
    "..",
    "a/..",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    tar = make_tar(tmp_path / "a.tar", rename(name), "w", {"x": b"x"})
    message = "points outside the archive: get it from its publisher"
    for path in (tar, make_zip(tmp_path / "a.zip", {name: b"x"})):
        with pytest.raises(DataError, match=message):
            read_all(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tar", "a.zip"]


@pytest.mark.parametrize("name", ["a..b", "..a/b", "a...", "it's: fine", "a b/ü"])
def test_names_that_only_look_like_it(tmp_path: Path, name: str) -> None:
    files = {name: b"x"}
    tar = make_tar(tmp_path / "a.tar", mode="w", files=files)
    for path in (tar, make_zip(tmp_path / "a.zip", files)):
        assert contents(path) == files


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    path = make_tar(tmp_path / "a.tar", link(kind), "w")
    with pytest.raises(
        DataError, match=r"a.tar:a/1.txt is a link or device, which is not followed"
    ):
        read_all(path)


def test_a_link_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("innocent.jpg")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=r"a.zip:innocent.jpg is a link, which is not followed"):
        read_all(tmp_path / "a.zip")


def test_a_zip_or_tar_that_unpacks_to_hundreds_of_times_its_size(tmp_path: Path) -> None:
    zeros = {"zeros.jpg": bytes(4 << 20)}
    many = {f"{number}.jpg": bytes(1 << 18) for number in range(16)}
    paths = [
        make_zip(tmp_path / "a.zip", zeros),
        make_tar(tmp_path / "a.tar.gz", files=zeros),
        make_tar(tmp_path / "many.tar.gz", files=many),
    ]
    for path in paths:
        assert path.stat().st_size < 20_000
        with pytest.raises(DataError, match=r"unpacks from [\d,]+ to [\d,]+ bytes, beyond reason"):
            read_all(path)


def test_a_zip_that_lies_about_a_size(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"x.txt": bytes(1000)})
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02") + 24
    for size in (10, 2000):
        data[place : place + 4] = struct.pack("<I", size)
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"a\.zip"):
            read_all(path)


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE]
)
def test_a_tar_header_of_a_gigabyte_is_not_read(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 1 << 30
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(100_000))

    assert not is_archive(tmp_path / "a.tar.gz")
    message = r"damaged tar file, or no archive at all .*1,073,741,824 bytes"
    with pytest.raises(DataError, match=message):
        read_all(tmp_path / "a.tar.gz")


def test_a_tar_member_of_negative_size_is_no_endless_loop(tmp_path: Path) -> None:
    first, second = tarfile.TarInfo("x"), tarfile.TarInfo("y")
    block = bytearray(second.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" + (-1024 & (1 << 88) - 1).to_bytes(11, "big")  # base 256, negative
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    (tmp_path / "a.tar").write_bytes(first.tobuf(tarfile.GNU_FORMAT) + bytes(block) + bytes(1024))
    with pytest.raises(DataError, match=r"damaged tar file"):
        read_all(tmp_path / "a.tar")


def test_two_files_of_one_name(tmp_path: Path) -> None:
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(tmp_path / "a.zip", "w") as archive,
    ):
        archive.writestr("same.txt", "1")
        archive.writestr("same.txt", "2")
    make_tar(tmp_path / "a.tar", rename("./same.txt"), "w")

    message = r"same\.txt is there twice: get the archive from its publisher"
    for name in ("a.zip", "a.tar"):
        with pytest.raises(DataError, match=message):
            read_all(tmp_path / name)


def test_an_encrypted_zip(tmp_path: Path) -> None:
    data = bytearray(make_zip(tmp_path / "a.zip", {"x.txt": b"secret"}).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    message = r"x\.txt is encrypted: unpack it yourself and name the folder"
    with pytest.raises(DataError, match=message):
        read_all(tmp_path / "a.zip")


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_a_cut_archive_is_found_wherever_it_was_cut(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a.{form}"
    if form == "zip":
        make_zip(path)
    else:
        make_tar(path, mode=f"w:{form[4:]}")
    whole = path.read_bytes()

    # A plain tar is padded: it is whole with one block of zeros after its last member.
    end = len(whole)
    if form == "tar":
        end = 512 * -(-len(whole.rstrip(b"\0")) // 512) + 512

    for length in {*range(0, end, max(1, end // 40)), *range(0, end, 512), end - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"a\.(zip|tar|tar\.gz).*: get it again"):
            read_all(path)

    path.write_bytes(whole[:end])
    assert contents(path) == FILES


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_a_flipped_byte_in_what_is_read_is_found(tmp_path: Path, form: str) -> None:
    path = make_zip(tmp_path / "a.zip") if form == "zip" else make_tar(tmp_path / "a.tar.gz")
    whole = path.read_bytes()
    place = whole.find(FILES["c.bin"][2000:2010])
    if place < 0:
        place = len(whole) // 2
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(DataError, match=r"a\.(zip|tar\.gz).* get it again"):
        read_all(path)


@pytest.mark.parametrize("form", ["tar.gz", "tar.bz2", "tar.xz"])
def test_a_flipped_byte_behind_what_opening_reads_is_found(tmp_path: Path, form: str) -> None:
    path = make_tar(tmp_path / f"a.{form}", mode=f"w:{form[4:]}", files={"a": os.urandom(99_999)})
    data = bytearray(path.read_bytes())
    data[80_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.tar.* get it again"):
        read_all(path)


def test_a_damaged_header_in_a_tar_does_not_end_it_in_silence(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tar", mode="w")
    data = bytearray(path.read_bytes())
    data[data.index(b"c.bin") + 2] ^= 1
    path.write_bytes(data)
    message = r"a\.tar is a damaged tar file.*no member and no end at byte"
    with pytest.raises(DataError, match=message):
        read_all(path)


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "page.zip").write_text("<html>404</html>")
    (tmp_path / "empty.tar").touch()
    for name in ("page.zip", "empty.tar"):
        assert not is_archive(tmp_path / name)
        with pytest.raises(DataError, match="damaged tar file, or no archive at all"):
            read_all(tmp_path / name)
    with pytest.raises(DataError, match=r"there is no .*nothing"):
        read_all(tmp_path / "nothing")


def test_a_member_larger_than_its_kind_may_be(tmp_path: Path) -> None:
    member = Member("x", "archive:x", 100, lambda: io.BytesIO(bytes(100)))
    message = "archive:x has 100 bytes, more than the 99 such a file may have"
    with pytest.raises(DataError, match=message):
        member.read(99)
    with pytest.raises(DataError, match="archive:x ends after 7 bytes of 100"):
        Member("x", "archive:x", 100, lambda: io.BytesIO(bytes(7))).read(200)


def test_fingerprints_change_with_the_files_that_count(tmp_path: Path) -> None:
    def text(name: str) -> bool:
        return name.endswith(".txt")

    folder = make_folder(tmp_path / "data")
    whole, texts = file_state(folder), file_state(folder, text)
    assert whole == file_state(folder) != texts
    (folder / "new.bin").touch()
    assert file_state(folder) != whole and file_state(folder, text) == texts
    (folder / "a" / "1.txt").rename(folder / "a" / "3.txt")
    assert file_state(folder, text) != texts

    archive = make_zip(tmp_path / "a.zip")
    before = file_state(archive)
    os.utime(archive, ns=(5, 5))
    assert file_state(archive) != before
    with pytest.raises(DataError, match="there is no"):
        file_state(tmp_path / "nothing")


def test_locate_looks_one_step_down(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data")
    assert locate(folder, "x", "a", "c.bin") == folder / "a" and locate(folder, "x") == folder

"""Uploads are taken in as they come, in pieces of any size, and never beyond what is allowed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from running_service import BOUNDARY, form

from essential.serve.messages import Limits, Refusal
from essential.serve.uploads import Form

TYPE = f"multipart/form-data; boundary={BOUNDARY}"
LIMITS = Limits(clip_mb=1, silence_seconds=0.1)
MEGABYTE = 1024**2


def _form(folder: Path) -> Form:
    return Form(folder, LIMITS, file="clips", most_files=2, most_bytes=2 * MEGABYTE, texts=("class",))


def _read(pieces: Sequence[bytes], folder: Path, *, then_silent: bool = False) -> Form:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        if then_silent:
            await asyncio.sleep(10)

    form = _form(folder)
    asyncio.run(form.read(TYPE, chunks()))
    return form


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_form_is_the_same_in_pieces_of_any_size(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * 3 + b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n--"
    body = form([("class", None, "Grüße".encode()), ("clips", "../../x", content), ("clips", None, b"")])
    read = _read([body[start : start + size] for start in range(0, len(body), size)], tmp_path)
    assert read.texts == {"class": "Grüße"}
    assert read.clips == [tmp_path / "clip-1", tmp_path / "clip-2"]
    assert [path.read_bytes() for path in read.clips] == [content, b""]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip-1", "clip-2"]


def test_a_clip_that_is_too_large_is_refused_before_the_rest_is_read(tmp_path: Path) -> None:
    head = form([("clips", "a.mp4", b"")], end=False)[:-2]
    read = 0

    def pieces() -> Sequence[bytes]:
        return [head, *[b"x" * 65536] * 1000]

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        for piece in pieces():
            read += len(piece)
            yield piece

    with pytest.raises(Refusal, match=r"clip 1 has more than 1,048,576 bytes"):
        asyncio.run(_form(tmp_path).read(TYPE, endless()))
    assert read <= MEGABYTE + 2 * 65536
    assert (tmp_path / "clip-1").stat().st_size <= MEGABYTE


def test_what_is_no_part_counts_too(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        _read([form([]), *[b"\r\n" * 32768] * 100], tmp_path)
    assert caught.value.code == "too_large"
    with pytest.raises(Refusal, match="'class' twice"):
        _read([form([("class", None, b"x")] * 2)], tmp_path)


def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        _read([f"--{BOUNDARY}\r\nX: ".encode() + b"a" * 100_000], tmp_path)
    assert caught.value.code == "bad_form"


def test_an_upload_that_falls_silent_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        _read([form([("clips", "a.mp4", b"x")], end=False)], tmp_path, then_silent=True)
    assert (caught.value.status, caught.value.code) == (408, "upload_too_slow")


def test_too_many_clips_and_a_broken_off_form_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(Refusal, match="more than 2 clips"):
        _read([form([("clips", "a", b"x")] * 3)], tmp_path / "a")
    (tmp_path / "b").mkdir()
    with pytest.raises(Refusal, match="cut short"):
        _read([form([("clips", "a", b"x")], end=False)], tmp_path / "b")


def test_an_upload_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async def drops() -> AsyncIterator[bytes]:
        yield form([("clips", "a.mp4", b"x")], end=False)
        while True:
            await asyncio.sleep(0.01)
            yield b"x"

    slow = Form(tmp_path, Limits(upload_seconds=0.1), file="clips", most_files=1, most_bytes=MEGABYTE)
    with pytest.raises(Refusal) as caught:
        asyncio.run(slow.read(TYPE, drops()))
    assert (caught.value.status, caught.value.code) == (408, "upload_too_slow")

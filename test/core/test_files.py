"""Files appear whole or not at all, whatever goes wrong while they are written."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import resource
import stat
import struct
import urllib.error
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orpose_core.files import (
    LineLog,
    decode_image,
    metres,
    millimetres,
    read_color,
    read_depth,
    read_json,
    remove_temporaries,
    replacing,
    stranger,
    write_bytes,
    write_depth,
    write_json,
    write_picture,
    write_text,
)
from orpose_core.render import write_video


def _limited(limit: int, function, *args) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    function(*args)


def on_a_full_disk(function, *args, limit: int = 4096) -> None:
    """Call a function in a process that cannot write files beyond a size; it must see OSError."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_expects_os_error, args=(limit, function, *args))
    process.start()
    process.join()
    assert process.exitcode == 0


def _expects_os_error(limit: int, function, *args) -> None:
    try:
        _limited(limit, function, *args)
    except OSError as error:
        os._exit(0 if error.filename else 3)
    os._exit(4)


def noise(height: int = 120, width: int = 160) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)


def _write_log(path: Path) -> None:
    log = LineLog(path)
    for k in range(100):
        log.append(json.dumps({"k": k, "text": "x" * 100}))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.bin", lambda path: write_bytes(path, bytes(10_000))),
        ("a.txt", lambda path: write_text(path, "x" * 10_000)),
        ("a.json", lambda path: write_json(path, ["x" * 10_000])),
        ("a.png", lambda path: write_picture(path, noise())),
        ("a.jpg", lambda path: write_picture(path, noise())),
        ("b.png", lambda path: write_depth(path, noise()[..., 0].astype(np.float32))),
        ("a.gif", lambda path: write_video(path, [noise(), noise()])),
    ],
)
def test_a_full_disk_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, name, write):
    path = tmp_path / name
    path.write_bytes(b"old")
    on_a_full_disk(write, path)
    assert path.read_bytes() == b"old"
    assert [f.name for f in tmp_path.iterdir()] == [name]
    write(path)
    assert path.read_bytes() != b"old"
    assert [f.name for f in tmp_path.iterdir()] == [name]


def test_a_line_is_written_whole_or_not_at_all(tmp_path):
    log = LineLog(tmp_path / "log")
    on_a_full_disk(_write_log, log.path)
    lines = log.path.read_text().splitlines()
    assert [json.loads(line)["k"] for line in lines] == list(range(len(lines))) and 30 < len(lines) < 40
    log.append(json.dumps({"k": len(lines)}))
    assert json.loads(log.path.read_text().splitlines()[-1])["k"] == len(lines)


@given(st.lists(st.text("ab\u00e9", max_size=9)), st.integers(0, 40))
def test_what_a_kill_left_of_a_line_is_never_joined_to_the_next(tmp_path_factory, lines, kept):
    path = tmp_path_factory.mktemp("log") / "deep" / "log"
    LineLog(path).append(*lines)
    data = path.read_bytes()[:kept]
    path.write_bytes(data)
    whole = data[: data.rfind(b"\n") + 1]
    log = LineLog(path)
    log.append("next")
    assert path.read_bytes() == whole + b"next\n"
    assert log.cut() == len(whole) + 5


def test_an_unfinished_line_longer_than_what_is_read_at_once(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"first\n" + b"x" * 200_000)
    LineLog(path).append("second")
    assert path.read_bytes() == b"first\nsecond\n"


def test_an_error_while_writing_removes_the_temporary_file(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "deep" / "a.txt") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert list((tmp_path / "deep").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "names_the_file"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EFBIG, "File too large"), True),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), False),
        (TimeoutError(errno.ETIMEDOUT, "timed out"), False),
        (urllib.error.URLError(ConnectionRefusedError(errno.ECONNREFUSED, "refused")), False),
        (FileNotFoundError(errno.ENOENT, "No such file", "/another/file"), False),
    ],
    ids=lambda value: value if isinstance(value, bool) else type(value).__name__,
)
def test_only_errors_of_the_file_are_named_after_it(tmp_path, error, names_the_file):
    with pytest.raises(OSError) as raised, replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert (raised.value is error) != names_the_file
    assert (str(tmp_path / "a.txt") in str(raised.value)) == names_the_file
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_names_the_temporary_file_names_the_file(tmp_path):
    with (
        pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path / "a.txt"))),
        replacing(tmp_path / "a.txt") as temporary,
    ):
        temporary.mkdir()
        try:
            temporary.open("wb")
        finally:
            temporary.rmdir()


def test_names_as_long_as_file_systems_allow(tmp_path):
    path = tmp_path / ("\u00e9" * 120 + "x" * 11 + ".png")
    assert len(os.fsencode(path.name)) == 255
    write_picture(path, noise(4, 4))
    np.testing.assert_array_equal(read_color(path), noise(4, 4))


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as one, replacing(path) as two:
        one.write_text("one")
        two.write_text("two")
    assert path.read_text() == "one" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o664])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path, mode):
    path, before = tmp_path / "a.json", os.umask(0o022)
    try:
        write_text(path, "old")
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        path.chmod(mode)
        with replacing(path) as temporary:
            temporary.write_text("new")
            assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.stat().st_mode) == mode and path.read_text() == "new"
    finally:
        os.umask(before)


def test_only_own_temporary_files_are_removed(tmp_path):
    others = [".holiday.png", "._holiday.png", ".a.tmp", "a.orpose-tmp-1-1.png", ".orpose-tmp-x", ".git"]
    for name in others:
        (tmp_path / name).write_text("mine")
    (tmp_path / "deep").mkdir()
    killed, left = [], []
    for name in ("a.png", "labels.json", "deep/b.png", "noending"):
        killed.append(replacing(tmp_path / name))
        left.append(killed[-1].__enter__())
        left[-1].write_text("half")
    assert remove_temporaries(tmp_path) == 3
    assert remove_temporaries(tmp_path, recursive=True) == 1
    assert not any(file.exists() for file in left)
    assert {f.name for f in tmp_path.iterdir()} == {*others, "deep"}


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff\xfe{", b"", b"[" * 100_000, b"1" * 10_000, b'{"a": 1} x'],
    ids=["half", "utf-16", "empty", "deep", "huge number", "more"],
)
def test_damaged_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json: expected JSON"):
        read_json(tmp_path / "a.json")


def test_json_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}', encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_every_millimetre_survives(tmp_path):
    depth_mm = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    depth_m = metres(depth_mm)
    np.testing.assert_array_equal(millimetres(depth_m), depth_mm)
    np.testing.assert_array_equal(depth_m.ravel()[1:], (np.arange(1, 65536) / 1000).astype(np.float32))
    write_depth(tmp_path / "d.png", depth_m)
    np.testing.assert_array_equal(read_depth(tmp_path / "d.png"), depth_m)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 0.0, 0.0004, 65.536, 70.0, 1e30])
def test_what_does_not_fit_into_millimetres_is_no_return(value):
    assert millimetres(np.array([[value]], np.float32)) == 0


def _claims(height: int, width: int) -> bytes:
    """Return a PNG whose header claims a size that its data does not have."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(8193, 8192), (60_000, 60_000), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1)])
def test_a_header_that_claims_too_much_is_refused_before_decoding(tmp_path, size):
    (tmp_path / "bomb.png").write_bytes(_claims(*size))
    with pytest.raises(ValueError, match=r"bomb\.png: expected an image"):
        read_color(tmp_path / "bomb.png")


def test_what_is_no_depth_image_says_what_it_is(tmp_path):
    write_picture(tmp_path / "color.png", noise(4, 6))
    with pytest.raises(ValueError, match=r"color\.png: expected a depth image .*got uint8 of shape .4, 6, 3"):
        read_depth(tmp_path / "color.png")
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(ValueError, match=r"text\.png: expected an image"):
        read_depth(tmp_path / "text.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match=r"empty\.png: expected an image"):
        read_color(tmp_path / "empty.png")
    with pytest.raises(ValueError, match=r"a\.bmp: expected a name that ends in \.png"):
        write_picture(tmp_path / "a.bmp", noise(4, 4))


def test_a_name_that_is_not_utf_8_is_read(tmp_path):
    write_picture(tmp_path / "a.png", noise(4, 6))
    path = tmp_path / os.fsdecode(b"b\xff.png")
    (tmp_path / "a.png").rename(path)
    np.testing.assert_array_equal(read_color(path), noise(4, 6))


@pytest.mark.parametrize("ending", [".tif", ".exr", ".webp", ".bmp"])
def test_other_formats_are_decoded(ending):
    image = noise(8, 8) if ending != ".exr" else noise(8, 8).astype(np.float32)
    _, data = cv2.imencode(ending, image)
    assert decode_image(data, cv2.IMREAD_UNCHANGED).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (b"", "it is empty"),
        (b"\x89PNG\r\n\x1a\n", None),
    ],
)
def test_what_a_file_is_instead(tmp_path, content, words):
    (tmp_path / "model.safetensors").write_bytes(content)
    said = stranger(tmp_path / "model.safetensors")
    assert said is None if words is None else words in said
    assert stranger(tmp_path / "missing") is None


def test_other_steps_of_depth(tmp_path):
    write_depth(tmp_path / "d.png", np.full((4, 4), 8.0, np.float32))
    np.testing.assert_array_equal(read_depth(tmp_path / "d.png", 0.00025), 2.0)
    assert np.isnan(metres(np.zeros((1, 1), np.uint16), 0.01)).all()

"""Weights are fetched when asked for, checked, and never half there; what is missing is named."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orpose_core.checkpoints import downloads as weight_downloads
from orpose_core.checkpoints.downloads import PublishedFile, fetch, published_detector
from orpose_core.cli import main

CONTENT = bytes(range(256)) * 12_000  # 3 chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/refused.pth":
            self.send_error(403)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: 2_000_000 if self.path == "/broken.pth" else None])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()


def test_a_good_file_arrives_whole(server: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = tmp_path / "new" / "mine.pth"
    fetch(PublishedFile(f"{server}/good.pth", SHA256[:8]), path, lambda *a: told.append(a))
    assert path.read_bytes() == CONTENT and [f.name for f in path.parent.iterdir()] == ["mine.pth"]
    assert len(told) >= 3 and told[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize(
    ("name", "prefix", "why"),
    [
        ("good.pth", "0badc0de", f"its sha256 begins with {SHA256[:8]}, expected 0badc0de"),
        ("broken.pth", SHA256[:8], f"the transfer broke off after 2000000 of {len(CONTENT)} bytes"),
        ("refused.pth", SHA256[:8], "the server answers 403 Forbidden"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_stays(
    server: str, tmp_path: Path, name: str, prefix: str, why: str
) -> None:
    path = tmp_path / "mine.pth"
    with pytest.raises(ValueError, match=re.escape(why)) as error:
        fetch(PublishedFile(f"{server}/{name}", prefix), path)
    assert f"fetch {server}/{name}" in str(error.value) and f"put it at {path}" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as web:
        nobody = f"http://127.0.0.1:{web.server_port}/good.pth"
    with pytest.raises(ValueError, match="the server cannot be reached"):
        fetch(PublishedFile(nobody, SHA256[:8]), tmp_path / "mine.pth")
    assert not list(tmp_path.iterdir())


def test_torchvisions_detectors_have_an_address_and_a_checksum() -> None:
    published = published_detector("fasterrcnn_resnet50_fpn_v2")
    assert published is not None and published.name == "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth"
    assert published.url.startswith("https://") and published.sha256_prefix == "dd69338a"
    assert published_detector("resnet50") is None and published_detector("anything") is None


def test_the_command_fetches_only_when_asked(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    published = PublishedFile(f"{server}/good.pth", SHA256[:8])
    monkeypatch.setattr(weight_downloads, "published_detector", lambda name: published)
    path = tmp_path / "detector.pth"
    command = ["label", str(tmp_path), "--out", str(tmp_path / "out"), "--quiet"]
    command += ["--keypoints", "untrained:pose_hrnet_w4_64x64", "--detector", "fasterrcnn_resnet50_fpn_v2"]
    command += ["--detector-weights", str(path)]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert f"fetch {server}/good.pth" in said and f"put it at {path}" in said and "--download" in said
    assert not path.exists()
    assert main([*command, "--download"]) == 2  # it comes, and then is no weights file
    assert path.read_bytes() == CONTENT and str(path) in capsys.readouterr().err


def test_a_keypoint_file_that_cannot_be_fetched_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "pose_hrnet_w48_384x288.pth"
    assert (
        main(["label", "x", "--out", str(tmp_path / "out"), "--keypoints", str(missing), "--download"]) == 2
    )
    said = capsys.readouterr().err
    assert "leoxiaobin/deep-high-resolution-net.pytorch" in said and f"put it at {missing}" in said

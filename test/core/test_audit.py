"""The audit log: nothing can be cut out unseen, it survives kills and full disks, and it holds no picture."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from orpose_core.audit.log import AuditLog, head_file
from orpose_core.audit.records import Head, opened, sealed
from orpose_core.audit.trail import AuditTrail, ModelState, NodeStart, TopicState, plain_value
from orpose_core.audit.verification import verify
from orpose_core.cli import main
from orpose_core.reports.audit_report import audit_report


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of ten records."""
    path = tmp_path / "or_1.audit"
    writer = AuditLog(path)
    for k in range(10):
        writer.add("event", k=k, text=f"number {k}")
    writer.close()
    return path


def test_a_whole_log_is_whole_and_goes_on_after_a_restart(log: Path) -> None:
    writer = AuditLog(log)
    writer.add("event", k=10)
    writer.close()
    verdict = verify(log)
    assert not verdict.faults and not verdict.remarks
    assert [r["k"] for r in verdict.records] == list(range(11))
    assert verdict.head == writer.head and verdict.head.number == 10
    assert verdict.compared == "or_1.audit.head"


def _without(lines: list[bytes], k: int) -> list[bytes]:
    return lines[:k] + lines[k + 1 :]


def _swapped(lines: list[bytes], k: int) -> list[bytes]:
    return [*lines[:k], lines[k + 1], lines[k], *lines[k + 2 :]]


def _changed(lines: list[bytes], k: int) -> list[bytes]:
    return [*lines[:k], lines[k].replace(b"number", b"Number"), *lines[k + 1 :]]


def _twice(lines: list[bytes], k: int) -> list[bytes]:
    return [*lines[: k + 1], *lines[k:]]


def _spaced(lines: list[bytes], k: int) -> list[bytes]:
    return [*lines[:k], lines[k].replace(b",", b", ", 1), *lines[k + 1 :]]


def _resealed(lines: list[bytes], k: int) -> list[bytes]:
    """Change a record and give it a hash that is right again."""
    record = json.loads(lines[k])
    head = Head(record["number"] - 1, record["previous"])
    line, _ = sealed(head, record["time"], record["event"], {"k": record["k"], "text": "another"})
    return [*lines[:k], line.encode() + b"\n", *lines[k + 1 :]]


@pytest.mark.parametrize("where", [0, 4, 8])
@pytest.mark.parametrize("damage", [_without, _swapped, _changed, _twice, _spaced, _resealed])
def test_no_line_can_be_changed_left_out_inserted_or_moved(log: Path, damage, where: int) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(damage(lines, where)))
    head_file(log).unlink()
    verdict = verify(log)
    assert len(verdict.faults) == 1 and "line" in verdict.faults[0]
    assert len(verdict.records) <= where + 1
    with pytest.raises(ValueError, match="nothing is added to a log that is damaged"):
        AuditLog(log)


def test_a_log_without_its_end_is_found_by_its_head(log: Path, capsys: pytest.CaptureFixture) -> None:
    kept = head_file(log).read_text().strip()
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-2]))
    assert "its end is missing: it ends with record 7, but record 9" in verify(log).faults[0]
    head_file(log).unlink()
    assert not verify(log).faults, "without any head nobody can tell"
    assert main(["audit", "verify", str(log)]) == 0
    assert "compared with nothing" in capsys.readouterr().out
    assert main(["audit", "verify", str(log), "--head", kept]) == 1
    assert "its end is missing" in capsys.readouterr().err


def test_a_log_that_was_written_anew_is_found_by_a_head_kept_elsewhere(log: Path, tmp_path: Path) -> None:
    kept = Head.parse(head_file(log).read_text())
    log.unlink()
    forged = AuditLog(log)
    for k in range(12):
        forged.add("event", k=k)
    forged.close()
    assert not verify(log).faults
    assert "it was rewritten" in verify(log, kept).faults[0]
    with pytest.raises(ValueError, match="NUMBER:SHA256"):
        Head.parse("9:abc")


def test_a_torn_last_line_is_named_and_the_chain_goes_on(log: Path) -> None:
    whole = log.read_bytes()
    log.write_bytes(whole + whole.splitlines()[-1][:50])
    assert "is not finished" in verify(log).remarks[0]
    writer = AuditLog(log)
    writer.add("event", k=11)
    writer.close()
    verdict = verify(log)
    assert not verdict.faults and not verdict.remarks
    assert [r["event"] for r in verdict.records[-2:]] == ["torn_line", "event"]
    assert verdict.records[-2]["bytes"] == 50


KILLED = """
import sys
from orpose_core.audit.log import AuditLog
log = AuditLog(sys.argv[1])
print("ready", flush=True)
k = 0
while True:
    log.add("event", k=k)
    k += 1
"""


def test_a_kill_at_any_moment_leaves_a_log_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        before = path.stat().st_size
        while path.stat().st_size < before + 3000:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
        process.stdout.close()
    AuditLog(path).close()
    verdict = verify(path)
    assert not verdict.faults and len(verdict.records) > 20


FULL = """
import resource, signal, sys
from orpose_core.audit.log import AuditLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = AuditLog(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
for k in range(1300):
    log.add("event", k=k)
assert "File too large" in log.trouble, log.trouble
assert log.waiting > 1000
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.flush()
assert not log.trouble and not log.waiting
log.add("event", k=-1)
log.close()
"""


def test_a_full_disk_delays_records_and_says_which_are_lost(tmp_path: Path) -> None:
    path = tmp_path / "log"
    done = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    verdict = verify(path)
    assert not verdict.faults
    *events, lost, last = verdict.records
    assert [r["k"] for r in events] == list(range(len(events))), "what waited is there, in order"
    assert lost["event"] == "records_lost" and lost["count"] == 1300 - len(events) and last["k"] == -1


def test_two_writers_are_refused(log: Path) -> None:
    writer = AuditLog(log)
    with pytest.raises(ValueError, match="another process writes"):
        AuditLog(log)
    writer.close()


def test_what_does_not_fit_a_record_is_refused_and_costs_nothing_else(log: Path) -> None:
    writer = AuditLog(log)
    for wrong in ({"picture": np.zeros(3)}, {"text": "x" * 100_000}, {"hash": "mine"}, {"x": float("nan")}):
        with pytest.raises(ValueError, match=r"audit record|Out of range"):
            writer.add("event", **wrong)
    writer.add("event", k=11)
    writer.close()
    assert verify(log).records[-1]["k"] == 11


def test_a_record_is_opened_only_where_it_belongs() -> None:
    line, head = sealed(Head(), "2026-01-01T00:00:00+00:00", "event", {"k": 1})
    assert opened(line, Head())[1] == head
    for wrong in ("", "[]", "{}", "[" * 100_000, line[:-1]):
        with pytest.raises(ValueError, match=r"JSON|fields"):
            opened(wrong, Head())


def test_paths_and_long_values_are_never_in_the_log() -> None:
    assert plain_value("fastpose_64x48") == "fastpose_64x48" and plain_value((1, 2)) == [1, 2]
    for secret in ("/data/patient_miller", "~/miller", "miller" * 100, bytes(range(200)), [7] * 1000):
        shown = json.dumps(plain_value(secret))
        assert "miller" not in shown and len(shown) < 200
    for path in ("mueller/monday.mcap", "mueller.mcap", "recordings/mueller", "C:\\mueller", "../mueller"):
        assert "mueller" not in json.dumps(plain_value(path)), path
    for plain in ("ceiling_1", "80x60", "rgb8", "v1.2", "0.25", "depthpose_80x60"):
        assert plain_value(plain) == plain
    assert plain_value("/a/b") != plain_value("/a/c"), "a change shows"
    assert plain_value(float("inf")) == "inf"


def _trail(path: Path) -> AuditTrail:
    """The trail of two machines: cameras with their gateways on one, everything else on the other."""
    trail = AuditTrail(AuditLog(path))
    trail.log.add("log_opened", version="1")
    gateway, pose = "/ceiling_1/lowres_gateway", "/pose_node"
    for node, machine in ((gateway, "camera-pc"), (pose, "server")):
        trail.saw_node(NodeStart(node, "orpose", machine, "2026-01-01T00:00:00Z"))
    trail.saw_parameters(gateway, {"resolution": "64x48", "max_pixels": 4800})
    trail.saw_parameters(pose, {"strict": True, "max_pixels": 4800, "model": "fastpose_64x48"})
    trail.saw_model(
        "/model_info", ModelState("fastpose_64x48", "ab" * 32, "Apache-2.0", "torch", "cpu", True, 4800)
    )
    image, full = "/ceiling_1/lowres/depth/image_raw", "/ceiling_1/depth/image_raw"
    topics = {
        full: TopicState(("sensor_msgs/msg/Image",), ("/driver@camera-pc",), (f"{gateway}@camera-pc",)),
        image: TopicState(
            ("sensor_msgs/msg/Image",), (f"{gateway}@camera-pc",), (f"{pose}@server", "/recorder@nas")
        ),
    }
    for _ in range(3):
        trail.saw_topics(topics)
    for size in (100, 12_400, 12_300):
        trail.saw_message(image, size)
    trail.saw_refused(pose, 2)
    trail.saw_refused(pose, 5)
    trail.tick(100.0)
    return trail


def test_only_changes_become_records(tmp_path: Path) -> None:
    trail = _trail(tmp_path / "log")
    before = trail.log.head.number
    trail.saw_node(NodeStart("/pose_node", "orpose", "server", "2026-01-01T00:00:00Z"))
    trail.saw_parameters("/pose_node", {"strict": True})
    trail.saw_refused("/pose_node", 5)
    trail.tick(200.0)
    assert trail.log.head.number == before
    trail.saw_parameters("/pose_node", {"strict": False})
    trail.lost_node("/pose_node")
    trail.saw_topics({})
    trail.saw_topics({})
    trail.log.close()
    events = [r["event"] for r in verify(tmp_path / "log").records[before + 1 :]]
    assert events == ["parameter_changed", "node_gone", "topic_gone", "topic_gone"]


def test_the_report_says_what_leaves_which_machine_and_under_which_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "log"
    trail = _trail(path)
    trail.saw_parameters("/pose_node", {"strict": False})
    trail.log.close()
    AuditTrail(AuditLog(path)).log.add("log_opened", version="1")
    page = audit_report(path, verify(path))
    image = "`/ceiling_1/lowres/depth/image_raw`"
    assert f"| camera-pc | server | {image} | sensor_msgs/msg/Image | 12,400 bytes |" in page
    assert f"| camera-pc | nas | {image} |" in page, "who is not of orpose is listed, too"
    assert "| camera-pc | server | `/ceiling_1/depth/image_raw`" not in page
    assert "/recorder@nas: " in page and "not read" in page
    assert "| `/pose_node` | strict | false |" in page and "| strict | true | false |" in page
    assert "ab" * 32 in page and "| `/pose_node` | 5 |" in page
    assert "the audit node was killed" in page
    assert "chain of the log is complete" in page
    assert main(["audit", "report", str(path), "--out", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == page
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[4:]))
    assert main(["audit", "report", str(path)]) == 1
    assert "**The log is damaged.**" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_said_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["audit", "verify", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
    os.close(os.open(tmp_path / "empty", os.O_CREAT | os.O_WRONLY))
    assert main(["audit", "verify", str(tmp_path / "empty")]) == 1

"""The engine alone: a small real regression, killed, resumed, made non-finite, run in two processes."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from orpose_core.training.engine.batches import StepBatches, data_loader, place
from orpose_core.training.engine.distributed import Processes
from orpose_core.training.engine.engine import NonFiniteLoss, Trainer, step_seed
from orpose_core.training.engine.optimisation import MeanWeights, learning_rate
from orpose_core.training.engine.processor import prepare_worker
from orpose_core.training.engine.run_folder import RunFolder, RunState
from orpose_core.training.engine.settings import EngineConfig, OptimConfig

pytestmark = pytest.mark.timeout(1200)  # some tests start several processes one after the other
ALONE = Processes(0, 1, torch.device("cpu"))
OPTIM = OptimConfig(name="adamw", lr=3e-3, schedule="cosine", ema_decay=0.9, clip_norm=1.0)


class Blobs(Dataset):
    """Images of one blob each; the target is the blob blurred."""

    def __init__(self, delay_s: float = 0.0, poisoned: int = -1) -> None:
        self.delay_s, self.poisoned = delay_s, poisoned
        self.given: list[int] = []

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        time.sleep(self.delay_s)
        self.given.append(index)
        rng = np.random.default_rng([7, index])
        y, x = np.mgrid[:12, :16]
        distance = (x - rng.uniform(0, 16)) ** 2 + (y - rng.uniform(0, 12)) ** 2
        target = np.exp(-distance / 8)[None].astype(np.float32)
        if index == self.poisoned:
            target[:] = np.inf
        return {"image": (distance < 4)[None].astype(np.float32), "target": target}


class Blurring(nn.Module):
    """Two heads; no loss reaches the second, as where the weight of a term is 0."""

    def __init__(self) -> None:
        super().__init__()
        # the dropout draws from the random state, which a resumed run must find again
        self.dropout = nn.Dropout(0.1)
        self.hidden = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), self.dropout)
        self.answer, self.unread = nn.Conv2d(8, 1, 3, padding=1), nn.Conv2d(8, 1, 1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.hidden(image)
        return self.answer(hidden), self.unread(hidden)


class Regression:
    def losses(self, model: nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"square": (model(batch["image"])[0].float() - batch["target"]).square().mean()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        assert not model.training
        samples = [Blobs()[i] for i in range(10_000, 10_008)]
        image = torch.stack([torch.from_numpy(s["image"]) for s in samples])
        target = torch.stack([torch.from_numpy(s["target"]) for s in samples])
        return {"error": float((model(image)[0] - target).square().mean())}


def trainer(folder: Path, engine: EngineConfig, optim: OptimConfig = OPTIM, dataset: Dataset | None = None,
            processes: Processes = ALONE) -> Trainer:  # fmt: skip
    torch.manual_seed(engine.seed)
    return Trainer(Blurring(), Regression(), dataset or Blobs(), optim, engine, RunFolder(folder), processes)


def engine_config(**changes: object) -> EngineConfig:
    values = {"steps": 60, "batch": 4, "threads": 1, "workers": 0, "validate_steps": 20, **changes}
    return EngineConfig(**values)  # type: ignore[arg-type]


def test_a_run_learns_and_keeps_its_scores(tmp_path: Path) -> None:
    state = trainer(tmp_path, engine_config()).run()
    assert state.step == 60 and state.images == 240
    errors = [v["error"] for v in state.validations]
    assert [v["step"] for v in state.validations] == [20, 40, 60]
    assert errors[-1] < 0.6 * errors[0]
    assert list((tmp_path / "tensorboard").glob("events*"))
    again = trainer(tmp_path, engine_config())
    again.resume()
    assert again.run().validations == state.validations, "nothing is scored twice"


def test_killed_and_resumed_is_bit_identical(tmp_path: Path) -> None:
    """A real process is killed in the middle of its steps and another one goes on."""
    steps = "80"
    command = [sys.executable, __file__]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*command, str(whole), steps, "0"], check=True, env=environment, timeout=400)

    process = subprocess.Popen([*command, str(broken), steps, "1"], env=environment)
    deadline = time.monotonic() + 240
    while not RunFolder(broken).checkpoint.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    state, _ = RunFolder(broken).load()
    assert 0 < state.step < int(steps), "the run was to be killed in the middle"

    subprocess.run([*command, str(broken), steps, "0"], check=True, env=environment, timeout=400)
    ended, one = RunFolder(whole).load()
    resumed, other = RunFolder(broken).load()
    assert resumed.step == ended.step == int(steps)
    assert resumed.validations == ended.validations
    for part in ("model", "mean"):
        assert one[part].keys() == other[part].keys()
        assert all(torch.equal(one[part][name], other[part][name]) for name in one[part]), part
    for name, moments in one["optimizer"]["state"].items():
        for key, value in moments.items():
            assert torch.equal(
                torch.as_tensor(value), torch.as_tensor(other["optimizer"]["state"][name][key])
            )


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    engine = engine_config(checkpoint_minutes=0.0)
    with pytest.raises(
        NonFiniteLoss, match=r"not finite at step 10: square = inf .*lower optim.lr.*last.ckpt"
    ):
        trainer(tmp_path, engine, dataset=Blobs(poisoned=41)).run()
    state, saved = RunFolder(tmp_path).load()
    assert state.step == 10
    assert all(torch.isfinite(weights).all() for weights in saved["model"].values())


def test_the_time_budget_ends_a_run_and_its_cosine(tmp_path: Path) -> None:
    engine = engine_config(steps=100_000, max_minutes=2.0 / 60, progress="time", validate_steps=0)
    run = trainer(tmp_path, engine, dataset=Blobs(delay_s=0.002))
    state = run.run()
    assert 10 < state.step < 100_000 and 2.0 <= state.spent_s < 4.0
    assert run.optimizer.param_groups[0]["lr"] < 0.01 * OPTIM.lr
    assert state.validations[-1]["step"] == state.step
    assert state.waited_s > 0.3 * state.seconds  # this data set sleeps: the measurement sees it


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no checkpoint"):
        RunFolder(tmp_path).load()
    RunFolder(tmp_path).checkpoint.write_bytes(b"half of a fi")
    with pytest.raises(ValueError, match=r"last.ckpt: expected a training checkpoint"):
        RunFolder(tmp_path).load()


def small_state() -> dict[str, Any]:
    weights = torch.arange(300, dtype=torch.float32)
    return {"model": {"a": weights, "b": weights[:7].to(torch.int64)}, "random": torch.get_rng_state()[:40]}


def test_no_bit_of_a_checkpoint_flips_unseen(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.save(RunState(step=5), small_state())
    whole = folder.checkpoint.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*rng.integers(len(whole), size=500), *range(len(whole) - 100, len(whole))]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        folder.checkpoint.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"last.ckpt: expected a training checkpoint"):
            folder.load()
    folder.checkpoint.write_bytes(whole)
    assert folder.load()[0].step == 5
    assert torch.load(folder.checkpoint, weights_only=True)["state"]["step"] == 5  # any reader can


def test_checkpoints_of_earlier_versions_are_read_and_their_entries_checked(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    torch.save({"format": 1, "state": {"step": 7}, **small_state()}, folder.checkpoint)
    state, saved = folder.load()
    assert state.step == 7 and saved["model"]["a"][299] == 299
    whole = folder.checkpoint.read_bytes()
    weights = whole.index(torch.arange(300, dtype=torch.float32).numpy().tobytes())
    folder.checkpoint.write_bytes(whole[: weights + 30] + b"\x01" + whole[weights + 31 :])
    with pytest.raises(ValueError, match="damaged"):
        folder.load()


def test_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.save(RunState(step=5), {})
    (tmp_path / ".last.ckpt.4711").write_bytes(b"half")
    (tmp_path / ".mine").write_bytes(b"kept")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom orpose_core.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as file:\n    file.write_bytes(b'half')\n    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, folder.checkpoint]).returncode == 9
    assert len(list(tmp_path.iterdir())) == 4
    with folder.held():
        assert sorted(file.name for file in tmp_path.iterdir()) == [".lock", ".mine", "last.ckpt"]


def test_a_folder_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    """Until it ends, even if it is killed."""
    code = (
        "import sys, time\nfrom orpose_core.training.engine.run_folder import RunFolder\n"
        "with RunFolder(sys.argv[1]).held():\n    print('held', flush=True)\n    time.sleep(600)\n"
    )
    run = RunFolder(tmp_path / "run")
    with subprocess.Popen([sys.executable, "-c", code, run.path], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == "held\n"
            with (
                pytest.raises(ValueError, match="run: another process is training in this folder"),
                run.held(),
            ):
                pass
        finally:
            other.kill()
    with run.held():
        pass
    with run.held():
        pass


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    folder.save(RunState(step=5), {"model": {"a": torch.ones(3)}})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        folder.save(RunState(step=6), {"model": {"a": torch.zeros(3)}})
    assert folder.load()[0].step == 5
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_schedules() -> None:
    paper = OptimConfig()
    assert learning_rate(paper, 11_999, 0.3) == 1e-3
    assert learning_rate(paper, 12_000, 0.4) == pytest.approx(1e-4)
    cosine = OptimConfig(schedule="cosine", lr=2.0, warmup_steps=10, final_lr_share=0.1)
    assert learning_rate(cosine, 4, 0.0) == pytest.approx(1.0)
    assert learning_rate(cosine, 50, 0.5) == pytest.approx(1.1)
    assert learning_rate(cosine, 99, 1.0) == pytest.approx(0.2)
    with pytest.raises(ValueError, match=r"optim.lr: expected a positive"):
        OptimConfig(lr=0.0)
    with pytest.raises(ValueError, match=r"engine.batch: expected at least 1"):
        EngineConfig(batch=0)
    with pytest.raises(ValueError, match=r"needs engine.max_minutes"):
        EngineConfig(progress="time")


def test_mean_weights_follow_the_model() -> None:
    model = nn.Linear(2, 2)
    mean = MeanWeights(model, 0.99)
    with torch.no_grad():
        model.weight.fill_(1.0)
    for _ in range(2000):
        mean.update(model)
    assert torch.allclose(mean.model.weight, torch.ones(2, 2), atol=1e-5)
    assert MeanWeights(model, 0.0).model is model


def test_processes_share_the_samples_of_a_step() -> None:
    both = [list(StepBatches(3, 5, 2, Processes(rank, 2, torch.device("cpu")), 12)) for rank in (0, 1)]
    assert both == [[[12, 13], [16, 17]], [[14, 15], [18, 19]]]
    assert len({step_seed(seed, step, rank) for seed in (0, 1) for step in (0, 1) for rank in (0, 1)}) == 8


def test_a_run_resumed_with_another_batch_goes_on_in_the_data(tmp_path: Path) -> None:
    """As one that is resumed in another number of processes: nothing is seen twice, nothing left out."""
    dataset = Blobs()
    trainer(tmp_path, engine_config(steps=3, batch=4, validate_steps=0), dataset=dataset).run()
    resumed = trainer(tmp_path, engine_config(steps=5, batch=2, validate_steps=0), dataset=dataset)
    resumed.resume()
    assert resumed.run().images == 16 and dataset.given == list(range(16))


def test_workers_use_one_thread_of_opencv_each() -> None:
    engine = engine_config(workers=1)
    assert data_loader(Blobs(), engine, RunState(), ALONE, list).worker_init_fn is prepare_worker
    before = cv2.getNumThreads()
    prepare_worker(0)
    assert cv2.getNumThreads() == 1
    cv2.setNumThreads(before)


def test_minutes_of_the_processor_are_not_those_of_the_clock(tmp_path: Path) -> None:
    """Waiting, as while other processes are served, is not counted."""
    engine = engine_config(
        steps=100_000, max_minutes=0.5 / 60, progress="time", clock="processor", validate_steps=0
    )
    run, start = trainer(tmp_path, engine, dataset=Blobs(delay_s=0.005)), time.monotonic()
    state = run.run()
    assert state.step < 100_000 and 0.5 <= state.spent_s < 1.5
    assert time.monotonic() - start > state.spent_s + 0.004 * state.images
    assert run.optimizer.param_groups[0]["lr"] < 0.1 * OPTIM.lr
    with pytest.raises(ValueError, match=r"engine.clock: .*expected engine.workers 0, got 1"):
        engine_config(clock="processor", workers=1)


def test_two_processes_train_like_one_with_twice_the_batch(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(tmp_path / "two"), "10", "0"],
            env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in (0, 1)
    ]
    assert [process.wait(400) for process in started] == [0, 0]
    one = engine_config(steps=10, batch=8, validate_steps=0, half_precision=False)
    alone = trainer(tmp_path / "one", one)
    alone.model.dropout.p = 0.0
    alone.run()
    _, two = RunFolder(tmp_path / "two").load()
    for name, weights in alone.model.state_dict().items():
        assert torch.allclose(weights, two["model"][name], atol=1e-5), name


def main() -> None:
    """Train in a process of its own: FOLDER STEPS WORKERS; goes on where a checkpoint is."""
    from orpose_core.training.engine.distributed import processes

    folder, steps, workers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with processes("cpu") as mine:
        alone = mine.world == 1
        engine = engine_config(
            steps=steps, workers=workers, checkpoint_minutes=0.0, validate_steps=0, half_precision=False
        )
        run = trainer(folder, engine, dataset=Blobs(delay_s=0.004 if alone else 0.0), processes=mine)
        if not alone:
            run.model.dropout.p = 0.0
        if run.folder.checkpoint.is_file():
            run.resume()
        state = run.run()
        assert math.isclose(state.step, steps)


if __name__ == "__main__":
    main()


class Pair(NamedTuple):
    image: torch.Tensor
    index: int


def test_a_batch_keeps_its_shape_when_it_is_moved() -> None:
    image = torch.zeros(2, 3, 4, 5)
    placed = place(
        {"pair": Pair(image, 7), "list": [image], "tuple": (image, "x")}, torch.device("cpu"), True
    )
    assert isinstance(placed["pair"], Pair) and placed["pair"].index == 7
    assert placed["pair"].image.is_contiguous(memory_format=torch.channels_last)
    assert isinstance(placed["list"], list) and isinstance(placed["tuple"], tuple)
    assert placed["tuple"][1] == "x"

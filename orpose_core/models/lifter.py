"""From 2D joints to 3D: the residual fully connected network of Martinez et al. (ICCV 2017).

Sect. 2.3 of ORPose hangs one such "2Dto3D" network on each heatmap branch; its teacher's third stage is the
same network. 16 joints enter (32 numbers) and 16 leave relative to the root (48 numbers), both standardised.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualStage(nn.Module):
    """Two linear layers, each with batch normalisation, ReLU and dropout, added to their input."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, width)
        self.norm1 = nn.BatchNorm1d(width)
        self.linear2 = nn.Linear(width, width)
        self.norm2 = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (R, width) refined."""
        y = self.dropout(functional.relu(self.norm1(self.linear1(x))))
        y = self.dropout(functional.relu(self.norm2(self.linear2(y))))
        return x + y


class Lifter(nn.Module):
    """Standardised 2D joints to standardised root-relative 3D joints.

    Args:
        joints: joints that enter and that leave (they need not be the same joints).
        width: neurons of each hidden layer; 1024 in the paper.
        stages: residual stages of two layers each; 2 in the paper.
        dropout: probability, in training mode.
    """

    def __init__(self, joints: int = 16, width: int = 1024, stages: int = 2, dropout: float = 0.5) -> None:
        super().__init__()
        self.joints = joints
        self.linear_in = nn.Linear(2 * joints, width)
        self.norm_in = nn.BatchNorm1d(width)
        self.stages = nn.ModuleList(ResidualStage(width, dropout) for _ in range(stages))
        self.linear_out = nn.Linear(width, 3 * joints)
        self.dropout = nn.Dropout(dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, joints_2d: Tensor) -> Tensor:
        """Return float (R, joints, 3) for float (R, joints, 2); both standardised."""
        y = self.linear_in(joints_2d.flatten(1))  # (R, 32) -> (R, 1024)
        y = self.dropout(functional.relu(self.norm_in(y)))
        for stage in self.stages:
            y = stage(y)
        return self.linear_out(y).view(-1, self.joints, 3)  # (R, 48) -> (R, 16, 3)


class LiftingStatistics(nn.Module):
    """The means and deviations that standardise the joints; buffers, so that a checkpoint carries them.

    Until :meth:`set` is called they are neutral: the middle and a fifth of the image, zero and 0.25 m.

    Args:
        joints: see :class:`Lifter`.
        image_hw: (height, width) of the image in whose px the 2D joints are given.
    """

    mean_2d: Tensor
    std_2d: Tensor
    mean_3d: Tensor
    std_3d: Tensor

    def __init__(self, joints: int = 16, image_hw: tuple[int, int] = (480, 640)) -> None:
        super().__init__()
        size_xy = torch.tensor([image_hw[1], image_hw[0]], dtype=torch.float32)
        self.register_buffer("mean_2d", (size_xy / 2).repeat(joints, 1))  # (16, 2) px
        self.register_buffer("std_2d", (size_xy / 5).repeat(joints, 1))  # (16, 2) px
        self.register_buffer("mean_3d", torch.zeros(joints, 3))  # (16, 3) m
        self.register_buffer("std_3d", torch.full((joints, 3), 0.25))  # (16, 3) m

    def set(self, mean_2d: Tensor, std_2d: Tensor, mean_3d: Tensor, std_3d: Tensor) -> None:
        """Set all four: (joints, 2) px and (joints, 3) metres; ValueError on a wrong shape or a std <= 0."""
        for name, value in (
            ("mean_2d", mean_2d), ("std_2d", std_2d), ("mean_3d", mean_3d), ("std_3d", std_3d)
        ):  # fmt: skip
            buffer = getattr(self, name)
            if value.shape != buffer.shape:
                raise ValueError(
                    f"LiftingStatistics.{name}: expected shape {tuple(buffer.shape)}, "
                    f"got {tuple(value.shape)}"
                )
            if not torch.isfinite(value).all() or (name.startswith("std") and not (value > 0).all()):
                raise ValueError(f"LiftingStatistics.{name}: expected finite values (deviations above 0)")
            buffer.copy_(value)

    def standardise_2d(self, xy_px: Tensor) -> Tensor:
        """(R, joints, 2) px to deviations from the mean."""
        return (xy_px - self.mean_2d) / self.std_2d

    def standardise_3d(self, xyz_root_m: Tensor) -> Tensor:
        """(R, joints, 3) metres to deviations from the mean."""
        return (xyz_root_m - self.mean_3d) / self.std_3d

    def metres(self, standardised: Tensor) -> Tensor:
        """Invert :meth:`standardise_3d`."""
        return standardised * self.std_3d + self.mean_3d

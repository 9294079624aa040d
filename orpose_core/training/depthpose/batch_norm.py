"""Batch normalization during training only, for networks without normalization layers.

DepthPose and RTPose have no normalization layers: their authors start from weights pretrained on color. From
random weights such deep ReLU networks learn slowly. Therefore each convolution before a ReLU gets a batch
normalization (Ioffe and Szegedy 2015) during training. With fixed statistics this is a scale and a
shift, which are folded into the convolution, so the saved network has exactly the layers of the paper.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class NormedConvolution(nn.Sequential):
    """A convolution followed by batch normalization."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__(convolution, nn.BatchNorm2d(convolution.out_channels))

    @property
    def convolution(self) -> nn.Conv2d:
        """The convolution that was there before."""
        layer = self[0]
        assert isinstance(layer, nn.Conv2d)
        return layer

    @property
    def norm(self) -> nn.BatchNorm2d:
        """The batch normalization."""
        layer = self[1]
        assert isinstance(layer, nn.BatchNorm2d)
        return layer


def add_batch_norms(model: nn.Module) -> nn.Module:
    """Insert a norm between each trained convolution and its ReLU, in place; return the network.

    Layers that output maps or an image have no ReLU and get no norm. Frozen convolutions are unchanged.
    A block may name further convolutions in ``normed``, such as those of a residual block, whose ReLU comes
    only after the sum.
    """
    for block in list(model.modules()):
        for name in getattr(block, "normed", ()):
            if isinstance(layer := getattr(block, name), nn.Conv2d):
                setattr(block, name, NormedConvolution(layer))
        if not isinstance(block, nn.Sequential):
            continue
        for i in range(len(block) - 1):
            layer = block[i]
            if (
                isinstance(layer, nn.Conv2d)
                and isinstance(block[i + 1], nn.ReLU)
                and layer.weight.requires_grad
            ):
                block[i] = NormedConvolution(layer)
    return model


def without_batch_norms(model: nn.Module) -> nn.Module:
    """Return a copy of the network in evaluation mode with every norm folded into its convolution.

    The copy gives the same output as ``model.eval()`` up to rounding, and has the layers that the network had
    before :func:`add_batch_norms`. A network without norms is copied unchanged.
    """
    plain = copy.deepcopy(model).eval()
    for block in list(plain.modules()):
        for name, layer in list(block.named_children()):
            if isinstance(layer, NormedConvolution):
                setattr(block, name, fuse_conv_bn_eval(layer.convolution, layer.norm))
    return plain


class _Moments:
    """Mean and variance per channel of a convolution's output, accumulated over batches."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.total, self.squares = torch.zeros(2, channels, dtype=torch.float64)

    def add(self, output: Tensor) -> None:
        """Add an output, float (B, C, h, w), to the statistics."""
        per_channel = output.double().transpose(0, 1).flatten(1).cpu()
        self.total += per_channel.sum(1)
        self.squares += per_channel.square().sum(1)
        self.count += per_channel.shape[1]

    def pass_on(self, norm: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        """Forward hook of a norm: add its input to the statistics, and return the input unchanged."""
        self.add(inputs[0])
        return inputs[0]


@torch.no_grad()
def keep_answers(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Initialize new norms, in place, so that a network that was trained without them keeps its output.

    The statistics of each norm are the mean and variance of its convolution's output over the batches. Its
    scale and shift undo the normalization, so that nothing changes until training continues.

    Args:
        model: a network from :func:`add_batch_norms` whose norms have not been trained.
        batches: training images, float (B, C, h, w) each.

    Raises:
        ValueError: there is no batch.
    """
    norms = [layer.norm for layer in model.modules() if isinstance(layer, NormedConvolution)]
    moments = [_Moments(norm.num_features) for norm in norms]
    hooks = [norm.register_forward_hook(m.pass_on) for norm, m in zip(norms, moments, strict=True)]
    training = model.training
    model.eval()
    for batch in batches:
        model(batch)
    model.train(training)
    for hook in hooks:
        hook.remove()
    for norm, m in zip(norms, moments, strict=True):
        if not m.count:
            raise ValueError("keep_answers: expected at least one batch")
        mean = m.total / m.count
        variance = (m.squares / m.count - mean.square()).clamp(min=0.0)
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean)

"""Networks of the zoo in plain PyTorch, with the layers and names of weights of torchvision and timm.

They give the features of images [B, 3, H, W] in front of the classifier, which is left out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """A block of a ResNet: two 3x3 convolutions, or a bottleneck with the stride in its 3x3 convolution."""

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        plain = [(inputs, width, 3, stride), (width, width, 3, 1)]
        deep = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        self.count = len(deep if bottleneck else plain)
        for number, shape in enumerate(deep if bottleneck else plain, 1):
            setattr(self, f"conv{number}", _conv(*shape))
            setattr(self, f"bn{number}", nn.BatchNorm2d(shape[1]))
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H', W']."""
        y = x
        for number in range(1, self.count + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            y = functional.relu(y, inplace=True) if number < self.count else y
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class ResNet(nn.Module):
    """He et al. 2015, as torchvision has it."""

    def __init__(self, blocks: tuple[int, ...], bottleneck: bool):
        super().__init__()
        self.conv1, self.bn1 = _conv(3, 64, 7, 2), nn.BatchNorm2d(64)
        inputs = 64
        for stage, count in enumerate(blocks):
            width, layers = 64 * 2**stage, []
            for block in range(count):
                layers.append(Residual(inputs, width, 2 if stage and not block else 1, bottleneck))
                inputs = 4 * width if bottleneck else width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.stages = len(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, D]."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return functional.adaptive_avg_pool2d(x, 1).flatten(1)


class Inverted(nn.Module):
    """A block of a lite EfficientNet: expansion, depthwise convolution, projection; timm's names."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int, expansion: int):
        super().__init__()
        width = inputs * expansion
        deep = _conv(width, width, side, stride, groups=width)
        self.around = stride == 1 and inputs == outputs
        if expansion > 1:
            self.conv_pw, self.bn1 = _conv(inputs, width, 1), nn.BatchNorm2d(width)
            self.conv_dw, self.bn2 = deep, nn.BatchNorm2d(width)
            self.conv_pwl, self.bn3 = _conv(width, outputs, 1), nn.BatchNorm2d(outputs)
            self.parts = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))
        else:
            self.conv_dw, self.bn1 = deep, nn.BatchNorm2d(width)
            self.conv_pw, self.bn2 = _conv(width, outputs, 1), nn.BatchNorm2d(outputs)
            self.parts = (("conv_dw", "bn1"), ("conv_pw", "bn2"))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H', W']."""
        y = x
        for convolution, norm in self.parts:
            y = getattr(self, norm)(getattr(self, convolution)(y))
            y = functional.relu6(y, inplace=True) if convolution != self.parts[-1][0] else y
        return x + y if self.around else y


class EfficientNetLite0(nn.Module):
    """Tan and Le 2019 without squeeze-and-excitation, with ReLU6, padded alike on all sides."""

    STAGES = (
        (3, 1, 1, 16, 1),
        (3, 2, 6, 24, 2),
        (5, 2, 6, 40, 2),
        (3, 2, 6, 80, 3),
        (5, 1, 6, 112, 3),
        (5, 2, 6, 192, 4),
        (3, 1, 6, 320, 1),
    )
    """Side of the kernel, stride of the first block, expansion, channels, blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn1 = _conv(3, 32, 3, 2), nn.BatchNorm2d(32)
        inputs, stages = 32, []
        for side, stride, expansion, outputs, count in self.STAGES:
            blocks = []
            for block in range(count):
                blocks.append(Inverted(inputs, outputs, side, 1 if block else stride, expansion))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = _conv(inputs, 1280, 1), nn.BatchNorm2d(1280)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, 1280]."""
        x = functional.relu6(self.bn1(self.conv_stem(x)), inplace=True)
        x = functional.relu6(self.bn2(self.conv_head(self.blocks(x))), inplace=True)
        return functional.adaptive_avg_pool2d(x, 1).flatten(1)


class Attention(nn.Module):
    """Self-attention by PyTorch's own fused product."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] -> [B, T, D]."""
        count, tokens, width = x.shape
        parts = self.qkv(x).reshape(count, tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        seen = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(seen.transpose(1, 2).reshape(count, tokens, width))


class Encoder(nn.Module):
    """A block of a transformer."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.attn = Attention(width, heads)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] -> [B, T, D]."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm2(x))))


class VisionTransformer(nn.Module):
    """Dosovitskiy et al. 2021, small, patches of 16 pixels; the features are the class token."""

    def __init__(self, side: int, width: int = 384, heads: int = 6, patch: int = 16, blocks: int = 12):
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + (side // patch) ** 2, width))
        self.blocks = nn.Sequential(*(Encoder(width, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, D]."""
        x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        return self.norm(self.blocks(x))[:, 0]


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "resnet18": lambda _: ResNet((2, 2, 2, 2), bottleneck=False),
    "resnet50": lambda _: ResNet((3, 4, 6, 3), bottleneck=True),
    "efficientnet_lite0": lambda _: EfficientNetLite0(),
    "vit_small_patch16": VisionTransformer,
}
"""Pixels along each side -> network, by our names."""


def _conv(inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False)

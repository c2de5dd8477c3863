"""What `--dry-run` says of determinism on GPUs, against what PyTorch refuses on a stand-in card.

The slow test's smaller sibling is the one of arms below.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import get_deterministic_debug_mode as mode
from torch import nn

from harness.plan.gpu_kernels import REFUSED, notes, refused_of
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from models.networks import lenet5


def rows(n, device):
    return torch.zeros(n, dtype=torch.int64, device=device)


def _unpool(x):
    function = F.max_unpool2d if x.dim() == 4 else F.max_unpool3d
    pool = F.max_pool2d if x.dim() == 4 else F.max_pool3d
    return function(*pool(x, 2, return_indices=True), 2)


def _grid(x):
    sides = x.dim() - 2
    return F.grid_sample(
        x, torch.zeros(2, *[4] * sides, sides, device=x.device), align_corners=False
    )


# Functions of images (2, 3, 8, …), by how many sides they have
FUNCTIONS = {
    1: {
        "linear": lambda x: F.interpolate(x, size=5, mode="linear"),
        "reflect": lambda x: F.pad(x, [1, 1], mode="reflect"),
        "replicate": lambda x: F.pad(x, [1, 1], mode="replicate"),
        "adaptive": lambda x: F.adaptive_avg_pool1d(x, 3),
        "median": lambda x: x.median(1)[0],
        "nanmedian": lambda x: x.nanmedian(1)[0],
        "largest": lambda x: x.amax(1),
        "sorted": lambda x: x.sort(1)[0],
        "take": lambda x: x.take(rows(2, x.device)),
        "index": lambda x: x[rows(2, x.device)],
        "cumsum": lambda x: x.cumsum(1),
        "embedding": lambda x: F.embedding(rows(4, x.device), x.flatten(1)),
        "histc": lambda x: x.detach().histc(4),
        "reduce": lambda x: x.detach().index_reduce(0, rows(2, x.device), x.detach(), "mean"),
        "put": lambda x: torch.zeros_like(x).put(rows(1, x.device), x[0, 0, :1], accumulate=True),
    },
    2: {
        "bilinear": lambda x: F.interpolate(x, size=5, mode="bilinear"),
        "bicubic": lambda x: F.interpolate(x, size=5, mode="bicubic"),
        "nearest": lambda x: F.interpolate(x, size=5),
        "area": lambda x: F.interpolate(x, size=5, mode="area"),
        "bilinear aa": lambda x: F.interpolate(x, size=5, mode="bilinear", antialias=True),
        "bicubic aa": lambda x: F.interpolate(x, size=5, mode="bicubic", antialias=True),
        "bilinear itself": lambda x: torch._C._nn.upsample_bilinear2d(x, [5, 5], False, None),
        "bicubic itself": lambda x: torch._C._nn.upsample_bicubic2d(x, [5, 5], False, None),
        "reflect": lambda x: F.pad(x, [1] * 4, mode="reflect"),
        "circular": lambda x: F.pad(x, [1] * 4, mode="circular"),
        "grid": _grid,
        "fractional": lambda x: F.fractional_max_pool2d(x, 2, output_size=3),
        "unpool": _unpool,
        "adaptive": lambda x: F.adaptive_avg_pool2d(x, 3),
        "adaptive maximum": lambda x: F.adaptive_max_pool2d(x, 3),
        "local response": lambda x: F.local_response_norm(x, 2),
        "lp": lambda x: F.lp_pool2d(x, 2, 2),
        "shuffle": lambda x: F.pixel_unshuffle(x, 2),
        "unfold": lambda x: F.unfold(x, 3),
        "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
        "cross entropy": lambda x: F.cross_entropy(x.flatten(1), rows(2, x.device)),
        "convolution": lambda x: F.conv2d(x, x[:, :, :3, :3]),
        "upwards": lambda x: F.conv_transpose2d(x, torch.ones(3, 2, 3, 3, device=x.device)),
    },
    3: {
        "trilinear": lambda x: F.interpolate(x, size=5, mode="trilinear"),
        "trilinear itself": lambda x: torch._C._nn.upsample_trilinear3d(x, [5] * 3, False, None),
        "reflect": lambda x: F.pad(x, [1] * 6, mode="reflect"),
        "grid": _grid,
        "fractional": lambda x: F.fractional_max_pool3d(x, 2, output_size=3),
        "unpool": _unpool,
        "average": lambda x: F.avg_pool3d(x, 3, 2),
        "adaptive": lambda x: F.adaptive_avg_pool3d(x, 3),
    },
}  # fmt: skip


def told(device):
    """Of each function whether its step has a refused operator, and which."""
    from harness.sweepfile.settings import Train
    from harness.training.determinism import watch
    from harness.training.process import set_up_process

    set_up_process(Train())
    answers = {}
    for n_sides, functions in FUNCTIONS.items():
        for name, function in functions.items():
            images = torch.zeros(2, 3, *[8] * n_sides, device=device, requires_grad=True)

            def compute(function=function, images=images):
                result = function(images).sum()
                if device != "meta" and result.requires_grad:
                    result.backward()
                return result

            answers[f"{name} {n_sides}"] = (refused_of if device == "meta" else watch)(compute)
    return answers


@pytest.mark.slow
def test_the_operators_are_those_that_pytorch_refuses_on_a_card(card):
    """Slow: PyTorch's own decompositions take seconds to import, on a stand-in twice as many."""
    code = """
        import sys
        sys.path.insert(0, "tests/harness/plan")
        from test_gpu_kernels import told
        refused, predicted = told("cuda"), told("meta")
        for name in refused:
            assert bool(refused[name]) == bool(predicted[name]), (
                name, refused[name], predicted[name]
            )
        print(*sorted({name for names in predicted.values() for name in names}))
    """
    tried = set(card.run(code, memory_gb=4).stdout.split())
    others = {"bincount", "index_reduce_", "put_"}  # beside `put`, `histc` and `index_reduce`
    assert {name.partition(".")[0] for name in REFUSED} - others <= tried


class Bent(nn.Module):
    def forward(self, x):
        return F.interpolate(x.flatten(2), size=49, mode="linear").unflatten(2, (7, 7))


class Reads(nn.Module):
    def forward(self, x):
        return x if float(x.sum()) < 0 else -x


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        (nn.AdaptiveAvgPool2d(7), None),
        (Bent(), "scratch: upsample_linear1d_backward: no deterministic kernel on GPUs; there"),
        (Reads(), "scratch: whether it is deterministic on a GPU shows when it trains there ("),
    ],
)
def test_arms_are_named_beforehand(monkeypatch, write_sweep, layer, line):
    def build(options, *, n_classes, image_size, channels):
        parts = [nn.Conv2d(channels, 4, 3), nn.Dropout(0.5), layer, nn.AdaptiveAvgPool2d(1)]
        return nn.Sequential(*parts, nn.Flatten(), nn.Linear(4, n_classes))

    monkeypatch.setattr(lenet5, "build", build)
    plan, before = make_plan(load_sweep(write_sweep()), DataCatalogue()), mode()
    said = [text for text in notes(plan) if text.startswith("scratch")]
    assert said == [] if line is None else said[0].startswith(line)
    assert mode() == before

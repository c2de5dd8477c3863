"""Cuts, colours and policies against torchvision: exact for given draws, alike in distribution."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torchvision.transforms.v2.functional as reference
from torchvision.transforms import InterpolationMode, v2

from datasets.augment import apply, draw
from datasets.augment.crops import middle_of
from datasets.augment.pixels import OPS, PLACES
from datasets.augment.policies import POLICY, strengths_of
from datasets.augment_settings import Augment

NEAREST = InterpolationMode.NEAREST


def images(n: int = 4, size: tuple[int, int] = (33, 48)) -> torch.Tensor:
    return torch.rand((n, 3, *size), generator=torch.Generator().manual_seed(0))


def moved(image: torch.Tensor, **how: object) -> torch.Tensor:
    plain = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    changed: torch.Tensor = reference.affine(image, interpolation=NEAREST, **{**plain, **how})
    return changed


def sheared(image: torch.Tensor, x: float, y: float) -> torch.Tensor:
    degrees = [math.degrees(math.atan(x)), math.degrees(math.atan(y))]
    return moved(image, shear=degrees, center=[0, 0])


THEIRS: dict[str, tuple[Callable[[torch.Tensor, float], torch.Tensor], list[float]]] = {
    "brightness": (reference.adjust_brightness, [0.3, 1.5, 0.9, 1.0]),
    "contrast": (reference.adjust_contrast, [0.3, 1.5, 0.9, 1.0]),
    "saturation": (reference.adjust_saturation, [0.3, 1.5, 0.9, 0.0]),
    "hue": (reference.adjust_hue, [0.3, -0.5, 0.1, -0.07]),
    "grayscale": (lambda i, _: reference.rgb_to_grayscale(i, 3), [0.0] * 4),
    "blur": (
        lambda i, s: reference.gaussian_blur(i, [2 * max(1, math.ceil(3 * s)) + 1] * 2, [s, s]),
        [0.3, 1.5, 2.0, 0.1],
    ),
    "sharpness": (reference.adjust_sharpness, [0.3, 1.5, 0.9, 0.0]),
    "posterize": (lambda i, bits: reference.posterize(i, int(bits)), [4.0, 8.0, 2.0, 3.0]),
    "solarize": (reference.solarize, [0.3, 1.0, 0.0, 0.6]),
    "autocontrast": (lambda i, _: reference.autocontrast(i), [0.0] * 4),
    "equalize": (lambda i, _: reference.equalize(i), [0.0] * 4),
    "shear_x": (lambda i, s: sheared(i, s, 0.0), [0.3, -0.2, 0.1, 0.25]),
    "shear_y": (lambda i, s: sheared(i, 0.0, s), [0.3, -0.2, 0.1, 0.25]),
    "translate_x": (lambda i, s: moved(i, translate=[int(s), 0]), [3.0, -4.0, 0.0, 5.0]),
    "translate_y": (lambda i, s: moved(i, translate=[0, int(s)]), [3.0, -4.0, 0.0, 5.0]),
    "rotate": (
        lambda i, s: reference.rotate(i, s, interpolation=NEAREST),
        [10.0, -30.0, 135.0, 2.0],
    ),
}


@pytest.mark.parametrize("name", THEIRS)
def test_each_change_is_torchvisions(name: str) -> None:
    theirs, strengths = THEIRS[name]
    given = images()
    ours = OPS[PLACES[name]][1](given.clone(), torch.tensor(strengths))
    expected = torch.stack([theirs(i, s) for i, s in zip(given, strengths, strict=True)])
    differs = (ours - expected).abs() > 2e-6
    # Where a place lies half-way between two pixels, rounding decides which is the nearest.
    assert float(differs.float().mean()) <= (0.02 if name.startswith("shear") else 0)


def test_every_change_of_a_policy_has_a_reference() -> None:
    assert set(THEIRS) == {name for name, _ in OPS} - {"nothing"}


@pytest.mark.parametrize("is_wide", [False, True])
def test_strengths_of_policies_are_torchvisions(is_wide: bool) -> None:
    size = (33, 48)
    kind = v2.TrivialAugmentWide() if is_wide else v2.RandAugment()
    names = {"Identity": "nothing", "Color": "saturation", "AutoContrast": "autocontrast",
             "ShearX": "shear_x", "ShearY": "shear_y", "TranslateX": "translate_x",
             "TranslateY": "translate_y"}  # fmt: skip
    ours = dict(zip(POLICY, strengths_of(size, is_wide), strict=True))
    space = kind._AUGMENTATION_SPACE
    assert {names.get(name, name.lower()) for name in space} == set(POLICY)
    for name, (magnitudes, _) in space.items():
        theirs = magnitudes(31, *size)
        if theirs is not None:
            own = names.get(name, name.lower())
            theirs = theirs.float().trunc() if own.startswith("translate") else theirs.float()
            torch.testing.assert_close(ours[own], theirs, msg=name)


@pytest.mark.parametrize("area", [(0.08, 1.0), (0.9, 1.0)])
def test_resized_crops_are_torchvisions_for_given_draws(area: tuple[float, float]) -> None:
    given, size = images(16, (40, 56)), (24, 24)
    settings = Augment(random_resized_crop=area, horizontal_flip=0.5, vertical_flip=0.3)
    draws = draw(settings, 16, (40, 56), torch.Generator().manual_seed(3), size)
    assert draws.crops is not None
    for image, ours, box in zip(given, apply(given, draws), draws.crops.tolist(), strict=True):
        x, y, width, height = (int(each) for each in box)
        left, top = min(x, x + width), min(y, y + height)
        theirs = reference.resized_crop(
            image, top, left, abs(height), abs(width), list(size), antialias=False
        )
        axes = [axis for axis, side in ((2, width), (1, height)) if side < 0]
        torch.testing.assert_close(ours, theirs.flip(axes), atol=1e-4, rtol=0)


def test_resized_crops_are_drawn_as_torchvision_draws_them() -> None:
    size, n = (60, 80), 4000
    settings = Augment(random_resized_crop=0.08)
    draws = draw(settings, n, size, torch.Generator().manual_seed(0), (32, 32))
    assert draws.crops is not None
    torch.manual_seed(0)
    kind, image = v2.RandomResizedCrop(32), torch.zeros(3, *size)
    made = [kind.make_params([image]) for _ in range(n)]
    theirs = torch.tensor([[p["left"], p["top"], p["width"], p["height"]] for p in made])
    levels = torch.linspace(0.05, 0.95, 10)
    for column in range(4):
        own = draws.crops[:, column].quantile(levels)
        torch.testing.assert_close(
            own, theirs[:, column].float().quantile(levels), atol=3, rtol=0.05
        )


def test_a_crop_where_no_try_fits_is_the_middle() -> None:
    draws = draw(
        Augment(random_resized_crop=(0.99, 1.0)), 50, (10, 100), torch.Generator().manual_seed(0)
    )
    assert draws.crops is not None
    assert draws.crops.unique(dim=0).tolist() == [[43.0, 0.0, 13.0, 10.0]]  # 10 × 4/3, as theirs


def test_a_random_crop_is_cut_after_padding() -> None:
    given = images(300, (8, 8))
    draws = draw(Augment(random_crop=2, fill=0.5), 300, (8, 8), torch.Generator().manual_seed(0))
    assert draws.crops is not None
    places = {(int(x), int(y)) for x, y, _, _ in draws.crops.tolist()}
    assert places == {(x, y) for x in range(-2, 3) for y in range(-2, 3)}
    padded = torch.nn.functional.pad(given, [2] * 4, value=0.5)
    for image, ours, (x, y, _, _) in zip(padded, apply(given, draws), draws.crops, strict=True):
        assert torch.equal(ours, reference.crop(image, int(y) + 2, int(x) + 2, 8, 8))


@pytest.mark.parametrize("size", [(8, 8), (7, 6), (9, 12)])
def test_the_middle_is_torchvisions(size: tuple[int, int]) -> None:
    given = images(2, (9, 12))
    assert torch.equal(middle_of(given, size), reference.center_crop(given, list(size)))


def test_flips_alone_copy_pixels() -> None:
    given = images(200, (5, 6))
    settings = Augment(horizontal_flip=0.25, vertical_flip=1.0)
    changed = apply(given, draw(settings, 200, (5, 6), torch.Generator().manual_seed(1)))
    straight = (changed == given.flip(2)).flatten(1).all(dim=1)
    mirrored = (changed == given.flip(2, 3)).flatten(1).all(dim=1)
    assert bool((straight ^ mirrored).all())
    assert 30 < int(mirrored.sum()) < 75


def test_jitter_is_drawn_as_torchvision_draws_it() -> None:
    settings = Augment.model_validate(
        {"colour_jitter": {"brightness": 0.4, "contrast": [0.5, 2.0], "hue": 0.1}}
    )
    draws = draw(settings, 6000, (8, 8), torch.Generator().manual_seed(0))
    assert draws.ops is not None
    assert draws.strengths is not None
    limits = {"brightness": (0.6, 1.4), "contrast": (0.5, 2.0), "hue": (-0.1, 0.1)}
    assert set(draws.ops.unique().tolist()) == {0, *(PLACES[name] for name in limits)}
    for name, (low, high) in limits.items():
        is_its = draws.ops == PLACES[name]
        assert is_its.sum(dim=1).eq(1).all()  # each once
        torch.testing.assert_close(
            is_its.float().mean(0), torch.full((4,), 0.25), atol=0.02, rtol=0
        )
        values = draws.strengths[is_its].quantile(torch.tensor([0.0, 0.5, 1.0]))
        span = high - low
        expected = torch.tensor([low, (low + high) / 2, high])
        torch.testing.assert_close(values, expected, atol=0.03 * span, rtol=0)


def test_policies_draw_each_change_and_sign_alike() -> None:
    settings = Augment.model_validate({"rand_augment": {"layers": 2, "magnitude": 9}})
    draws = draw(settings, 7000, (32, 32), torch.Generator().manual_seed(0))
    assert draws.ops is not None
    assert draws.strengths is not None
    shares = torch.bincount(draws.ops.flatten(), minlength=len(OPS))[[PLACES[n] for n in POLICY]]
    torch.testing.assert_close(shares / 14000, torch.full((14,), 1 / 14), atol=0.01, rtol=0)
    turns = draws.strengths[draws.ops == PLACES["rotate"]]
    assert set(turns.unique().tolist()) == {-9.0, 9.0}
    assert abs(float((turns > 0).float().mean()) - 0.5) < 0.06


def test_keys_share_the_draws_of_each_other() -> None:
    few = Augment(horizontal_flip=0.5, random_crop=4)
    many = Augment(horizontal_flip=0.5, random_crop=4, rotate=10, blur=0.5, trivial_augment=True)
    drawn = [draw(each, 9, (16, 16), torch.Generator().manual_seed(5)) for each in (few, many)]
    assert drawn[0].crops is not None
    assert drawn[1].crops is not None
    assert torch.equal(drawn[0].crops, drawn[1].crops)
    assert drawn[1].ops is not None
    assert torch.equal(drawn[1][2:5].ops, drawn[1].ops[2:5])  # type: ignore[arg-type]


EVERYTHING = Augment(
    random_resized_crop=0.3, horizontal_flip=0.5, rotate=20, grayscale=0.3, blur=0.5, erase=0.5,
    trivial_augment=True, colour_jitter={"brightness": 0.4, "hue": 0.2},  # type: ignore[arg-type]
)  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
def test_all_together_halves_equal_the_whole_and_the_input_stays(channels: int) -> None:
    given = images(12, (40, 40))[:, :channels].contiguous()
    kept = given.clone()
    draws = draw(EVERYTHING, 12, (40, 40), torch.Generator().manual_seed(2), (32, 32))
    whole = apply(given, draws)
    assert whole.shape == (12, channels, 32, 32)
    halves = [apply(given[rows], draws[rows]) for rows in (slice(0, 5), slice(5, 12))]
    torch.testing.assert_close(torch.cat(halves), whole, atol=1e-6, rtol=0)
    assert torch.equal(given, kept)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"random_crop": 4, "random_resized_crop": 0.5}, "random_crop and random_resized_crop"),
        ({"rand_augment": {}, "trivial_augment": True}, "rand_augment and trivial_augment"),
        ({"random_resized_crop": [0.5, 1.5]}, "1.5 is more than the whole image"),
        ({"colour_jitter": {"contrast": [2.0, 0.5]}}, "with both 0 or more"),
        ({"colour_jitter": {"hue": 0.7}}, "less than or equal to 0.5"),
        ({"horizontal_flip": 1.5}, "less than or equal to 1"),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augment.model_validate(given)

"""Which GPUs are seen, and what a person reads who has one that is not used."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from functools import partial
from types import SimpleNamespace

import pytest

from harness.runfolder.nvidia import Driver
from harness.training import cards
from harness.training.cards import Cards, cards_here, is_too_old, look
from headstart.errors import EngineError, InputError

BUILT_FOR = ["sm_75", "sm_80", "sm_90", "compute_120"]
H100, OLD = ("NVIDIA H100", (9, 0)), ("Tesla K80", (3, 7))


def seen_by(*devices, cuda="13.0", error=None) -> SimpleNamespace:
    """A torch that sees these devices: each a name and a compute capability."""

    def init() -> None:
        if error:
            raise RuntimeError(error)

    return SimpleNamespace(
        __version__="2.15.0",
        version=SimpleNamespace(cuda=cuda, hip=None),
        cuda=SimpleNamespace(
            init=init,
            device_count=lambda: len(devices),
            get_device_name=lambda k: devices[k][0],
            get_device_properties=lambda k: SimpleNamespace(total_memory=80_000_000_000),
            get_device_capability=lambda k: devices[k][1],
            get_arch_list=lambda: BUILT_FOR,
        ),
    )


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in (cards.VISIBLE, cards.RESERVED):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ((), "trains on CPUs"),
        (("NVIDIA H100",), "trains on 1 GPU: NVIDIA H100"),
        (("NVIDIA H100",) * 4, "trains on 4 GPUs: NVIDIA H100"),
        (("A", "B", "A"), "trains on 3 GPUs: 2 A, 1 B"),
    ],
)
def test_one_line_says_where_trials_train(names, line):
    assert Cards(names).line() == line
    assert Cards(names, "because").line() == f"{line} (because)"


def test_the_line_says_how_many_gpus_are_used():
    four = Cards(("NVIDIA H100",) * 4)
    assert four.line(1) == "trains on 1 of 4 GPUs: NVIDIA H100"
    assert four.line(4) == four.line(9) == "trains on 4 GPUs: NVIDIA H100"


def test_gpus_are_those_that_pytorch_sees():
    assert look(seen_by(H100, H100)) == Cards(("NVIDIA H100",) * 2)


@pytest.mark.parametrize("visible", ["", " ", "-1"])
def test_hidden_gpus_are_said_to_be_hidden(monkeypatch, visible):
    monkeypatch.setenv(cards.VISIBLE, visible)
    seen = look(seen_by(H100))
    assert (len(seen), seen.remark) == (
        0, f"CUDA_VISIBLE_DEVICES is {visible!r}, which hides every GPU",
    )  # fmt: skip


def test_a_pytorch_for_cpus_and_a_driver_that_is_too_old_are_named(monkeypatch):
    assert look(seen_by(H100, cuda=None)).remark == "PyTorch 2.15.0 is built for CPUs alone"
    old = "The NVIDIA driver on your system is too old (found version 11040). Please update."
    needs = "it runs CUDA 11.4, and PyTorch 2.15.0 needs CUDA 13.0; update the driver, or install"
    monkeypatch.setattr(cards, "driver", lambda: None)
    assert look(seen_by(error=old)).remark.startswith(f"the NVIDIA driver is too old: {needs}")
    monkeypatch.setattr(cards, "driver", lambda: Driver("470.1"))
    assert look(seen_by(error=old)).remark.startswith(
        f"the NVIDIA driver 470.1 is too old: {needs}"
    )


def test_what_else_pytorch_says_is_kept_with_both_versions(monkeypatch):
    said = "CUDA driver initialization failed, you might not have a CUDA gpu."
    monkeypatch.setattr(cards, "driver", lambda: Driver("580.65"))
    assert look(seen_by(error=said)).remark == (
        f"{said[:-1]} (NVIDIA driver 580.65; PyTorch 2.15.0 needs CUDA 13.0)"
    )
    monkeypatch.setattr(cards, "driver", lambda: None)
    assert look(seen_by(error=said)).remark == said[:-1]


def test_cards_that_pytorch_has_no_kernels_for_are_named_and_never_used(monkeypatch):
    seen = look(seen_by(OLD))
    assert not seen.names
    assert (
        "GPU 0 (Tesla K80) is too old for PyTorch 2.15.0, which is built for sm_75" in seen.remark
    )
    with pytest.raises(InputError, match=r"too old .* set CUDA_VISIBLE_DEVICES=0,2 to use the oth"):
        look(seen_by(H100, OLD, H100))


@pytest.mark.parametrize(
    ("capability", "is_old"),
    [((7, 0), True), ((7, 5), False), ((8, 6), False), ((10, 0), True), ((12, 1), False),
     ((13, 0), False)],
)  # fmt: skip
def test_kernels_serve_their_own_generation_and_intermediate_code_later_ones(capability, is_old):
    assert is_too_old(capability, BUILT_FOR) is is_old
    assert not is_too_old(capability, ["gfx90a"]), "nothing is known of other makers"


def test_every_part_of_a_divided_gpu_is_a_gpu_though_a_process_sees_the_first_alone(monkeypatch):
    monkeypatch.setenv(cards.VISIBLE, "MIG-1, MIG-2,MIG-3")
    assert look(seen_by(H100)) == Cards(("NVIDIA H100",) * 3)
    monkeypatch.setenv(cards.VISIBLE, "GPU-1")
    assert look(seen_by(H100)) == Cards(("NVIDIA H100",))


def test_without_a_driver_no_process_is_started(monkeypatch):
    monkeypatch.setattr(cards, "has_driver", lambda: False)
    monkeypatch.setattr(cards, "driver", lambda: None)
    monkeypatch.setattr(cards, "_ask", lambda: pytest.fail("it was started"))
    assert cards_here().line() == "trains on CPUs (no driver of a GPU is installed)"


def test_a_driver_that_a_container_does_not_see_is_said(monkeypatch):
    monkeypatch.setattr(cards, "has_driver", lambda: False)
    monkeypatch.setattr(cards, "driver", lambda: Driver("580.65"))
    line = cards_here().line()
    assert line.startswith("trains on CPUs (NVIDIA driver 580.65 runs on this machine, and its lib")


def test_gpus_that_slurm_reserved_are_never_left_idle_in_silence(monkeypatch):
    monkeypatch.setattr(cards, "has_driver", lambda: False)
    monkeypatch.setenv(cards.RESERVED, "4")
    with pytest.raises(InputError, match=r"reserved 4 GPU\(s\) .*: no driver .*resources.gpus: 0"):
        cards_here()


def test_a_process_that_dies_while_it_looks_is_one_line_and_no_silent_cpu(monkeypatch):
    monkeypatch.setattr(cards, "has_driver", lambda: True)
    monkeypatch.setattr(cards, "_look", partial(os._exit, 1))
    cards._ask.cache_clear()
    with pytest.raises(EngineError, match=r"ended \(exit status 1\) .*resources.gpus: 0 to train"):
        cards_here()


ASKED = """
    import os
    from harness.training import cards

    def line(**variables):
        os.environ.update(variables)
        cards._ask.cache_clear()
        return cards.cards_here().line()

    if __name__ == "__main__":
        print(line(CUDA_VISIBLE_DEVICES="3,1"))
        print(line(FAKE_DRIVER="11040"))
        import sys
        assert "torch" not in sys.modules, "the command itself does not load it"
"""


@pytest.mark.slow
def test_another_process_asks_pytorch_and_the_command_does_not_load_it(card, tmp_path):
    """On the stand-in for cards, with PyTorch's own answers.

    Slow: several processes start PyTorch.
    """
    program = tmp_path / "asked.py"  # a file: what a process spawns imports it
    program.write_text(textwrap.dedent(ASKED))
    done = card.run([sys.executable, str(program)], gpus=4)
    two, old = done.stdout.splitlines()
    assert re.fullmatch(r"trains on 2 GPUs: .*H100.*", two)
    assert re.fullmatch(
        r"trains on CPUs \(the NVIDIA driver.* too old: it runs CUDA 11.4, .* needs CUDA 1.*\)", old
    )

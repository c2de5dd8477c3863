"""The stand-in itself: what it shows of cards, what it counts, what it refuses."""

from __future__ import annotations

import textwrap

import pytest
from fake_card import name_of

TORCH_ON_CARDS = """
    import torch
    from card_counters import counted, counters, kernels, reset

    # Two cards, told apart
    assert torch.cuda.is_available() and torch.cuda.device_count() == 2
    a, b = (torch.cuda.get_device_properties(k) for k in range(2))
    assert (a.major, a.minor, a.total_memory) == (9, 0, 6_000_000_000)
    assert str(a.uuid) != str(b.uuid), (a.uuid, b.uuid)

    # What is launched, copied and waited for
    x = torch.ones(1000, device="cuda")
    with counted() as once:
        y = x + x
    assert (once.launches, once.kernels, once.copies, once.waits) == (1, 1, 0, 0), once
    with counted() as read:
        y.sum().item()
    assert (read.copies_out, read.bytes_out, read.waits) == (1, 4, 1), read
    with counted() as product:
        torch.ones(8, 8, device="cuda") @ torch.ones(8, 8, device="cuda")
    assert product.blas == 1, product
    reset()
    assert counters().launches == 0 and not kernels()
    x.relu_()
    assert counters().launches == 1
    assert [n for n in kernels().values()] == [1] and "elementwise" in next(iter(kernels()))

    # A training step of a convolution
    layer = torch.nn.Conv2d(3, 8, 3).cuda()
    with counted() as step:
        layer(torch.ones(2, 3, 8, 8, device="cuda")).sum().backward()
    assert step.convolutions == 2 and step.waits == 0, step  # of the output, of the kernels

    # Bytes by device, with peaks; out of memory by device
    before = counters().bytes_now[1]
    big = torch.empty(4_000_000_000, dtype=torch.uint8, device="cuda:1")
    assert 4.0e9 <= counters().bytes_now[1] - before < 4.01e9
    torch.empty(4_000_000_000, dtype=torch.uint8, device="cuda:0")
    try:
        torch.empty(4_000_000_000, dtype=torch.uint8, device="cuda:1")
    except torch.OutOfMemoryError as err:
        assert "out of memory" in str(err), err
    else:
        raise AssertionError("a card of 6 GB held 8")
    del big
    torch.cuda.empty_cache()
    assert counters().bytes_now[1] == before and counters().bytes_peak[1] >= 4_000_000_000
    free, total = torch.cuda.mem_get_info(1)
    assert total - free == before

    # What PyTorch itself refuses
    def refused(call, part):
        try:
            call()
        except RuntimeError as err:
            assert part in str(err), err
        else:
            raise AssertionError(part)

    refused(lambda: x + torch.ones(1000, device="cuda:1"), "same device")
    refused(lambda: x + torch.ones(1000), "same device")
    torch.use_deterministic_algorithms(True)
    z = torch.ones(1, 1, 7, 7, device="cuda", requires_grad=True)
    pooled = torch.nn.functional.adaptive_avg_pool2d(z, 3)
    refused(lambda: pooled.sum().backward(), "adaptive_avg_pool2d_backward_cuda")

    # A graph is captured and replayed
    torch.use_deterministic_algorithms(False)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        x.add_(1)
    with counted() as replay:
        graph.replay()
    assert (replay.graph_launches, replay.kernels) == (1, 0), replay
    print("all of it", flush=True)
"""


def test_torch_sees_cards_that_count_what_is_asked_of_them(card):
    done = card.run(TORCH_ON_CARDS, gpus=2, memory_gb=6, names=True)
    assert done.stdout.strip() == "all of it"


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        ("", []),
        ("1", ["1"]),
        ("2,0", ["2", "0"]),
        ("0,7,1", ["0"]),  # up to the first that is not there, as CUDA does
        ("0,0", []),
        (name_of(2), ["2"]),
        (f"{name_of(3)},{name_of(1)}", ["3", "1"]),
        ("GPU-", []),  # the beginning of four names
    ],
)
def test_the_visible_devices_are_those_that_cuda_would_show(card, visible, seen):
    """Four of a machine's cards; asked without torch, which would cost seconds each time."""
    code = """
        import ctypes
        runtime, n = ctypes.CDLL(None), ctypes.c_int()
        runtime.cudaGetDeviceCount(ctypes.byref(n))
        name = ctypes.create_string_buffer(16)
        for k in range(n.value):
            runtime.cudaDeviceGetPCIBusId(name, 16, k)
            print(int(name.value[5:7], 16) - 1)
    """
    done = card.run(code, gpus=4, CUDA_VISIBLE_DEVICES=visible)
    assert done.stdout.split() == seen


def test_an_older_driver_is_refused_as_cuda_does(card):
    code = """
        import ctypes
        n = ctypes.c_int()
        print(ctypes.CDLL(None).cudaGetDeviceCount(ctypes.byref(n)), n.value)
    """
    assert card.run(code, FAKE_DRIVER="11040").stdout == "35 0\n"  # cudaErrorInsufficientDriver
    assert card.run(code, FAKE_DRIVER="13000").stdout == "0 1\n"


@pytest.mark.slow
def test_what_a_card_would_refuse_fails_the_test(card):
    """A wait inside of a capture, which then ends with an error of its own, as on a card.

    Slow: a process imports torch.
    """
    code = """
        import torch
        x = torch.ones(1, device="cuda")
        try:
            with torch.cuda.graph(torch.cuda.CUDAGraph()):
                x.item()
        except RuntimeError as err:
            assert "previous error during capture" in str(err), err
            assert "not permitted when stream is capturing" in str(err.__context__)
            with torch.cuda.graph(torch.cuda.CUDAGraph()):
                x.add_(1)  # the next one is whole again
        else:
            raise AssertionError("the capture ended as if nothing had been refused")
    """
    refused = r"\[fake card\] cudaStreamSynchronize in a stream"
    with pytest.raises(AssertionError, match=refused) as caught:
        card.run(code)
    assert "Traceback" not in str(caught.value)  # of the code's own assertions


def test_processes_share_the_memory_of_a_card(card):
    """A child holds 4 of 6 GB of card 1: the parent has none of them until the child was killed."""
    holder = """
        import ctypes
        runtime, block = ctypes.CDLL(None), ctypes.c_void_p()
        def take(gigabytes):
            return runtime.cudaMalloc(ctypes.byref(block), ctypes.c_size_t(gigabytes * 10**9))
    """
    child = f"{textwrap.dedent(holder)}\nassert take(4) == 0\nprint(1, flush=True)\ninput()"
    parent = f"""
        {holder}
        import os, subprocess, sys
        child = subprocess.Popen(
            [sys.executable, "-c", {child!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={{**os.environ, "CUDA_VISIBLE_DEVICES": "1"}},
        )
        child.stdout.readline()
        assert take(3) == 0 and not runtime.cudaSetDevice(1)
        assert take(3) == 2  # cudaErrorMemoryAllocation
        child.kill()
        child.wait()
        assert take(3) == 0
    """
    processes = card.run(textwrap.dedent(parent), gpus=2, memory_gb=6).processes
    held = [[round(n, -8) for n in process.bytes_peak[:2]] for process in processes]
    assert sorted(held) == [[0, 4e9], [3e9, 3e9]]

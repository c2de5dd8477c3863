"""Images from files, as the networks take them.

MNIST: LeCun, Cortes, Burges, "The MNIST database of handwritten digits"; torchvision downloads it.
"""

import gzip

import cv2
import numpy as np
import torch

MNIST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def read_folder(folder, classes):
    """The JPEG images of a folder that has one folder for each class.

    Returns uint8 (N, 28, 28) and labels int64 (N,), in the order of the files' names: it is the
    order in which they were drawn, and the order of mini-batches depends on it.
    """
    files = [
        (path.name, label, path)
        for label, name in enumerate(classes)
        for path in (folder / name).glob("*.jpg")
    ]
    if not files:
        raise SystemExit("%s: holds no .jpg in folders named %s" % (folder, ", ".join(classes)))
    files.sort(key=lambda file: file[:2])
    images = [decode(path.read_bytes()) for _, _, path in files]
    labels = torch.tensor([label for _, label, _ in files])
    return torch.from_numpy(np.stack(images)), labels


def decode(content):
    """uint8 (H, W) of an image file. (cv2.imread cannot open every path on Windows.)"""
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)


def read_pretraining_test(settings, code, mnist, remarks):
    """The test images of what the network was pretrained on, or None where they cannot be had."""
    if settings["pretraining_test"] != "MNIST":  # a stand-in: its images lie beside the code
        with np.load(str(code / settings["pretraining_test"])) as arrays:
            return torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])
    try:
        return read_mnist(mnist) if mnist else download_mnist(code / "mnist")
    except (OSError, RuntimeError) as error:
        remarks.append(
            "MNIST's test images cannot be had (%s); with --mnist FOLDER they are read "
            "from a folder." % str(error).splitlines()[0]
        )
        return None


def download_mnist(folder):
    from torchvision.datasets import MNIST

    test = MNIST(str(folder), train=False, download=True)
    return test.data, test.targets


def read_mnist(folder):
    """MNIST's test images from a folder that has its files, packed or not, at any depth."""
    contents = []
    for name in MNIST_FILES:
        files = sorted(folder.rglob(name)) + sorted(folder.rglob(name + ".gz"))
        if not files:
            raise OSError("%s holds no %s" % (folder, name))
        content = files[0].read_bytes()
        contents.append(gzip.decompress(content) if files[0].suffix == ".gz" else content)
    images = np.frombuffer(contents[0], np.uint8, offset=16).reshape(-1, 28, 28)
    labels = np.frombuffer(contents[1], np.uint8, offset=8).astype(np.int64)
    return torch.from_numpy(images.copy()), torch.from_numpy(labels)


def shaped(images, size, channels):
    """uint8 (N, h, w) → (N, channels, H, W) of the size that a network takes.

    Images (N, channels, H, W) are so already.
    """
    if images.dim() == 4:
        return images
    if tuple(images.shape[1:]) != tuple(size):
        smaller = images.shape[1] < size[0] or images.shape[2] < size[1]
        method = cv2.INTER_LINEAR if smaller else cv2.INTER_AREA
        images = torch.from_numpy(
            np.stack(
                [
                    cv2.resize(image, (size[1], size[0]), interpolation=method)
                    for image in images.numpy()
                ]
            )
        )
    return images[:, None].expand(-1, channels, -1, -1)

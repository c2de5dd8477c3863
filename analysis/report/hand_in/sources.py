"""What the report of a hand-in cites, and the names of networks as papers write them.

In: paragraphs with marks, as `mark("adam")` makes them. Out: the same paragraphs with numbers in
the order of their first mention, and the list of exactly these sources. It stands alone because
paragraphs come and go until they fit the page, and the list goes with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_MARK = re.compile(r" ?⟦([a-z_]+)⟧")
SOURCES = {
    "lecun": "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document "
    "recognition, Proc. IEEE 1998 (MNIST, LeNet-5)",
    "opencv": "Bradski: The OpenCV library, 2000 (cutting digits, JPEG)",
    "pytorch": "Paszke et al.: PyTorch, NeurIPS 2019",
    "torchvision": "Marcel, Rodriguez: Torchvision, ACM Multimedia 2010 (networks)",
    "batch_norm": "Ioffe, Szegedy: Batch normalization, ICML 2015",
    "alexnet": "Krizhevsky: One weird trick for parallelizing CNNs, arXiv 2014 (AlexNet)",
    "googlenet": "Szegedy et al.: Going deeper with convolutions, CVPR 2015 (GoogLeNet)",
    "resnet": "He, Zhang, Ren, Sun: Deep residual learning, CVPR 2016 (ResNet)",
    "squeezenet": "Iandola et al.: SqueezeNet, arXiv 2016",
    "vgg": "Simonyan, Zisserman: Very deep convolutional networks, ICLR 2015 (VGG)",
    "adam": "Kingma, Ba: Adam, ICLR 2015",
    "adamw": "Loshchilov, Hutter: Decoupled weight decay, ICLR 2019 (AdamW)",
    "cosine": "Loshchilov, Hutter: SGDR, ICLR 2017 (cosine schedule)",
    "frozen": "Yosinski, Clune, Bengio, Lipson: How transferable are features in deep neural "
    "networks?, NeurIPS 2014 (frozen first layers)",
    "random": "Bergstra, Bengio: Random search for hyper-parameter optimization, JMLR 2012",
    "halving": "Jamieson, Talwalkar: Non-stochastic best arm identification and hyperparameter "
    "optimization, AISTATS 2016 (successive halving)",
    "dropout": "Srivastava et al.: Dropout, JMLR 2014",
    "elastic": "Simard, Steinkraus, Platt: Best practices for convolutional neural networks, "
    "ICDAR 2003 (elastic changes)",
    "early": "Prechelt: Early stopping, but when?, Neural Networks: Tricks of the Trade 1998",
    "redrawn": "Nadeau, Bengio: Inference for the generalization error, Machine Learning 2003 "
    "(intervals of splits of one pool)",
    "adjusted": "Westfall, Young: Resampling-based multiple testing, 1993; Holm: A simple "
    "sequentially rejective multiple test procedure, 1979 (p among several)",
}
_FAMILIES = {  # how a name begins → how it is written, and what is cited
    "lenet5": ("LeNet-5", "lecun"),
    "midas_cnn": ("a CNN with batch normalisation", "batch_norm"),
    "mlp": ("a network of fully connected layers", "pytorch"),
    "alexnet": ("AlexNet", "alexnet"),
    "googlenet": ("GoogLeNet", "googlenet"),
    "resnet": ("ResNet-", "resnet"),
    "squeezenet": ("SqueezeNet ", "squeezenet"),
    "vgg": ("VGG-", "vgg"),
}


def mark(key: str) -> str:
    """A mark that becomes the number of a source; it stands after a word, with a space of its own.

    Raises:
        KeyError: there is no such source.
    """
    SOURCES[key]
    return f" ⟦{key}⟧"


def network_name(model: str) -> str:
    """`lenet5` → `LeNet-5`, with a mark; a network of the user's own keeps its name."""
    for start, (name, source) in _FAMILIES.items():
        rest = model.removeprefix(start)
        if rest != model and re.fullmatch(r"(\d[\d_]*(_bn)?)?", rest):
            number = rest.removesuffix("_bn").replace("_", ".")
            norm = " with batch normalisation" * rest.endswith("_bn")
            return f"{name}{number}{norm}{mark(source)}"
    return model


def cite(passages: Iterable[Sequence[str]]) -> tuple[list[list[str]], str]:
    """The paragraphs with numbers for marks, and the sources that they name, numbered."""
    order: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        if match[1] not in SOURCES:  # a name of the user's may look like a mark
            return match[0]
        return f" [{order.setdefault(match[1], len(order) + 1)}]"

    texts = [[_MARK.sub(number, text) for text in paragraphs] for paragraphs in passages]
    return texts, " ".join(f"[{k}] {SOURCES[key]}." for key, k in order.items())

"""Fine-tuning and evaluating, with the settings that the search chose (settings.json).

Adam: Kingma and Ba (2015); AdamW: Loshchilov and Hutter (2019), who also have the cosine schedule.
"""

import copy
import math

import augmentation
import torch
from layers import Dropout, seed_of
from pictures import shaped
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

AT_ONCE = 100  # images that are evaluated together


def fine_tune(network, evaluation, training, validation):
    """Train some of the network's layers; in the end it has the weights that `select` names.

    training, validation: uint8 images (N, 28, 28) and labels (N,).
    """
    chosen = evaluation["fine_tuning"]
    images = shaped(training[0], evaluation["image_size"], evaluation["channels"])
    labels = training[1]
    freeze(network, chosen)
    optimizer = make_optimizer(network, chosen)
    n_steps = math.ceil(len(labels) / chosen["batch_size"])  # of an epoch
    schedule = make_schedule(optimizer, chosen["schedule"], n_steps, n_steps * chosen["epochs"])

    best, since, lowest = None, 0, math.inf
    for step in range(n_steps * chosen["epochs"] + 1):  # the start is evaluated too
        if is_evaluated(step, n_steps, chosen):
            loss, accuracy = score(network, validation, evaluation)
            if not math.isfinite(loss):
                break  # diverged
            rank = (-loss,) if chosen["select"] == "val_loss" else (accuracy, -loss)
            if best is None or rank > best[0] or chosen["select"] == "last":
                best = (rank, copy.deepcopy(network.state_dict()))
            if isinstance(schedule, ReduceLROnPlateau):
                by_loss = chosen["schedule"]["monitor"] == "val_loss"
                schedule.step(loss if by_loss else accuracy)
            stopping = chosen["early_stopping"]
            if stopping and step > 0:
                value = loss if stopping["monitor"] == "val_loss" else -accuracy
                improved = value < lowest - stopping["minimum_change"]
                lowest, since = (value, 0) if improved else (lowest, since + 1)
                if since >= stopping["patience"]:
                    break
        if step == n_steps * chosen["epochs"]:
            break
        batch = next_batch(step, n_steps, len(labels), chosen)
        inputs = prepared(images[batch], step, evaluation)
        set_training_mode(network, chosen)
        logits = network_logits(network, inputs, evaluation)
        loss = F.cross_entropy(logits, labels[batch], label_smoothing=chosen["label_smoothing"])
        loss.backward()
        if chosen["clip_gradient_norm"] is not None:
            nn.utils.clip_grad_norm_(network.parameters(), chosen["clip_gradient_norm"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if isinstance(schedule, LambdaLR):
            schedule.step()
    network.load_state_dict(best[1])


def freeze(network, chosen):
    """Only the layers that are fine-tuned have gradients."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(any(name in group["parameters"] for group in chosen["groups"]))


def set_training_mode(network, chosen):
    """Frozen layers stay as in evaluation: their batch norm and dropout do not move."""
    network.train()
    for path in chosen["frozen_modules"]:
        network.get_submodule(path).eval()


def make_optimizer(network, chosen):
    parameters = dict(network.named_parameters())
    groups = [
        {"params": [parameters[name] for name in group["parameters"]], "lr": group["learning_rate"]}
        for group in chosen["groups"]
    ]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    return kind[chosen["optimizer"]](groups, fused=True, **chosen["optimizer_options"])


def make_schedule(optimizer, schedule, n_steps, n_all):
    """How the learning rate moves: by step, or on a plateau of the validation score."""
    if schedule["name"] == "plateau":
        return ReduceLROnPlateau(
            optimizer,
            mode="min" if schedule["monitor"] == "val_loss" else "max",
            factor=schedule["factor"],
            patience=schedule["patience"],
            min_lr=schedule["minimum"],
        )

    def factor(step):
        warmup = schedule["warmup_steps"]
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if schedule["name"] == "cosine":
            done, low = (step - warmup) / max(1, n_all - warmup), schedule["final_fraction"]
            return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        if schedule["name"] == "step":
            return float(schedule["factor"] ** (step // (n_steps * schedule["every"])))
        return 1.0

    return LambdaLR(optimizer, factor)


def is_evaluated(step, n_steps, chosen):
    every = chosen["evaluate_every"]
    if step in (0, n_steps * chosen["epochs"]):
        return True
    if every["until"] is not None and step > every["until"]:
        return (step - every["until"]) % every["then"] == 0
    return step % (every["steps"] or max(1, round(every["epochs"] * n_steps))) == 0


def next_batch(step, n_steps, n_images, chosen):
    """The images of a step; each epoch has an order of its own, drawn from a seed of its own."""
    epoch, place = divmod(step, n_steps)
    draws = torch.Generator().manual_seed(seed_of(chosen["streams"]["order"], "epoch", epoch))
    order = torch.randperm(n_images, generator=draws)
    Dropout.generator.manual_seed(seed_of(chosen["streams"]["dropout"], "step", step))
    torch.manual_seed(seed_of(chosen["streams"]["dropout"], "step", step))
    return order[place * chosen["batch_size"] : (place + 1) * chosen["batch_size"]]


def prepared(images, step, evaluation):
    """A batch as the network takes it: moved and bent at random, then normalised."""
    chosen = evaluation["fine_tuning"]
    if chosen["augment"] is None:
        return normalised(images, evaluation)
    draws = torch.Generator().manual_seed(seed_of(chosen["streams"]["augment"], "step", step))
    changed = augmentation.augment(images.float().div_(255), chosen["augment"], draws)
    mean, std = (
        torch.tensor(evaluation[key], dtype=torch.float64).float().view(1, -1, 1, 1)
        for key in ("mean", "std")
    )
    return changed.sub(mean).div_(std)


def normalised(images, evaluation):
    """uint8 images → float32, each channel with its mean taken off and divided by its deviation."""
    mean, std = (torch.tensor(evaluation[key], dtype=torch.float64) for key in ("mean", "std"))
    scale, shift = (1 / (255 * std)).float(), (-mean / std).float()
    return images.float().mul_(scale.view(1, -1, 1, 1)).add_(shift.view(1, -1, 1, 1))


def network_logits(network, inputs, evaluation):
    """What the network says of each class, where it gives several things."""
    output = network(inputs)
    if isinstance(output, torch.Tensor):
        return output
    return output["logits"] if isinstance(output, dict) else output[evaluation["output"]]


@torch.no_grad()
def all_logits(network, images, evaluation):
    network.eval()
    images = shaped(images, evaluation["image_size"], evaluation["channels"])
    # In as many whole parts as fit, the last one with the rest.
    n = max(1, len(images) // AT_ONCE)
    parts = images.tensor_split([AT_ONCE * k for k in range(1, n)])
    return torch.cat(
        [network_logits(network, normalised(part, evaluation), evaluation) for part in parts]
    )


def predict(network, images, evaluation):
    """The class of each image, int64 (N,)."""
    return all_logits(network, images, evaluation).argmax(dim=1)


def score(network, part, evaluation):
    """Loss and accuracy of a part."""
    logits = all_logits(network, part[0], evaluation)
    smoothing = evaluation["fine_tuning"]["label_smoothing"]
    loss = F.cross_entropy(logits, part[1], label_smoothing=smoothing)
    return float(loss), float((logits.argmax(dim=1) == part[1]).double().mean())

"""Trains TinyNet on one device and split over two, and prints the largest difference of a weight.

In a process of its own: logical devices must be made before TensorFlow's first op.
Usage: tests.training.mirrored_child DATASET [with-state]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.data.dataset import Dataset
from edgevit.training.backend import load_tensorflow, make_deterministic
from edgevit.training.pipeline import Examples
from edgevit.training.progress import Progress
from edgevit.training.signals import StopRequest
from edgevit.training.trainer import Trainer
from tests.training.tinynet import TinyNet, settings_for


def make_two_devices() -> None:
    load_tensorflow()
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)


def weights_after(dataset: Dataset, net: TinyNet, devices: tuple[str, ...]) -> list[Any]:
    settings = settings_for(dataset, devices=devices, epochs=2)
    make_deterministic(settings.seed)
    pixels = settings.spec.preprocessing
    train, val = (
        Examples(dataset.pixels(name, pixels), dataset.split(name).labels())
        for name in ("train", "val")
    )
    folder = dataset.root / f"run-{len(devices)}"
    trainer = Trainer(lambda: net.build_keras(settings.spec), settings, train, val, folder)
    with StopRequest() as stop, Progress(2, trainer.steps_per_epoch) as progress:
        trainer.run(stop, progress)
    return [variable.numpy() for variable in trainer.model.weights]


def main() -> None:
    make_two_devices()
    dataset = Dataset.load(Path(sys.argv[1]))
    net = TinyNet(stateless="with-state" not in sys.argv)
    one, two = (weights_after(dataset, net, devices) for devices in ((), ("CPU:0", "CPU:1")))
    print(max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True)))


if __name__ == "__main__":
    main()

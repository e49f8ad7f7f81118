"""How every network is trained: settings, learning rate, loop, checkpoints, export, one command."""

from common import keras_config

keras_config.prepare()

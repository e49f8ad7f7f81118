"""Chapters 7 and 8: synthesisers that can be trained, their ears (pitch, loudness), and how they are judged."""

from common import keras_config

keras_config.prepare()

"""Chapter 6: Conv-TasNet, a network that separates the waveform itself."""

from common import keras_config

keras_config.prepare()

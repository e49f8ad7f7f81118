"""Outputs of ddsp 3.7.0 and the published CREPE, computed by the Python of an environment of their own for `compare`:

    python reference.py QUESTIONS.npz ANSWERS.npz CREPE_WEIGHTS.h5

An argument is named <function>/<case>/<argument>, the output <function>/<case>. Nothing of the course is imported here,
because none of it installs there; nothing of the course imports this, for the same reason.
"""

import sys
import types

sys.modules["crepe"] = types.ModuleType("crepe")  # ddsp imports it at the top, and uses it only to track pitch

import ddsp  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf_keras  # noqa: E402
from ddsp import core, effects, losses, spectral_ops  # noqa: E402


def harmonic(f0, amplitude, distribution):
    """Their harmonic synthesiser, (2, batch, samples): with frequencies and phases in float64, and as it ships.

    In float32 it rounds each harmonic's frequency and sums its phase on its own. The difference is the cost.
    """
    amplitude, distribution = core.exp_sigmoid(amplitude), core.exp_sigmoid(distribution)
    distribution = core.normalize_harmonics(distribution, f0, 16000)
    n_samples, n_harmonics = f0.shape[1] * 64, distribution.shape[-1]
    amplitudes = core.resample(amplitude * distribution, n_samples, method="window")
    rounded = core.resample(core.get_harmonic_frequencies(f0, n_harmonics), n_samples)
    shipped = core.oscillator_bank(rounded, amplitudes, use_angular_cumsum=True)
    multiples = np.float64(core.resample(f0, n_samples)) * np.arange(1, n_harmonics + 1)
    single, core.tf_float32 = core.tf_float32, lambda x: tf.cast(x, tf.float64)
    double = core.oscillator_bank(multiples, amplitudes)
    core.tf_float32 = single
    return np.stack([double, tf.cast(shipped, tf.float64)])


def filtered_noise(magnitudes, noise):
    """Their filtered noise, with the noise given."""
    return core.frequency_filter(noise, core.exp_sigmoid(magnitudes - 5.0), window_size=257)


def reverb(audio, impulse_response):
    return effects.Reverb(trainable=False).get_signal(audio, np.tile(impulse_response, (len(audio), 1)))


def crepe_tiny(frames):
    """The published network, two-dimensional as it was, on its own Keras."""
    layers = tf_keras.layers
    x = tf_keras.Input((1024,), name="input")
    y = layers.Reshape((1024, 1, 1), name="input-reshape")(x)
    for i, (filters, taps) in enumerate(zip((128, 16, 16, 16, 32, 64), (512, 64, 64, 64, 64, 64)), 1):
        stride = (4, 1) if i == 1 else (1, 1)
        y = layers.Conv2D(filters, (taps, 1), stride, padding="same", activation="relu", name=f"conv{i}")(y)
        y = layers.BatchNormalization(name=f"conv{i}-BN")(y)
        y = layers.Dropout(0.25, name=f"conv{i}-dropout")(layers.MaxPool2D((2, 1), name=f"conv{i}-maxpool")(y))
    y = layers.Flatten(name="flatten")(layers.Permute((2, 1, 3), name="transpose")(y))
    model = tf_keras.Model(x, layers.Dense(360, activation="sigmoid", name="classifier")(y))
    model.load_weights(sys.argv[3])
    return model(frames)


ANSWERS = {
    "exp_sigmoid": core.exp_sigmoid,
    "upsampling_hann": lambda frames, hop_length: core.resample(frames, frames.shape[1] * int(hop_length), "window"),
    "upsampling_linear": lambda frames, hop_length: core.resample(frames, frames.shape[1] * int(hop_length), "linear"),
    "harmonic_synthesis": harmonic,
    "filtered_noise": filtered_noise,
    "reverb": reverb,
    "loudness": lambda audio: spectral_ops.compute_loudness(audio, use_tf=False),
    "spectral_loss": lambda target, audio: losses.SpectralLoss(mag_weight=1.0, logmag_weight=1.0)(target, audio),
    "crepe_tiny": crepe_tiny,
}


def main():
    questions = {}
    with np.load(sys.argv[1]) as file:
        for name in file.files:
            function, case, argument = name.split("/")
            questions.setdefault((function, case), {})[argument] = file[name]
    answers = {f"{f}/{case}": np.asarray(ANSWERS[f](**arguments)) for (f, case), arguments in questions.items()}
    versions = f"ddsp {ddsp.__version__}, tensorflow {tf.__version__}, tf_keras {tf_keras.__version__}"
    np.savez(sys.argv[2], versions=versions, **answers)


if __name__ == "__main__":
    main()

"""From features to the inputs of a decoder's network, and to what follows from them without a network.

Notebook: ddsp_models/autoencoder_report.ipynb
"""

import math

import numpy as np
from keras import ops

from audio_processing.loudness import LOUDNESS_FLOOR
from ddsp_models.features import N_BANDS, band_places, triangles
from ddsp_models.framing import SAMPLE_RATE, earlier
from ddsp_models.oscillators import audible_f0

LOWEST_F0 = 20.0  # Hz: a pitch that cannot be played counts as this one
# Initial gains of `spectral_envelope`, in decades of amplitude (`exp_sigmoid` multiplies by ten for each 1):
NOISE_GAIN = 3.0  # `FilteredNoise` subtracts 5: noise begins 40 dB below the bands, softer than the harmonics
AMPLITUDE_GAIN = -0.5  # from the loudness of a voice to about the sum of its harmonics' amplitudes
GATE_DECADES, GATE_FRAMES = 4.5, 32  # a closing gate loses 90 dB within 128 ms


def scaled(features):
    """Features as the network reads them: every number between about -1 and 1.

    Parameters
    ----------
    features : dict of str -> tensor, (batch, frames, channels)

    Returns
    -------
    dict of str -> tensor
        pitch as MIDI number over 127, loudness over 80 dB plus 1 (as ddsp has them), the rest as it is. A pitch that
        cannot be played reads as the lowest, 20 Hz; a loudness below -80 dB, or of minus infinity, as -80 dB.
    """
    values = dict(features)
    if "f0" in values:
        values["f0"] = (69 + 12 / math.log(2) * ops.log(ops.maximum(audible_f0(values["f0"]), LOWEST_F0) / 440)) / 127
    for name in {"loudness", "bands"} & values.keys():
        values[name] = ops.maximum(values[name], LOUDNESS_FLOOR) / -LOUDNESS_FLOOR + 1
    return values


def spectral_envelope(features, n_harmonics, n_bands, scale="mel"):
    """The amplitudes that follow from loudness and bands alone, as a network's outputs: the network adds residuals.

    `exp_sigmoid` multiplies by ten when its argument grows by one, so a level in dB divided by 20 is such an argument.
    The level at a frequency is interpolated between the bands to either side, linearly over mel or octaves.

    Parameters
    ----------
    features : dict of str -> tensor, (batch, frames, channels)
        "bands" and, if there are harmonics, "f0" and "loudness".
    n_harmonics, n_bands : int
        of the harmonic oscillator (0 for none) and of the filtered noise.
    scale : {"mel", "octave"}
        of the bands.

    Returns
    -------
    dict of str -> tensor, (batch, frames, channels)
        "amplitude" (1), "distribution" (n_harmonics) and "noise" (n_bands).
    """
    places = np.clip(band_places(np.arange(SAMPLE_RATE // 2 + 1), scale), 0, N_BANDS - 1)  # of every hertz
    weights = triangles(places, np.arange(N_BANDS)).astype(np.float32)  # (hertz, bands)
    levels = ops.maximum(features["bands"], LOUDNESS_FLOOR) / 20  # decades of amplitude
    noise_hertz = np.linspace(0, SAMPLE_RATE // 2, n_bands).astype(int)
    noise = ops.matmul(levels, ops.convert_to_tensor(weights[noise_hertz].T)) + NOISE_GAIN
    if not n_harmonics:
        return {"noise": noise}
    harmonics = audible_f0(features["f0"]) * ops.arange(1, n_harmonics + 1, dtype="float32")
    hertz = ops.cast(ops.minimum(harmonics, SAMPLE_RATE / 2), "int32")  # (batch, frames, n_harmonics)
    weights = ops.take(ops.convert_to_tensor(weights), hertz, axis=0)  # (batch, frames, n_harmonics, bands)
    return {
        "amplitude": ops.maximum(features["loudness"], LOUDNESS_FLOOR) / 20 + AMPLITUDE_GAIN,
        "distribution": ops.sum(weights * levels[:, :, None], axis=-1),
        "noise": noise,
    }


def note_onsets(f0, voiced, cents):
    """Frames in which a note begins: voicing does, or pitch leaps. A slide or a vibrato moves on in the next frame.

    Parameters
    ----------
    f0, voiced : tensor, (batch, frames, 1)
        in Hz, and 1 where it is voiced.
    cents : float
        the smallest leap.

    Returns
    -------
    tensor, (batch, frames, 1)
        1 where a note begins, 0 elsewhere.
    """
    octaves = ops.log(ops.maximum(audible_f0(f0), LOWEST_F0)) / math.log(2)
    steps = ops.pad(ops.abs(octaves[:, 1:] - octaves[:, :-1]), ((0, 0), (1, 0), (0, 0)))
    around = ops.maximum(earlier(steps, 1), ops.pad(steps[:, 1:], ((0, 0), (0, 1), (0, 0))))
    leaps = ops.logical_and(steps > cents / 1200, steps > 3 * around)  # thrice as far as before and after
    voiced = voiced > 0.5
    begins = earlier(ops.cast(voiced, "float32"), 1) < 0.5
    return ops.cast(ops.logical_and(voiced, ops.logical_or(begins, leaps)), "float32")


def gate(features):
    """Gain of a noise gate, as on a mixing desk: it closes where the features are at their floor.

    Features end at -80 dB, sounds do not: without a gate the reverb goes on where the recording was cut.

    Parameters
    ----------
    features : dict of str -> tensor, (batch, frames, channels)
        "bands", and "loudness" if there is one.

    Returns
    -------
    tensor, (batch, frames, 1)
        1 where a feature is above -80 dB; after that it falls by 90 dB within 32 frames (128 ms).
    """
    levels = [ops.max(features[name], axis=-1, keepdims=True) for name in ("loudness", "bands") if name in features]
    opened = ops.cast(ops.max(ops.stack(levels), axis=0) > LOUDNESS_FLOOR, "float32")
    for frames in (1, 2, 4, 8, 16):  # 1/32 less for every frame since it was open
        opened = ops.maximum(opened, earlier(opened, frames) - frames / GATE_FRAMES)
    return ops.power(10.0, -GATE_DECADES * (1 - ops.maximum(opened, 0.0)))

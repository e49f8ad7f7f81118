r"""Drums, which have no fundamental: tones that ring, one-shots that strike, and noise in bands.

A drum head or a cymbal rings at frequencies of its own whatever is played on it, so `Modes` keeps a bank of fixed
frequencies and only their amplitudes move. The blow itself is over within a few milliseconds, hardly a frame;
`Transients` plays learned one-shots, as a sampler does, wherever an onset says so. Wires, sticks and everything that
has too many modes to count is left to `synthesisers.FilteredNoise`, in short frames.
"""

import keras
import numpy as np
import scipy.signal
from keras import ops

from ddsp_models.synthesisers import (
    HOP_LENGTH,
    SAMPLE_RATE,
    _check_frames,
    _next_frame,
    _ramp,
    _sound_shape,
    exp_sigmoid,
)


def resonances(audio, n_modes, lowest=35.0, highest=1500.0, sample_rate=SAMPLE_RATE):
    """Where a kit rings: the strongest peaks of its mean spectrum.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
        drums, at least a second.
    n_modes : int
    lowest, highest : float
        between which to look, in Hz.
    sample_rate : int

    Returns
    -------
    np.ndarray, (n_modes,)
        in Hz, rising. Where there are fewer peaks, the rest is spread evenly in octaves.
    """
    frequency, power = scipy.signal.welch(audio, sample_rate, nperseg=8192)
    inside = (frequency >= lowest) & (frequency <= highest)
    frequency, level = frequency[inside], np.log(power[inside] + 1e-20)
    outline = scipy.signal.medfilt(level, 2 * (len(level) // 16) + 1)  # a peak stands out of its surroundings
    peaks, _ = scipy.signal.find_peaks(level, distance=3)
    best = peaks[np.argsort((outline - level)[peaks])][:n_modes]
    spread = np.geomspace(lowest, highest, n_modes)
    return np.sort(np.concatenate([frequency[best], spread[: n_modes - len(best)]])).astype(np.float32)


@keras.saving.register_keras_serializable("mss")
class Modes(keras.layers.Layer):
    r"""Sines of fixed frequencies, each with an amplitude per frame.

    .. math:: y_n = \sum_m a_{m,n} \sin\left(2\pi f_m n / \mathrm{sample\_rate}\right)

    Parameters
    ----------
    n_modes : int
    lowest, highest : float
        what the frequencies span at first, evenly in octaves, in Hz; `resonances` of a kit may be assigned instead.
    hop_length, sample_rate : int

    Notes
    -----
    The frequencies are not trained: a sine's gradient with respect to its frequency points the right way only within
    a few hertz of the answer.
    """

    def __init__(
        self, n_modes=32, lowest=35.0, highest=1500.0, hop_length=HOP_LENGTH, sample_rate=SAMPLE_RATE, **kwargs
    ):
        super().__init__(**kwargs)
        if not 0 < lowest < highest < sample_rate / 2:
            raise ValueError(f"lowest, highest: {lowest}, {highest} Hz found, 0 < lowest < highest < Nyquist expected")
        self.n_modes, self.lowest, self.highest = n_modes, lowest, highest
        self.hop_length, self.sample_rate = hop_length, sample_rate

    def build(self, shape):
        spread = np.geomspace(self.lowest, self.highest, self.n_modes)
        self.frequencies = self.add_weight(
            shape=(self.n_modes,),
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(spread, dtype or "float32"),
            trainable=False,
            name="frequencies",
        )

    def controls(self, amplitudes):
        """From a network's outputs (batch, frames, n_modes) to {"amplitudes", "frequencies" (n_modes,) in Hz}."""
        return {"amplitudes": exp_sigmoid(amplitudes), "frequencies": ops.convert_to_tensor(self.frequencies)}

    def signal(self, amplitudes, frequencies):
        """From controls to sound, (batch, frames · hop_length): one product of matrices.

        Within frame k a mode is a sum of four products of what depends on k and what depends on the sample j:
        :math:`\\sin(\\varphi_k + \\psi_j) = \\sin\\varphi_k\\cos\\psi_j + \\cos\\varphi_k\\sin\\psi_j`, for the
        amplitude at either end of the frame.
        """
        amplitudes, frequencies = ops.convert_to_tensor(amplitudes), ops.convert_to_tensor(frequencies)
        _check_frames("amplitudes", amplitudes)
        n_frames, hop = amplitudes.shape[1], self.hop_length
        j, ramp = ops.arange(hop, dtype="float32"), ops.convert_to_tensor(_ramp(hop, "hann"))
        cycles = frequencies * (hop / self.sample_rate)  # per frame, (n_modes,)
        turned = (cycles - ops.floor(cycles)) * ops.arange(n_frames, dtype="float32")[:, None]
        start = 2 * np.pi * (turned - ops.floor(turned))  # (frames, n_modes)
        within = 2 * np.pi / self.sample_rate * frequencies[:, None] * j  # (n_modes, hop_length)
        sine, cosine, after = ops.sin(start), ops.cos(start), _next_frame(amplitudes)
        frames = [amplitudes * sine, amplitudes * cosine, after * sine, after * cosine]
        samples = [ops.cos(within) * (1 - ramp), ops.sin(within) * (1 - ramp)]
        samples += [ops.cos(within) * ramp, ops.sin(within) * ramp]
        sound = ops.matmul(ops.concatenate(frames, axis=-1), ops.concatenate(samples, axis=0))
        return ops.reshape(sound, (-1, n_frames * hop))

    def call(self, amplitudes):
        return self.signal(**self.controls(amplitudes))

    def compute_output_shape(self, shape):
        return _sound_shape(shape, self.hop_length)

    def get_config(self):
        sizes = {name: getattr(self, name) for name in ("n_modes", "lowest", "highest", "hop_length", "sample_rate")}
        return {**super().get_config(), **sizes}


@keras.saving.register_keras_serializable("mss")
class Transients(keras.layers.Layer):
    r"""Learned one-shots, each struck in every frame as hard as its gain says.

    .. math:: y_n = \sum_{i,k} g_{i,k}\, s_i[n - kH]

    Parameters
    ----------
    n_shots : int
    taps : int
        length of a one-shot in samples.
    hop_length : int
        H, samples per frame.
    seed : int
        of what they are before training: short decaying noise.
    """

    def __init__(self, n_shots=8, taps=512, hop_length=HOP_LENGTH, seed=0, **kwargs):
        super().__init__(**kwargs)
        if n_shots < 1 or taps < 1:
            raise ValueError(f"n_shots, taps: {n_shots}, {taps} found, at least 1 of each expected")
        self.n_shots, self.taps, self.hop_length, self.seed = n_shots, taps, hop_length, seed

    def build(self, shape):
        noise = np.random.default_rng(self.seed).standard_normal((self.n_shots, self.taps))
        decay = np.geomspace(0.02, 0.25, self.n_shots)[:, None] * self.taps  # samples
        first = 0.3 * noise * np.exp(-np.arange(self.taps) / decay)
        self.shots = self.add_weight(
            shape=(self.n_shots, self.taps),
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(first, dtype or "float32"),
            name="shots",
        )

    def controls(self, gains, onset):
        """From a network's outputs to what is played.

        Parameters
        ----------
        gains : tensor, (batch, frames, n_shots)
            any real numbers.
        onset : tensor, (batch, frames, 1)
            how suddenly the drums get louder; where it is 0 nothing is struck.

        Returns
        -------
        dict of tensors
            "gains" (not negative) and "shots" (n_shots, taps).
        """
        return {"gains": exp_sigmoid(gains) * onset, "shots": ops.convert_to_tensor(self.shots)}

    def signal(self, gains, shots):
        """From controls to sound, (batch, frames · hop_length)."""
        _check_frames("gains", gains)
        n_frames, hop = gains.shape[1], self.hop_length
        parts = -(-self.taps // hop)  # hops that a one-shot lasts
        shots = ops.pad(shots, ((0, 0), (0, parts * hop - self.taps)))
        padded = ops.pad(gains, ((0, 0), (parts - 1, 0), (0, 0)))
        # each frame hears what was struck in it and in the parts - 1 before it
        struck = ops.concatenate([padded[:, parts - 1 - p : parts - 1 - p + n_frames] for p in range(parts)], axis=-1)
        pieces = ops.reshape(ops.transpose(ops.reshape(shots, (-1, parts, hop)), (1, 0, 2)), (-1, hop))
        return ops.reshape(ops.matmul(struck, pieces), (-1, n_frames * hop))

    def call(self, gains, onset):
        return self.signal(**self.controls(gains, onset))

    def compute_output_shape(self, gains_shape, onset_shape=None):
        return _sound_shape(gains_shape, self.hop_length)

    def get_config(self):
        sizes = {name: getattr(self, name) for name in ("n_shots", "taps", "hop_length", "seed")}
        return {**super().get_config(), **sizes}

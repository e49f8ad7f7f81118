r"""Drums, which have no fundamental: modes that ring, one-shots for the attack, and noise in bands.

Notebook: ddsp_models/autoencoder_report.ipynb

A drum head or a cymbal rings at the same frequencies however it is hit, so `Modes` keeps a bank of fixed frequencies
and only their amplitudes move. The attack is over within a few milliseconds, about a frame; `Transients` plays learned
one-shots at onsets, as a sampler does. Wires, sticks and everything that has too many modes to count is left to
`synthesisers.FilteredNoise`, in short frames.
"""

import numpy as np
import scipy.signal
from keras import initializers, ops, saving

from common.checks import expect
from ddsp_models.framing import HOP_LENGTH, SAMPLE_RATE, Synthesiser, check_frames, exp_sigmoid, next_frame, ramp

LOWEST, HIGHEST = 35.0, 1500.0  # Hz: from a kick's head to where modes are too dense to be tones
FIRST_LEVEL, FIRST_DECAYS = 0.3, (0.02, 0.25)  # untrained one-shots: peak, and decays as shares of their length


def resonances(audio, n_modes, lowest=LOWEST, highest=HIGHEST, sample_rate=SAMPLE_RATE):
    """Frequencies at which a kit rings: the strongest peaks of its mean spectrum.

    Parameters
    ----------
    audio : np.ndarray, (samples,)
        drums, at least a second.
    n_modes : int
    lowest, highest : float
        range of the frequencies, in Hz.
    sample_rate : int

    Returns
    -------
    np.ndarray, (n_modes,)
        in Hz, rising. If there are fewer peaks, the rest is spread evenly in octaves.
    """
    frequency, power = scipy.signal.welch(audio, sample_rate, nperseg=8192)  # bins 2 Hz wide at 16 kHz
    inside = (frequency >= lowest) & (frequency <= highest)
    frequency, level = frequency[inside], np.log(power[inside] + 1e-20)
    envelope = scipy.signal.medfilt(level, 2 * (len(level) // 16) + 1)  # a median over an eighth of the spectrum
    peaks, _ = scipy.signal.find_peaks(level, distance=3)
    best = peaks[np.argsort((envelope - level)[peaks])][:n_modes]
    spread = np.geomspace(lowest, highest, n_modes)[: n_modes - len(best)]
    return np.sort(np.concatenate([frequency[best], spread])).astype(np.float32)


@saving.register_keras_serializable("mss")
class Modes(Synthesiser):
    r"""Sines of fixed frequencies, each with an amplitude per frame (modal synthesis).

    .. math:: y_n = \sum_m a_{m,n} \sin\left(2\pi f_m n / \mathrm{sample\_rate}\right)

    Parameters
    ----------
    n_modes : int
    lowest, highest : float
        range of the first frequencies, in Hz, evenly spaced in octaves; `resonances` of a kit may be assigned instead.
    hop_length, sample_rate : int

    Notes
    -----
    The frequencies are not trained: a sine's gradient with respect to its frequency points the right way only within
    a few hertz of the answer.
    """

    def __init__(
        self, n_modes=32, lowest=LOWEST, highest=HIGHEST, hop_length=HOP_LENGTH, sample_rate=SAMPLE_RATE, **kwargs
    ):
        expect(
            0 < lowest < highest < sample_rate / 2,
            "lowest, highest",
            "0 < lowest < highest < Nyquist",
            f"{lowest} and {highest} Hz",
        )
        super().__init__(
            {
                "n_modes": n_modes,
                "lowest": lowest,
                "highest": highest,
                "hop_length": hop_length,
                "sample_rate": sample_rate,
            },
            **kwargs,
        )

    def build(self, shape):
        spread = initializers.Constant(np.geomspace(self.lowest, self.highest, self.n_modes))
        self.frequencies = self.add_weight((self.n_modes,), spread, trainable=False, name="frequencies")

    def controls(self, amplitudes):
        """From a network's outputs (batch, frames, n_modes) to {"amplitudes", "frequencies" (n_modes,) in Hz}."""
        return {"amplitudes": exp_sigmoid(amplitudes), "frequencies": ops.convert_to_tensor(self.frequencies)}

    def signal(self, amplitudes, frequencies):
        r"""From controls to sound, (batch, frames · hop_length): one product of matrices.

        Within frame k a mode is a sum of four products of a factor that depends on k and one that depends on the sample
        j: :math:`\sin(\varphi_k + \psi_j) = \sin\varphi_k\cos\psi_j + \cos\varphi_k\sin\psi_j`, for the amplitude at
        either end of the frame.
        """
        amplitudes, frequencies = ops.convert_to_tensor(amplitudes), ops.convert_to_tensor(frequencies)
        n_frames, hop = amplitudes.shape[1], self.hop_length
        check_frames(hop, amplitudes=amplitudes)
        j, weight = ops.arange(hop, dtype="float32"), ops.convert_to_tensor(ramp(hop))
        cycles = frequencies * (hop / self.sample_rate)  # per frame, (n_modes,)
        turned = (cycles - ops.floor(cycles)) * ops.arange(n_frames, dtype="float32")[:, None]
        start = 2 * np.pi * (turned - ops.floor(turned))  # (frames, n_modes)
        within = 2 * np.pi / self.sample_rate * frequencies[:, None] * j  # (n_modes, hop_length)
        sine, cosine, after = ops.sin(start), ops.cos(start), next_frame(amplitudes)
        frames = [amplitudes * sine, amplitudes * cosine, after * sine, after * cosine]
        samples = [f(within) * share for share in (1 - weight, weight) for f in (ops.cos, ops.sin)]
        return ops.reshape(
            ops.matmul(ops.concatenate(frames, axis=-1), ops.concatenate(samples, axis=0)), (-1, n_frames * hop)
        )


@saving.register_keras_serializable("mss")
class Transients(Synthesiser):
    r"""Learned one-shots, each played in every frame with its gain there.

    .. math:: y_n = \sum_{i,k} g_{i,k}\, s_i[n - kH]

    Parameters
    ----------
    n_shots : int
    taps : int
        length of a one-shot in samples.
    hop_length : int
        H, samples per frame.
    seed : int
        of the untrained one-shots: short decaying noise.
    """

    def __init__(self, n_shots=8, taps=512, hop_length=HOP_LENGTH, seed=0, **kwargs):
        expect(n_shots >= 1 and taps >= 1, "n_shots, taps", "at least 1 of each", f"{n_shots} and {taps}")
        super().__init__({"n_shots": n_shots, "taps": taps, "hop_length": hop_length, "seed": seed}, **kwargs)

    def build(self, shape):
        noise = np.random.default_rng(self.seed).standard_normal((self.n_shots, self.taps))
        decay = np.geomspace(*FIRST_DECAYS, self.n_shots)[:, None] * self.taps  # samples
        first = initializers.Constant(FIRST_LEVEL * noise * np.exp(-np.arange(self.taps) / decay))
        self.shots = self.add_weight((self.n_shots, self.taps), first, name="shots")

    def controls(self, gains, onset):
        """From a network's outputs to controls.

        Parameters
        ----------
        gains : tensor, (batch, frames, n_shots)
            any real numbers.
        onset : tensor, (batch, frames, 1)
            how suddenly the drums get louder; no one-shot starts where it is 0.

        Returns
        -------
        dict of str -> tensor
            "gains" (not negative) and "shots" (n_shots, taps).
        """
        return {"gains": exp_sigmoid(gains) * onset, "shots": ops.convert_to_tensor(self.shots)}

    def signal(self, gains, shots):
        """From controls to sound, (batch, frames · hop_length)."""
        n_frames, hop = gains.shape[1], self.hop_length
        check_frames(hop, gains=gains)
        parts = -(-self.taps // hop)  # hops that a one-shot lasts
        shots = ops.pad(shots, ((0, 0), (0, parts * hop - self.taps)))
        padded = ops.pad(gains, ((0, 0), (parts - 1, 0), (0, 0)))
        # a frame contains the one-shots that start in it and in the parts - 1 frames before it
        started = ops.concatenate([padded[:, parts - 1 - p : parts - 1 - p + n_frames] for p in range(parts)], axis=-1)
        pieces = ops.reshape(ops.transpose(ops.reshape(shots, (-1, parts, hop)), (1, 0, 2)), (-1, hop))
        return ops.reshape(ops.matmul(started, pieces), (-1, n_frames * hop))

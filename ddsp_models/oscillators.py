r"""The harmonic oscillator: sines at the multiples of one fundamental, in phase for hours.

Notebook: ddsp_models/ddsp_report.ipynb
"""

import math

import numpy as np
from keras import ops, saving

from ddsp_models.framing import HOP_LENGTH, SAMPLE_RATE, Synthesiser, check_f0, earlier, exp_sigmoid, next_frame, ramp


def audible_f0(f0, sample_rate=SAMPLE_RATE):
    """Replace what no oscillator can play (NaN, negative, at or above the Nyquist frequency) by 0 Hz, which is silence.

    Parameters
    ----------
    f0 : tensor, (batch, frames, 1)
        in Hz.
    sample_rate : int
        in Hz.

    Returns
    -------
    tensor, (batch, frames, 1)
        in [0, sample_rate / 2).
    """
    return ops.where(ops.logical_and(f0 > 0, f0 < sample_rate / 2), f0, ops.zeros_like(f0))  # a NaN is not > 0


def normalise_harmonics(distribution, f0, sample_rate=SAMPLE_RATE):
    """Mute the harmonics that the sample rate cannot hold, and scale the others so that they add up to 1.

    Parameters
    ----------
    distribution : tensor, (batch, frames, n_harmonics)
        not negative.
    f0 : tensor, (batch, frames, 1)
        in Hz. Where it is not audible (see `audible_f0`) all harmonics are muted.
    sample_rate : int
        in Hz.

    Returns
    -------
    tensor, (batch, frames, n_harmonics)
    """
    f0 = audible_f0(f0, sample_rate)
    numbers = ops.cast(ops.arange(1, distribution.shape[-1] + 1), distribution.dtype)
    audible = ops.logical_and(f0 > 0, f0 * numbers < sample_rate / 2)  # (batch, frames, n_harmonics)
    distribution = ops.where(audible, distribution, ops.zeros_like(distribution))
    total = ops.sum(distribution, axis=-1, keepdims=True)
    return distribution / ops.where(total > 0, total, ops.ones_like(total))


def frame_phase(f0, hop_length=HOP_LENGTH, sample_rate=SAMPLE_RATE, restarts=None):
    r"""Phase of a tone just before each frame's first sample, exact for hours.

    A sum of float32 phases loses precision: after a minute its last digit is more than the thousandth of a cycle that
    the 20th harmonic would need. Hardware oscillators count in integers that wrap instead, and so does this function. A
    frame whose frequency moves in a line from :math:`f_k` to :math:`f_{k+1}` turns by

    .. math:: \frac{(H+1) f_k + (H-1) f_{k+1}}{2 \cdot \mathrm{sample\_rate}}

    cycles. The numerators are summed modulo the denominator in fixed point, by doubling strides, so that the sum takes
    log2(frames) steps.

    Parameters
    ----------
    f0 : tensor, (batch, frames, 1)
        in Hz, audible (see `audible_f0`).
    hop_length, sample_rate : int
    restarts : tensor, (batch, frames, 1), optional
        1 where the tone restarts, 0 elsewhere. The phase is 0 half a hop before such a frame: the note begins between
        two frames, and the middle is the best guess.

    Returns
    -------
    tensor, (batch, frames, 1)
        in cycles, in [0, 1]. Its gradient is that of the plain sum.
    """
    after, n_frames = next_frame(f0), f0.shape[1]
    turned, cycle = turns(f0, after, hop_length, sample_rate)
    total = earlier(turned, 1)  # the turns before the frame, not those in it
    strides = [2**i for i in range((n_frames - 1).bit_length())]
    for stride in strides:
        total = ops.mod(total + earlier(total, stride), cycle)
    phase = ops.cast(total, "float32") / cycle
    plain = earlier(ops.cumsum((hop_length + 1) * f0 + (hop_length - 1) * after, axis=1) / (2 * sample_rate), 1)
    phase = phase + (plain - ops.stop_gradient(plain))  # the exact value with the plain sum's gradient
    if restarts is None:
        return phase
    restarted = ops.cast(ops.convert_to_tensor(restarts) > 0, "float32")
    offset = restarted * (phase - hop_length / 2 / sample_rate * f0)  # what a frame that restarts subtracts
    for stride in strides:  # the frames after it subtract what the last one did
        offset = offset + (1 - restarted) * earlier(offset, stride)
        restarted = ops.maximum(restarted, earlier(restarted, stride))
    phase = phase - offset
    return phase - ops.stop_gradient(ops.floor(phase))


def turns(f0, after, hop_length, sample_rate):
    """How far the phase turns in each frame, in fixed point.

    Frequencies are split into whole and fractional hertz, both exact.

    Parameters
    ----------
    f0, after : tensor, (batch, frames, 1)
        in Hz, at the start of each frame and of the next one.
    hop_length, sample_rate : int

    Returns
    -------
    steps : tensor, int32, (batch, frames, 1)
    cycle : int
        steps in a cycle.
    """
    scale = 2 ** math.floor(math.log2(2**30 / (2 * sample_rate)))  # the finest steps that int32 leaves room for
    cycle = 2 * sample_rate * scale
    whole, whole_after = ops.floor(f0), ops.floor(after)
    hertz = (hop_length + 1) * ops.cast(whole, "int32") + (hop_length - 1) * ops.cast(whole_after, "int32")
    fraction = ops.round(scale * ((hop_length + 1) * (f0 - whole) + (hop_length - 1) * (after - whole_after)))
    return ops.mod(ops.mod(hertz, 2 * sample_rate) * scale + ops.cast(fraction, "int32"), cycle), cycle


def harmonic_oscillator(f0, amplitudes, hop_length=HOP_LENGTH, sample_rate=SAMPLE_RATE, restarts=None):
    r"""Sum of sines at the multiples of one f0, each with an amplitude of its own (Engel et al. 2020, eq. 1-3).

    .. math:: y_n = \sum_{k=1}^{K} a_{k,n} \sin k\theta_n, \qquad
        \theta_n = \frac{2\pi}{\mathrm{sample\_rate}} \sum_{m \le n} f_m

    Only two sines are computed per sample. The others follow from the recurrence of Chebyshev's polynomials,
    :math:`\sin(k+1)\theta = 2\cos\theta \sin k\theta - \sin(k-1)\theta`, so that a compiler keeps everything but the
    sum in registers. It is run on differences, :math:`d_k = d_{k-1} - 4\sin^2\frac{\theta}{2}\,\sin k\theta`, and on an
    angle folded to a quarter turn around 0: rounding :math:`2\cos\theta`, which hardly changes near 0 and
    :math:`\pi`, would cost a hundred times as much precision (Reinsch's modification; Oliver 1977,
    https://doi.org/10.1093/imamat/20.3.379). The gradient runs the recurrence again instead of storing K signals.

    Parameters
    ----------
    f0 : tensor, (batch, frames, 1)
        in Hz, interpolated linearly. 0, negative, NaN and above Nyquist: see `audible_f0`; a sample in such a frame is
        silent if `amplitudes` are 0 there, which `normalise_harmonics` ensures.
    amplitudes : tensor, (batch, frames, n_harmonics)
        interpolated by `upsample`'s "hann". Harmonics are muted at samples where they reach the Nyquist frequency.
    hop_length, sample_rate : int
    restarts : tensor, (batch, frames, 1), optional
        where the phase restarts (see `frame_phase`); nowhere if None.

    Returns
    -------
    tensor, (batch, frames · hop_length)

    Raises
    ------
    ValueError
        if the shapes do not fit each other.

    See Also
    --------
    Harmonic : the same as a layer, with amplitudes from a network's outputs.
    streaming.stream : block by block, for sounds of any length.

    Examples
    --------
    Half a second of the 440 Hz tone, with a second harmonic half as loud:

    >>> f0 = np.full((1, 125, 1), 440.0, np.float32)
    >>> amplitudes = np.tile(np.float32([0.2, 0.1]), (1, 125, 1))
    >>> sound = harmonic_oscillator(f0, amplitudes)
    >>> tuple(sound.shape)
    (1, 8000)
    >>> expected = 0.2 * np.sin(2 * np.pi * 440 * 100 / 16000) + 0.1 * np.sin(2 * np.pi * 880 * 100 / 16000)
    >>> bool(abs(float(sound[0, 99]) - expected) < 1e-5)
    True
    """
    f0, amplitudes = ops.convert_to_tensor(f0, "float32"), ops.convert_to_tensor(amplitudes, "float32")
    check_f0(hop_length, f0, amplitudes)
    f0 = audible_f0(f0, sample_rate)
    phase = frame_phase(f0, hop_length, sample_rate, restarts)
    return frames_to_sound(phase, f0, next_frame(f0), amplitudes, next_frame(amplitudes), hop_length, sample_rate)


def frames_to_sound(phase, f0, f0_after, amplitudes, amplitudes_after, hop_length, sample_rate):
    """Sound (batch, frames · hop_length) of frames with given first phase, and f0 and amplitudes at both ends."""
    j = ops.arange(hop_length, dtype="float32")
    slope = (f0_after - f0) / hop_length  # (batch, frames, 1), in Hz per sample
    cycles = phase + ((j + 1) * f0 + (j * (j + 1) / 2) * slope) / sample_rate  # (batch, frames, hop_length)
    half_turns = ops.stop_gradient(ops.floor(2 * cycles + 0.5))
    theta = 2 * math.pi * (cycles - half_turns / 2)  # in [-π/2, π/2)
    flip = 1 - 2 * ops.mod(half_turns, 2)  # sin k(θ + π) = (-1)^k sin kθ: -1 where odd harmonics change their sign
    frequency = ops.stop_gradient(f0 + j * slope)
    sound = sum_of_sines(hop_length, sample_rate)(theta, flip, frequency, amplitudes, amplitudes_after)
    return ops.reshape(sound, (-1, phase.shape[1] * hop_length))


def sum_of_sines(hop_length, sample_rate):
    """The oscillator's inner loop for one hop and rate, with its gradient: see `harmonic_oscillator`."""
    nyquist, weight = sample_rate / 2, ramp(hop_length)

    def forward(theta, flip, frequency, amplitudes, amplitudes_after):
        after_share = ops.convert_to_tensor(weight)  # PyTorch multiplies no NumPy array with a tensor
        bend = 4 * ops.square(ops.sin(theta / 2))  # (batch, frames, hop_length)
        sine, difference = ops.sin(theta), ops.sin(theta)
        sums = [ops.zeros_like(theta), ops.zeros_like(theta)]  # of the odd and of the even harmonics
        for k in range(1, amplitudes.shape[-1] + 1):
            now, after = amplitudes[..., k - 1 : k], amplitudes_after[..., k - 1 : k]  # (batch, frames, 1)
            amplitude = now + after_share * (after - now)  # (batch, frames, hop_length)
            even = k % 2 == 0
            sums[even] = sums[even] + ops.where(k * frequency < nyquist, amplitude * sine, 0.0)
            difference = difference - bend * sine
            sine = sine + difference
        return flip * sums[0] + sums[1]

    def backward(upstream, theta, flip, frequency, amplitudes, amplitudes_after):
        bend = 4 * ops.square(ops.sin(theta / 2))
        # The share of a sample that belongs to each end of its frame, (hop_length, 2):
        ends = ops.convert_to_tensor(np.stack([1 - weight, weight], axis=-1))
        controls = ops.transpose(ops.stack([amplitudes, amplitudes_after], axis=-1), (2, 0, 1, 3))

        def harmonic(i, state):
            sine, sine_difference, cosine, cosine_difference, sign, slope, gradients = state
            k = ops.cast(i + 1, "float32")
            audible = ops.where(k * frequency < nyquist, sign * upstream, 0.0)  # (batch, frames, hop_length)
            now_and_after = ops.take(controls, i, axis=0)  # (batch, frames, 2)
            slope = slope + audible * k * ops.matmul(now_and_after, ops.transpose(ends)) * cosine
            gradients = ops.slice_update(gradients, (i, 0, 0, 0), ops.matmul(audible * sine, ends)[None])
            sine_difference = sine_difference - bend * sine
            cosine_difference = cosine_difference - bend * cosine
            sine, cosine = sine + sine_difference, cosine + cosine_difference
            return sine, sine_difference, cosine, cosine_difference, sign * flip, slope, gradients

        sine, cosine = ops.sin(theta), ops.cos(theta)
        state = (sine, sine, cosine, -bend / 2, flip, ops.zeros_like(theta), ops.zeros_like(controls))
        *_, slope, gradients = ops.fori_loop(0, amplitudes.shape[-1], harmonic, state)
        gradients = ops.transpose(gradients, (1, 2, 0, 3))  # (batch, frames, n_harmonics, 2)
        return slope, ops.zeros_like(flip), ops.zeros_like(frequency), gradients[..., 0], gradients[..., 1]

    @ops.custom_gradient
    def with_gradient(theta, flip, frequency, amplitudes, amplitudes_after):
        def gradient(*arguments, upstream=None):
            # TensorFlow and JAX pass the upstream gradient alone, PyTorch by name
            upstream = arguments[0] if upstream is None else upstream
            return backward(upstream, theta, flip, frequency, amplitudes, amplitudes_after)

        return forward(theta, flip, frequency, amplitudes, amplitudes_after), gradient

    return with_gradient


@saving.register_keras_serializable("mss")
class Harmonic(Synthesiser):
    """Harmonic oscillator: the pitched part of a sound (Engel et al. 2020, section 3.2).

    Parameters
    ----------
    hop_length : int
        samples per frame.
    sample_rate : int
        in Hz.

    See Also
    --------
    harmonic_oscillator : the equation.
    FilteredNoise : what is not pitched.

    Examples
    --------
    >>> f0, amplitude, distribution = np.full((1, 50, 1), 220.0), np.zeros((1, 50, 1)), np.zeros((1, 50, 8))
    >>> sound = Harmonic()(amplitude, distribution, f0)
    >>> tuple(sound.shape)
    (1, 3200)
    """

    def __init__(self, hop_length=HOP_LENGTH, sample_rate=SAMPLE_RATE, **kwargs):
        super().__init__({"hop_length": hop_length, "sample_rate": sample_rate}, **kwargs)

    def controls(self, amplitude, distribution, f0):
        """From a network's outputs to controls.

        Parameters
        ----------
        amplitude : tensor, (batch, frames, 1)
            any real number: how loud the sound is.
        distribution : tensor, (batch, frames, n_harmonics)
            any real numbers: how the harmonics share the amplitude.
        f0 : tensor, (batch, frames, 1)
            in Hz.

        Returns
        -------
        dict of str -> tensor
            "amplitude" (not negative), "distribution" (adds up to 1, or to 0 where nothing can sound), "f0".
        """
        check_f0(self.hop_length, f0, distribution)
        distribution = normalise_harmonics(exp_sigmoid(distribution), f0, self.sample_rate)
        return {"amplitude": exp_sigmoid(amplitude), "distribution": distribution, "f0": f0}

    def signal(self, amplitude, distribution, f0, restarts=None):
        """From controls to sound, (batch, frames · hop_length); `restarts` as for `harmonic_oscillator`."""
        return harmonic_oscillator(f0, amplitude * distribution, self.hop_length, self.sample_rate, restarts)

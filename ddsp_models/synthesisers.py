r"""Differentiable synthesisers (Engel et al. 2020, https://openreview.net/forum?id=B1x1ma4tDr).

Each comes as functions and as a Keras layer with two steps that can be looked at one by one: `controls` turns what a
network says into physical quantities (hertz, amplitudes), `signal` turns those into sound. Frame k of any control is
centred on sample :math:`k \cdot` `hop_length`, so F frames make F · `hop_length` samples. Only `keras.ops` is used.
"""

import math

import keras
import numpy as np
from keras import ops

HOP_LENGTH = 64
SAMPLE_RATE = 16000


# --- from a network's outputs to controls ----------------------------------------------------------------------------


def exp_sigmoid(x):
    r"""Squash any real number into an amplitude, :math:`2\,\sigma(x)^{\ln 10} + 10^{-7}`.

    Steps of 1 far below zero change the result tenfold, so a network reaches quiet and loud sounds with equal ease.

    Parameters
    ----------
    x : tensor

    Returns
    -------
    tensor of the same shape, in (1e-7, 2 + 1e-7)
    """
    return 2.0 * ops.exp(math.log(10.0) * ops.log_sigmoid(x)) + 1e-7


def audible_f0(f0, sample_rate=SAMPLE_RATE):
    """Replace what no oscillator can play (NaN, negative, at or above the Nyquist frequency) by 0 Hz, which is silence.

    Parameters
    ----------
    f0 : tensor, (batch, frames, 1)
        in Hz.

    Returns
    -------
    tensor, (batch, frames, 1)
        in [0, sample_rate / 2).
    """
    return ops.where(ops.logical_and(f0 > 0, f0 < sample_rate / 2), f0, ops.zeros_like(f0))  # a NaN is not > 0


def normalise_harmonics(distribution, f0, sample_rate=SAMPLE_RATE):
    """Mute the harmonics that the sample rate cannot hold, and let the others add up to 1.

    Parameters
    ----------
    distribution : tensor, (batch, frames, n_harmonics)
        not negative.
    f0 : tensor, (batch, frames, 1)
        in Hz. Where it is not audible (see `audible_f0`) all harmonics are muted.

    Returns
    -------
    tensor, (batch, frames, n_harmonics)
    """
    f0 = audible_f0(f0, sample_rate)
    numbers = ops.cast(ops.arange(1, distribution.shape[-1] + 1), distribution.dtype)
    heard = ops.logical_and(f0 > 0, f0 * numbers < sample_rate / 2)  # (batch, frames, n_harmonics)
    distribution = ops.where(heard, distribution, ops.zeros_like(distribution))
    total = ops.sum(distribution, axis=-1, keepdims=True)
    return distribution / ops.where(total > 0, total, ops.ones_like(total))


# --- from frames to samples ------------------------------------------------------------------------------------------


def _next_frame(x):
    """Each frame's successor along axis 1; the last frame is its own."""
    return ops.concatenate([x[:, 1:], x[:, -1:]], axis=1)


def _ramp(hop_length, shape):
    """How far sample j of a frame has moved towards the next frame: (hop_length,), from 0 to just below 1."""
    j = np.arange(hop_length, dtype=np.float32) / hop_length
    if shape == "hann":
        return (0.5 - 0.5 * np.cos(np.pi * j)).astype(np.float32)
    if shape == "linear":
        return j
    raise ValueError(f"shape: {shape!r} found, 'hann' or 'linear' expected")


def upsample(frames, hop_length=HOP_LENGTH, shape="hann"):
    r"""Bring controls from one value per frame to one per sample.

    .. math:: y_{kH+j} = x_k + r_j\,(x_{k+1} - x_k), \qquad 0 \le j < H

    with :math:`r_j = j/H` for "linear". For "hann" it is :math:`\frac{1 - \cos(\pi j / H)}{2}`: that is the overlap-add
    of Hann windows two hops long, written out, because two such windows that overlap by half add up to 1. The last
    frame is held.

    Parameters
    ----------
    frames : tensor, (batch, frames, channels)
    hop_length : int
        H, samples per frame.
    shape : {"hann", "linear"}
        "hann" has no corners, so amplitudes do not buzz at the frame rate; "linear" is for frequencies.

    Returns
    -------
    tensor, (batch, frames · hop_length, channels)
    """
    frames = ops.convert_to_tensor(frames)
    _check_frames("frames", frames)
    _check_hop(hop_length)
    ramp = ops.convert_to_tensor(_ramp(hop_length, shape)[:, None])
    now, after = frames[:, :, None], _next_frame(frames)[:, :, None]  # (batch, frames, 1, channels)
    samples = now + ramp * (after - now)  # (batch, frames, hop_length, channels)
    return ops.reshape(samples, (-1, frames.shape[1] * hop_length, frames.shape[2]))


def frame_phase(f0, hop_length=HOP_LENGTH, sample_rate=SAMPLE_RATE, restarts=None):
    r"""Phase of a tone just before each frame's first sample, exact for hours.

    A sum of float32 phases forgets: after a minute its last digit is worth more than the thousandth of a turn that the
    20th harmonic would need. Hardware oscillators count in integers that wrap instead, and so does this. A frame whose
    frequency goes in a line from :math:`f_k` to :math:`f_{k+1}` turns by

    .. math:: \frac{(H+1) f_k + (H-1) f_{k+1}}{2 \cdot \mathrm{sample\_rate}}

    cycles. Numerators are split into whole and broken hertz, both exact, and summed modulo the denominator in fixed
    point, by doubling strides so that the sum takes log2(frames) steps.

    Parameters
    ----------
    f0 : tensor, (batch, frames, 1)
        in Hz, audible (see `audible_f0`).
    hop_length, sample_rate : int
    restarts : tensor, (batch, frames, 1), optional
        1 where the tone begins anew, 0 elsewhere: half a hop before such a frame its phase is 0. Where between two
        frames a note begins nobody knows; that is the middle.

    Returns
    -------
    tensor, (batch, frames, 1)
        in cycles, in [0, 1]. Its gradient is that of the plain sum.
    """
    after = _next_frame(f0)
    scale = 2 ** math.floor(math.log2(2**30 / (2 * sample_rate)))  # the finest steps that int32 leaves room for
    modulus = 2 * sample_rate * scale
    whole, broken = ops.floor(f0), f0 - ops.floor(f0)
    whole_after, broken_after = ops.floor(after), after - ops.floor(after)
    hertz = (hop_length + 1) * ops.cast(whole, "int32") + (hop_length - 1) * ops.cast(whole_after, "int32")
    rest = ops.round(scale * ((hop_length + 1) * broken + (hop_length - 1) * broken_after))
    turned = ops.mod(ops.mod(hertz, 2 * sample_rate) * scale + ops.cast(rest, "int32"), modulus)
    total = ops.pad(turned[:, :-1], ((0, 0), (1, 0), (0, 0)))  # what was turned before the frame, not in it
    stride = 1
    while stride < f0.shape[1]:
        total = ops.mod(total + ops.pad(total[:, :-stride], ((0, 0), (stride, 0), (0, 0))), modulus)
        stride *= 2
    phase = ops.cast(total, "float32") / modulus
    plain = ops.cumsum((hop_length + 1) * f0 + (hop_length - 1) * after, axis=1) / (2 * sample_rate)
    plain = ops.pad(plain[:, :-1], ((0, 0), (1, 0), (0, 0)))
    phase = phase + (plain - ops.stop_gradient(plain))  # the exact value with the plain sum's gradient
    if restarts is None:
        return phase
    begun = ops.cast(ops.convert_to_tensor(restarts) > 0, "float32")
    before = begun * (phase - hop_length / 2 / sample_rate * f0)  # what a frame that restarts takes off
    stride = 1
    while stride < f0.shape[1]:  # frames after it take off what the last one did
        earlier = [ops.pad(x[:, :-stride], ((0, 0), (stride, 0), (0, 0))) for x in (before, begun)]
        before, begun = before + (1 - begun) * earlier[0], ops.maximum(begun, earlier[1])
        stride *= 2
    phase = phase - before
    return phase - ops.stop_gradient(ops.floor(phase))


# --- harmonic oscillator ---------------------------------------------------------------------------------------------


def harmonic_oscillator(f0, amplitudes, hop_length=HOP_LENGTH, sample_rate=SAMPLE_RATE, restarts=None):
    r"""Sum of sines at the multiples of one fundamental, each with an amplitude of its own.

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
        silent as far as `amplitudes` are 0 there, which `normalise_harmonics` sees to.
    amplitudes : tensor, (batch, frames, n_harmonics)
        interpolated by `upsample`'s "hann". Harmonics are muted at samples where they reach the Nyquist frequency.
    hop_length, sample_rate : int
    restarts : tensor, (batch, frames, 1), optional
        where the phase begins anew (see `frame_phase`); by default nowhere.

    Returns
    -------
    tensor, (batch, frames · hop_length)

    Raises
    ------
    ValueError
        where shapes do not fit each other.
    """
    f0, amplitudes = ops.convert_to_tensor(f0, "float32"), ops.convert_to_tensor(amplitudes, "float32")
    _check_f0(f0, amplitudes)
    _check_hop(hop_length)
    f0 = audible_f0(f0, sample_rate)
    phase = frame_phase(f0, hop_length, sample_rate, restarts)
    return _frames_to_sound(phase, f0, _next_frame(f0), amplitudes, _next_frame(amplitudes), hop_length, sample_rate)


def harmonic_blocks(f0, amplitudes, hop_length=HOP_LENGTH, sample_rate=SAMPLE_RATE, block_frames=1000):
    """`harmonic_oscillator` block by block, for sounds of any length in the memory of one block.

    Parameters
    ----------
    f0, amplitudes : np.ndarray
        as for `harmonic_oscillator`.
    block_frames : int
        frames per block.

    Yields
    ------
    np.ndarray, (batch, at most block_frames · hop_length)
        joined, what `harmonic_oscillator` would have given.
    """
    f0, amplitudes = np.asarray(f0, np.float32), np.asarray(amplitudes, np.float32)
    _check_f0(f0, amplitudes)
    _check_hop(hop_length)
    f0 = ops.convert_to_numpy(audible_f0(ops.convert_to_tensor(f0), sample_rate))
    phase = ops.convert_to_numpy(frame_phase(ops.convert_to_tensor(f0), hop_length, sample_rate))
    for start in range(0, f0.shape[1], block_frames):
        now = np.arange(start, min(start + block_frames, f0.shape[1]))
        after = np.minimum(now + 1, f0.shape[1] - 1)
        tensors = (phase[:, now], f0[:, now], f0[:, after], amplitudes[:, now], amplitudes[:, after])
        yield ops.convert_to_numpy(_frames_to_sound(*map(ops.convert_to_tensor, tensors), hop_length, sample_rate))


def _frames_to_sound(phase, f0, f0_after, amplitudes, amplitudes_after, hop_length, sample_rate):
    """Sound of frames of which start phase, frequency and amplitudes at both ends are known."""
    j = ops.arange(hop_length, dtype="float32")
    slope = (f0_after - f0) / hop_length  # (batch, frames, 1), in Hz per sample
    cycles = phase + ((j + 1) * f0 + (j * (j + 1) / 2) * slope) / sample_rate  # (batch, frames, hop_length)
    half_turns = ops.stop_gradient(ops.floor(2 * cycles + 0.5))
    theta = 2 * math.pi * (cycles - half_turns / 2)  # in [-π/2, π/2)
    flip = 1 - 2 * ops.mod(half_turns, 2)  # sin k(θ + π) = (-1)^k sin kθ: -1 where odd harmonics change their sign
    frequency = ops.stop_gradient(f0 + j * slope)
    sound = _sum_of_sines(hop_length, sample_rate)(theta, flip, frequency, amplitudes, amplitudes_after)
    return ops.reshape(sound, (-1, phase.shape[1] * hop_length))


def _sum_of_sines(hop_length, sample_rate):
    """The oscillator's inner loop for one hop and rate, with its gradient: see `harmonic_oscillator`."""
    nyquist, ramp = sample_rate / 2, _ramp(hop_length, "hann")

    def forward(theta, flip, frequency, amplitudes, amplitudes_after):
        after_share = ops.convert_to_tensor(ramp)  # PyTorch multiplies no NumPy array with a tensor
        bend = 4 * ops.square(ops.sin(theta / 2))  # (batch, frames, hop_length)
        sine, difference = ops.sin(theta), ops.sin(theta)
        sums = [ops.zeros_like(theta), ops.zeros_like(theta)]  # of the odd and of the even harmonics
        for k in range(1, amplitudes.shape[-1] + 1):
            now, after = amplitudes[..., k - 1 : k], amplitudes_after[..., k - 1 : k]  # (batch, frames, 1)
            envelope = now + after_share * (after - now)
            even = k % 2 == 0
            sums[even] = sums[even] + ops.where(k * frequency < nyquist, envelope * sine, 0.0)
            difference = difference - bend * sine
            sine = sine + difference
        return flip * sums[0] + sums[1]

    def backward(upstream, theta, flip, frequency, amplitudes, amplitudes_after):
        bend = 4 * ops.square(ops.sin(theta / 2))
        # The share of a sample that belongs to each end of its frame, (hop_length, 2):
        ends = ops.convert_to_tensor(np.stack([1 - ramp, ramp], axis=-1))
        controls = ops.transpose(ops.stack([amplitudes, amplitudes_after], axis=-1), (2, 0, 1, 3))

        def harmonic(i, state):
            sine, sine_difference, cosine, cosine_difference, sign, slope, found = state
            k = ops.cast(i + 1, "float32")
            heard = ops.where(k * frequency < nyquist, sign * upstream, 0.0)  # (batch, frames, hop_length)
            now_and_after = ops.take(controls, i, axis=0)  # (batch, frames, 2)
            slope = slope + heard * k * ops.matmul(now_and_after, ops.transpose(ends)) * cosine
            found = ops.slice_update(found, (i, 0, 0, 0), ops.matmul(heard * sine, ends)[None])
            sine_difference = sine_difference - bend * sine
            cosine_difference = cosine_difference - bend * cosine
            sine, cosine = sine + sine_difference, cosine + cosine_difference
            return sine, sine_difference, cosine, cosine_difference, sign * flip, slope, found

        sine, cosine = ops.sin(theta), ops.cos(theta)
        state = (sine, sine, cosine, -bend / 2, flip, ops.zeros_like(theta), ops.zeros_like(controls))
        *_, slope, found = ops.fori_loop(0, amplitudes.shape[-1], harmonic, state)
        found = ops.transpose(found, (1, 2, 0, 3))  # (batch, frames, n_harmonics, 2)
        return slope, ops.zeros_like(flip), ops.zeros_like(frequency), found[..., 0], found[..., 1]

    @ops.custom_gradient
    def sum_of_sines(theta, flip, frequency, amplitudes, amplitudes_after):
        def gradient(*arguments, upstream=None):
            # TensorFlow and JAX hand over the upstream gradient alone, PyTorch by name
            upstream = arguments[0] if upstream is None else upstream
            return backward(upstream, theta, flip, frequency, amplitudes, amplitudes_after)

        return forward(theta, flip, frequency, amplitudes, amplitudes_after), gradient

    return sum_of_sines


@keras.saving.register_keras_serializable("mss")
class Harmonic(keras.layers.Layer):
    """Harmonic oscillator: the pitched part of a sound.

    Parameters
    ----------
    hop_length : int
        samples per frame.
    sample_rate : int
        in Hz.
    """

    def __init__(self, hop_length=HOP_LENGTH, sample_rate=SAMPLE_RATE, **kwargs):
        super().__init__(**kwargs)
        self.hop_length, self.sample_rate = hop_length, sample_rate

    def controls(self, amplitude, distribution, f0):
        """From a network's outputs to what is played.

        Parameters
        ----------
        amplitude : tensor, (batch, frames, 1)
            any real number: how loud.
        distribution : tensor, (batch, frames, n_harmonics)
            any real numbers: how the harmonics share it.
        f0 : tensor, (batch, frames, 1)
            in Hz.

        Returns
        -------
        dict of tensors
            "amplitude" (not negative), "distribution" (adds up to 1, or to 0 where nothing can sound), "f0".
        """
        _check_f0(f0, distribution)
        distribution = normalise_harmonics(exp_sigmoid(distribution), f0, self.sample_rate)
        return {"amplitude": exp_sigmoid(amplitude), "distribution": distribution, "f0": f0}

    def signal(self, amplitude, distribution, f0, restarts=None):
        """From controls to sound, (batch, frames · hop_length); `restarts` as `harmonic_oscillator` takes them."""
        return harmonic_oscillator(f0, amplitude * distribution, self.hop_length, self.sample_rate, restarts)

    def call(self, amplitude, distribution, f0):
        return self.signal(**self.controls(amplitude, distribution, f0))

    def compute_output_shape(self, amplitude_shape, distribution_shape=None, f0_shape=None):
        return _sound_shape(amplitude_shape, self.hop_length)

    def get_config(self):
        return {**super().get_config(), "hop_length": self.hop_length, "sample_rate": self.sample_rate}


# --- filters and noise -----------------------------------------------------------------------------------------------


def impulse_responses(magnitudes):
    """Filters of linear phase with given gains, by frequency sampling and a Hann window.

    Parameters
    ----------
    magnitudes : tensor, (..., bands)
        gains at bands frequencies from 0 Hz to the Nyquist frequency, equally spaced.

    Returns
    -------
    tensor, (..., 2 · (bands - 1))
        symmetric around index bands - 1, which is the delay of the filter in samples.
    """
    size = 2 * (magnitudes.shape[-1] - 1)
    if size < 2:
        raise ValueError(f"magnitudes: {magnitudes.shape[-1]} band found, at least 2 expected")
    response = ops.irfft((magnitudes, ops.zeros_like(magnitudes)), size)
    response = ops.roll(response, size // 2, axis=-1)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    return response * ops.convert_to_tensor(window)


def _smoothed(bands, size):
    """What a window does to gains: those of the windowed filter at size // 2 + 1 frequencies, per unit in each band.

    `impulse_responses` are symmetric, so without their delay their spectra are real, and linear in the gains. One
    product of matrices then takes the place of two Fourier transforms.

    Returns
    -------
    np.ndarray, float32, (bands, size // 2 + 1)
    """
    taps = 2 * (bands - 1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(taps) / taps)
    responses = np.roll(np.fft.irfft(np.eye(bands), taps), taps // 2, axis=1) * window  # (bands, taps)
    centred = np.roll(np.pad(responses, ((0, 0), (0, size - taps))), -taps // 2, axis=1)
    return np.fft.rfft(centred).real.astype(np.float32)


def fir_filter(audio, magnitudes, hop_length=HOP_LENGTH, latency=0):
    """Filter a sound, with other gains in each frame.

    Each frame's samples, hop_length from its centre on, are convolved (by FFT) with that frame's filter of
    `impulse_responses`, tails overlapping.

    Parameters
    ----------
    audio : tensor, (batch, frames · hop_length)
    magnitudes : tensor, (batch, frames, bands)
        gains from 0 Hz to the Nyquist frequency.
    latency : int
        how many samples late the result is. The filters' own delay is compensated, so that gains of 1 leave the sound
        as it is; what ddsp 3.7.0 calls compensation leaves 2 samples.

    Returns
    -------
    tensor, (batch, frames · hop_length)

    Raises
    ------
    ValueError
        where the frames do not divide the samples into hops.
    """
    audio, magnitudes = ops.convert_to_tensor(audio, "float32"), ops.convert_to_tensor(magnitudes, "float32")
    _check_frames("magnitudes", magnitudes)
    _check_hop(hop_length)
    n_frames = magnitudes.shape[1]
    if len(audio.shape) != 2 or audio.shape[1] != n_frames * hop_length:
        raise ValueError(
            f"audio: shape {tuple(audio.shape)} found, (batch, {n_frames * hop_length}) expected for"
            f" {n_frames} frames of {hop_length} samples"
        )
    if magnitudes.shape[-1] < 2:
        raise ValueError(f"magnitudes: {magnitudes.shape[-1]} band found, at least 2 expected")
    taps = 2 * (magnitudes.shape[-1] - 1)
    size = _power_of_two(hop_length + taps - 1)
    gains = ops.matmul(magnitudes, ops.convert_to_tensor(_smoothed(magnitudes.shape[-1], size)))
    frames = ops.reshape(audio, (-1, n_frames, hop_length))
    frames = ops.pad(frames, ((0, 0), (0, 0), (taps // 2, size - hop_length - taps // 2)))  # as late as the filter is
    real, imaginary = ops.rfft(frames, size)  # (batch, frames, size // 2 + 1)
    filtered = ops.irfft((real * gains, imaginary * gains), size)  # (batch, frames, size)
    parts = -(-(hop_length + taps - 1) // hop_length)  # hops that a filtered frame reaches into
    if parts * hop_length > size:
        filtered = ops.pad(filtered, ((0, 0), (0, 0), (0, parts * hop_length - size)))
    late = sum(
        ops.pad(filtered[:, :, p * hop_length : (p + 1) * hop_length], ((0, 0), (p, parts - 1 - p), (0, 0)))
        for p in range(parts)
    )  # (batch, frames + parts - 1, hop_length)
    late = ops.reshape(late, (-1, (n_frames + parts - 1) * hop_length))
    start = taps // 2 - latency
    return late[:, start : start + n_frames * hop_length]


def convolve(audio, impulse_response):
    """Convolve whole sounds with one impulse response each, cut to the sounds' length.

    Parameters
    ----------
    audio : tensor, (batch, samples)
    impulse_response : tensor, (batch or 1, taps)

    Returns
    -------
    tensor, (batch, samples)
    """
    samples = audio.shape[1]
    size = _power_of_two(samples + impulse_response.shape[1] - 1)
    spectrum = _product(*ops.rfft(audio, size), *ops.rfft(impulse_response, size))
    return ops.irfft(spectrum, size)[:, :samples]


def _product(real, imaginary, other_real, other_imaginary):
    """Product of complex numbers that come as pairs."""
    return real * other_real - imaginary * other_imaginary, real * other_imaginary + imaginary * other_real


@keras.saving.register_keras_serializable("mss")
class FilteredNoise(keras.layers.Layer):
    """White noise through a filter per frame: breath, bow, consonants, drums.

    Parameters
    ----------
    hop_length : int
        samples per frame.
    bias : float
        added to the network's outputs, so that an untrained one is quiet.
    seed : int
        of the noise.
    """

    def __init__(self, hop_length=HOP_LENGTH, bias=-5.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.hop_length, self.bias, self.seed = hop_length, bias, seed
        self.generator = keras.random.SeedGenerator(seed)

    def controls(self, magnitudes):
        """From a network's outputs (batch, frames, bands) to {"magnitudes": gains of the bands}."""
        return {"magnitudes": exp_sigmoid(magnitudes + self.bias)}

    def signal(self, magnitudes, noise=None):
        """From controls to sound.

        Parameters
        ----------
        magnitudes : tensor, (batch, frames, bands)
        noise : tensor, (batch, frames · hop_length), optional
            what to filter; by default uniform noise in [-1, 1).

        Returns
        -------
        tensor, (batch, frames · hop_length)
        """
        if noise is None:
            shape = (ops.shape(magnitudes)[0], magnitudes.shape[1] * self.hop_length)
            noise = keras.random.uniform(shape, -1.0, 1.0, seed=self.generator)
        return fir_filter(noise, magnitudes, self.hop_length)

    def call(self, magnitudes):
        return self.signal(**self.controls(magnitudes))

    def compute_output_shape(self, shape):
        return _sound_shape(shape, self.hop_length)

    def get_config(self):
        return {**super().get_config(), "hop_length": self.hop_length, "bias": self.bias, "seed": self.seed}


@keras.saving.register_keras_serializable("mss")
class FIRFilter(keras.layers.Layer):
    """An equaliser whose gains change from frame to frame.

    Parameters
    ----------
    hop_length : int
        samples per frame.
    """

    def __init__(self, hop_length=HOP_LENGTH, **kwargs):
        super().__init__(**kwargs)
        self.hop_length = hop_length

    def controls(self, audio, magnitudes):
        """From a sound and a network's outputs (batch, frames, bands) to {"audio", "magnitudes": gains}."""
        return {"audio": audio, "magnitudes": exp_sigmoid(magnitudes)}

    def signal(self, audio, magnitudes):
        """From controls to the filtered sound, (batch, samples)."""
        return fir_filter(audio, magnitudes, self.hop_length)

    def call(self, audio, magnitudes):
        return self.signal(**self.controls(audio, magnitudes))

    def compute_output_shape(self, audio_shape, magnitudes_shape=None):
        return audio_shape

    def get_config(self):
        return {**super().get_config(), "hop_length": self.hop_length}


@keras.saving.register_keras_serializable("mss")
class Reverb(keras.layers.Layer):
    """The room a source stands in: one trainable impulse response, added to the dry sound.

    Parameters
    ----------
    taps : int
        length of the impulse response in samples; 48,000 (3 s) in the paper.
    seed : int
        of its first values, which are too small to hear.
    decay : float, optional
        samples in which the room dies away to 1/e: what is trained is multiplied by that envelope.
    level : float
        and by this. An optimiser moves every tap by about its learning rate in each step; thousands of taps that only
        tremble add up to a hall unless a weight of 1 is a quiet echo.

    Notes
    -----
    The first tap is held at 0: it would be a copy of the dry sound.
    """

    def __init__(self, taps=48000, seed=0, decay=None, level=1.0, **kwargs):
        super().__init__(**kwargs)
        self.taps, self.seed, self.decay, self.level = taps, seed, decay, level

    def build(self, shape):
        first_values = keras.initializers.RandomNormal(stddev=1e-6, seed=self.seed)
        self.impulse_response = self.add_weight(shape=(self.taps,), initializer=first_values, name="impulse_response")

    def controls(self, audio):
        """The sound and the impulse response that it will be given, as a dict: "audio", "impulse_response" (taps,)."""
        response = self.level * ops.convert_to_tensor(self.impulse_response)
        if self.decay is not None:
            envelope = np.exp(-np.arange(self.taps) / self.decay).astype(np.float32)
            response = response * ops.convert_to_tensor(envelope)
        return {"audio": audio, "impulse_response": response}

    def signal(self, audio, impulse_response):
        """From controls to the sound in the room.

        Parameters
        ----------
        audio : tensor, (batch, samples)
        impulse_response : tensor, (taps,)

        Returns
        -------
        tensor, (batch, samples)
        """
        audio, impulse_response = ops.convert_to_tensor(audio), ops.convert_to_tensor(impulse_response)
        wet = ops.pad(impulse_response[1:], ((1, 0),))  # (taps,)
        return audio + convolve(audio, wet[None])

    def call(self, audio):
        return self.signal(**self.controls(audio))

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in ("taps", "seed", "decay", "level")}}


# --- checks ----------------------------------------------------------------------------------------------------------


def _power_of_two(size):
    """The least power of two that is not below `size`."""
    return 1 << (size - 1).bit_length()


def _sound_shape(shape, hop_length):
    """Shape of the sound that frames of this shape make."""
    return (shape[0], None if shape[1] is None else shape[1] * hop_length)


def _check_hop(hop_length):
    if not isinstance(hop_length, int) or hop_length < 1:
        raise ValueError(f"hop_length: {hop_length!r} found, a positive whole number of samples expected")


def _check_frames(name, frames):
    if len(frames.shape) != 3:
        raise ValueError(f"{name}: shape {tuple(frames.shape)} found, (batch, frames, channels) expected")
    if 0 in frames.shape[1:]:
        raise ValueError(f"{name}: shape {tuple(frames.shape)} found, at least one frame and one channel expected")


def _check_f0(f0, amplitudes):
    _check_frames("f0", f0)
    _check_frames("amplitudes", amplitudes)
    if f0.shape[-1] != 1 or f0.shape[1] != amplitudes.shape[1]:
        raise ValueError(f"f0: shape {tuple(f0.shape)} found, (batch, {amplitudes.shape[1]}, 1) expected")

"""The layers of Conv-TasNet that Keras lacks or that run faster written out.

Tensors are (batch, frames, channels). Only `keras.ops` is used, so that every backend runs the same code.

Notebook: mss_nn_implementation/convtas_report.ipynb
"""

import keras
from keras import ops


def overlapping_frames(signal, length):
    """Cut (batch, samples) into frames of `length` samples that overlap by half: (batch, frames, length).

    The number of samples has to be a multiple of length / 2.

    See Also
    --------
    overlap_add : the transpose.

    Examples
    --------
    >>> frames = overlapping_frames(ops.reshape(ops.arange(6.0), (1, 6)), length=4)
    >>> ops.convert_to_numpy(frames)
    array([[[0., 1., 2., 3.],
            [2., 3., 4., 5.]]], dtype=float32)
    """
    hop = length // 2
    halves = ops.reshape(signal, (ops.shape(signal)[0], -1, hop))  # (batch, frames + 1, hop)
    return ops.concatenate([halves[:, :-1], halves[:, 1:]], axis=-1)


def overlap_add(frames):
    """Add up frames (batch, frames, length) that overlap by half: (batch, samples). The transpose of framing."""
    hop = frames.shape[-1] // 2
    first = ops.pad(frames[..., :hop], ((0, 0), (0, 1), (0, 0)))
    second = ops.pad(frames[..., hop:], ((0, 0), (1, 0), (0, 0)))
    signal = first + second  # (batch, frames + 1, hop)
    return ops.reshape(signal, (ops.shape(signal)[0], -1))


def total(x):
    """Sum (batch, frames, channels) over frames and channels: (batch, 1, 1).

    Frames first, so that neighbouring channels add up side by side in a vector register; then the channels, as a matrix
    product, because compilers would merge two sums into one and add one number after the other.
    """
    columns = ops.sum(x, axis=1)  # (batch, channels)
    return ops.matmul(columns, ops.ones((x.shape[-1], 1), dtype=x.dtype))[:, :, None]


@keras.saving.register_keras_serializable("mss")
class GlobalLayerNorm(keras.layers.Layer):
    r"""gLN: normalise over time and channels together (Luo & Mesgarani 2019, eq. 10).

    .. math:: y = \gamma \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \epsilon}} + \beta

    with one mean and variance for the whole of an item's (frames, channels), and gain and offset per channel.
    """

    epsilon = 1e-8

    def build(self, shape):
        self.gamma = self.add_weight(shape=(shape[-1],), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(shape[-1],), initializer="zeros", name="beta")

    def call(self, x):
        wide = ops.cast(x, "float32")  # sums of half-precision numbers would overflow
        mean, power = self.moments(wide)
        # E[x²] - E[x]² needs one pass over the tensor where E[(x - E[x])²] needs two
        variance = ops.relu(power - ops.square(mean)) + self.epsilon
        scale = ops.cast(self.gamma, "float32") * ops.rsqrt(variance)  # one multiplication and one addition per number
        return ops.cast(wide * scale + (ops.cast(self.beta, "float32") - mean * scale), x.dtype)

    def moments(self, x):
        """E[x] and E[x²], of a shape that broadcasts to that of x."""
        size = ops.cast(ops.shape(x)[1] * x.shape[-1], "float32")
        return total(x) / size, total(ops.square(x)) / size


@keras.saving.register_keras_serializable("mss")
class CumulativeLayerNorm(GlobalLayerNorm):
    r"""cLN: normalise by the mean and variance of all channels of this frame and those before it (eqs. 11, 12).

    .. math:: y_t = \gamma \frac{x_t - \mathrm{E}[x_{\le t}]}{\sqrt{\mathrm{Var}[x_{\le t}] + \epsilon}} + \beta

    Later frames change nothing, as a causal network requires.
    """

    def moments(self, x):
        sizes = ops.cast(ops.arange(1, ops.shape(x)[1] + 1) * x.shape[-1], "float32")[:, None]  # (frames, 1)
        sums = (ops.sum(each, axis=-1, keepdims=True) for each in (x, ops.square(x)))  # (batch, frames, 1)
        return tuple(ops.cumsum(each, axis=1) / sizes for each in sums)


NORMS = {"gLN": GlobalLayerNorm, "cLN": CumulativeLayerNorm}
"""The normalisations by the names that the paper gives them."""


@keras.saving.register_keras_serializable("mss")
class DepthwiseConvolution(keras.layers.Layer):
    r"""Each channel convolved in time with a separate filter, its taps `dilation` frames apart; zeros at the ends.

    .. math:: y_{t,c} = b_c + \sum_{p=0}^{P-1} k_{p,c}\, x_{t + (p - (P-1)/2)\, d,\, c}

    A causal one looks back only: :math:`x_{t + (p - (P-1))\, d,\, c}`. Written as P shifted multiply-adds, which XLA
    fuses with the operations around them.

    Parameters
    ----------
    taps : int
        P, odd.
    dilation : int
        d, in frames.
    causal : bool
        look at no later frame.
    """

    def __init__(self, taps, dilation, causal=False, **kwargs):
        super().__init__(**kwargs)
        self.taps, self.dilation, self.causal = taps, dilation, causal

    def build(self, shape):
        self.kernel = self.add_weight(shape=(self.taps, shape[-1]), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(shape[-1],), initializer="zeros", name="bias")

    def call(self, x):
        frames = ops.shape(x)[1]
        before = self.dilation * (self.taps - 1 if self.causal else self.taps // 2)
        padded = ops.pad(x, ((0, 0), (before, self.dilation * (self.taps - 1) - before), (0, 0)))
        y = self.bias
        for p in range(self.taps):
            start = p * self.dilation
            y = y + self.kernel[p] * padded[:, start : start + frames]
        return y

    def get_config(self):
        return {**super().get_config(), "taps": self.taps, "dilation": self.dilation, "causal": self.causal}


@keras.saving.register_keras_serializable("mss")
class ScalarPReLU(keras.layers.Layer):
    """max(x, 0) + a·min(x, 0) with one learned slope a for all channels and frames, 0.25 at first."""

    def build(self, shape):
        self.slope = self.add_weight(shape=(), initializer=keras.initializers.Constant(0.25), name="slope")

    def call(self, x):
        # The slope once per channel, so that its gradient, too, is summed over frames first (see `total`).
        slope = ops.matmul(ops.reshape(self.slope, (1, 1)), ops.ones((1, x.shape[-1]), dtype=x.dtype))
        return ops.relu(x) - slope * ops.relu(-x)


@keras.saving.register_keras_serializable("mss")
class Block(keras.layers.Layer):
    """One 1-D convolutional block (the paper's figure 1C): widen, convolve in time, return two narrow outputs.

    Parameters
    ----------
    B, H, P, Sc : int
        as for `parameters.Parameters`.
    dilation : int
        of the depthwise convolution, in frames.
    last : bool
        the last block of a network with a skip path has no residual output: no layer would read it.
    norm : str
        a name in `NORMS`.
    causal : bool
        look at no later frame.
    skip : bool
        without a skip path the residual output is the only one, and the other is None.
    """

    def __init__(self, B, H, P, Sc, dilation, last=False, norm="gLN", causal=False, skip=True, **kwargs):
        super().__init__(**kwargs)
        self.settings = {"B": B, "H": H, "P": P, "Sc": Sc, "dilation": dilation, "last": last,
                         "norm": norm, "causal": causal, "skip": skip}  # fmt: skip
        self.widen = keras.layers.Dense(H, name="widen")  # a convolution of one tap is a matrix on every frame
        self.activation_1, self.norm_1 = ScalarPReLU(name="activation_1"), NORMS[norm](name="norm_1")
        self.depthwise = DepthwiseConvolution(P, dilation, causal, name="depthwise")
        self.activation_2, self.norm_2 = ScalarPReLU(name="activation_2"), NORMS[norm](name="norm_2")
        # residual and skip output as one matrix: their common input is read once
        self.outputs = keras.layers.Dense((0 if skip and last else B) + (Sc if skip else 0), name="outputs")

    def build(self, shape):
        inner = (*shape[:-1], self.settings["H"])
        self.widen.build(shape)
        for layer in (self.activation_1, self.norm_1, self.depthwise, self.activation_2, self.norm_2, self.outputs):
            layer.build(inner)

    def call(self, x):
        y = self.norm_1(self.activation_1(self.widen(x)))  # (batch, frames, H)
        y = self.norm_2(self.activation_2(self.depthwise(y)))  # (batch, frames, H)
        y = self.outputs(y)  # (batch, frames, B + Sc)
        if not self.settings["skip"]:
            return x + y, None
        if self.settings["last"]:
            return x, y
        return x + y[..., : x.shape[-1]], y[..., x.shape[-1] :]  # (batch, frames, B), (batch, frames, Sc)

    def get_config(self):
        return {**super().get_config(), **self.settings}


def mixture_consistent(estimates, mixture):
    r"""Project estimates so that they add up to the mixture (Wisdom et al. 2019, eq. 7, equal weights).

    .. math:: \hat s_i \leftarrow \hat s_i + \frac{1}{C}\Big(x - \sum_{j=1}^{C} \hat s_j\Big)

    The orthogonal projection onto all sets of C sources that sum to x (https://doi.org/10.1109/ICASSP.2019.8682783).
    Valid for a mixture of these sources and no others.

    Parameters
    ----------
    estimates : tensor, (batch, sources, ...)
    mixture : tensor, (batch, ...)

    Returns
    -------
    tensor, shaped like `estimates`
    """
    missing = mixture - ops.sum(estimates, axis=1)
    return estimates + missing[:, None] / estimates.shape[1]

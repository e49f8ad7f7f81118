"""The zeros that a convolution puts at the two ends of an axis, and the length of its output.

Notebook: neural_network_basics/cnn_report.ipynb
"""

from common.checks import expect


def pad_and_length(length, kernel, stride=1, dilation=1, padding="same"):
    """Zeros before, zeros after, and output length of a convolution along one axis.

    The kernel spans (kernel - 1) * dilation + 1 samples. "valid" adds nothing; "same" adds what makes the output
    ceil(length / stride) long, the odd zero at the end, which is Keras's and TensorFlow's convention.

    Parameters
    ----------
    length, kernel, stride, dilation : int
        in samples.
    padding : {"same", "valid"}

    Returns
    -------
    before, after, length : int

    Raises
    ------
    ValueError
        if padding is neither, or the kernel is longer than the (unpadded) input.

    Examples
    --------
    >>> pad_and_length(10, kernel=3)
    (1, 1, 10)
    >>> pad_and_length(10, kernel=3, dilation=4, padding="valid")
    (0, 0, 2)
    """
    span = (kernel - 1) * dilation + 1
    if padding == "same":
        out = -(-length // stride)
        total = max((out - 1) * stride + span - length, 0)
        return total // 2, total - total // 2, out
    expect(padding == "valid", "padding", "'same' or 'valid'", repr(padding))
    expect(span <= length, "kernel", f"a span of at most the input's length, {length}", span)
    return 0, 0, (length - span) // stride + 1

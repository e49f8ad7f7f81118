"""How many zeros a convolution puts at the two ends of an axis, and how long its output is."""


def pad_and_length(length, kernel, stride=1, dilation=1, padding="same"):
    """Zeros before, zeros after, and output length of a convolution along one axis.

    The kernel spans (kernel - 1) * dilation + 1 samples. "valid" adds nothing; "same" adds what makes the output
    ceil(length / stride) long, the odd zero at the end, which is Keras's and TensorFlow's convention.

    Raises
    ------
    ValueError
        If padding is neither, or the kernel is longer than the (unpadded) input.

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
    if padding != "valid":
        raise ValueError(f"padding is {padding!r}, expected 'same' or 'valid'")
    if span > length:
        raise ValueError(f"the kernel spans {span} samples, expected at most the input's length, {length}")
    return 0, 0, (length - span) // stride + 1

r"""A gated recurrent unit with a gradient of its own, for CPUs.

Notebook: ddsp_models/autoencoder_report.ipynb

With automatic differentiation, a loop over a thousand frames stores a dozen numbers per frame and adds up the gradient
of its weights in each of them: three megabytes a frame for the paper's 512 channels. But only two values really have to
pass from frame to frame, the state forward and its gradient backward. All else is computed for all frames at once.
"""

from keras import ops


def gru(x, kernel, recurrent_kernel, bias):
    r"""The states that `keras.layers.GRU` computes with these weights.

    .. math:: z, r = \sigma(x_t W_{z,r} + h_{t-1} U_{z,r}), \qquad
        \tilde h = \tanh(x_t W_h + r \odot h_{t-1} U_h), \qquad
        h_t = z \odot h_{t-1} + (1 - z) \odot \tilde h

    with a bias added to each product (Cho et al. 2014, https://doi.org/10.3115/v1/D14-1179, with the reset after the
    product, as in cuDNN).

    Parameters
    ----------
    x : tensor, (batch, frames, inputs)
    kernel, recurrent_kernel, bias : tensor, (inputs, 3 H), (H, 3 H), (2, 3 H)
        W, U and both biases of z, r and h, in this order.

    Returns
    -------
    tensor, (batch, frames, H)
        the state before the first frame is 0.
    """
    bias = ops.convert_to_tensor(bias)
    inputs = ops.transpose(ops.matmul(x, ops.convert_to_tensor(kernel)) + bias[0], (1, 0, 2))  # (frames, batch, 3 H)
    recurrent_kernel = ops.convert_to_tensor(recurrent_kernel) + 0.0  # `_states` takes tensors, no variable
    return ops.transpose(_states(inputs, recurrent_kernel, bias[1]), (1, 0, 2))


def _gates(inputs, recurrent):
    """z, r and the candidate, from the products with the inputs and with the state: each (..., 3 H)."""
    inputs, recurrent = ops.split(inputs, 3, axis=-1), ops.split(recurrent, 3, axis=-1)
    z, r = ops.sigmoid(inputs[0] + recurrent[0]), ops.sigmoid(inputs[1] + recurrent[1])
    return z, r, ops.tanh(inputs[2] + r * recurrent[2])


@ops.custom_gradient
def _states(inputs, kernel, bias):
    """All states, (frames, batch, H), from W x + b (frames, batch, 3 H)."""

    def forward(state, inputs_now):
        z, _, candidate = _gates(inputs_now, ops.matmul(state, kernel) + bias)
        state = candidate + z * (state - candidate)
        return state, state

    first = ops.zeros_like(inputs[0, :, : kernel.shape[0]])  # (batch, H)
    _, states = ops.scan(forward, first, inputs)

    def gradient(*arguments, upstream=None):
        upstream = arguments[0] if upstream is None else upstream  # TensorFlow and JAX by place, PyTorch by name
        before = ops.concatenate([first[None], states[:-1]], axis=0)
        recurrent = ops.matmul(before, kernel) + bias
        z, r, candidate = _gates(inputs, recurrent)
        # derivatives of a state with respect to z, the candidate and r, before their activations:
        to_z, to_candidate = (before - candidate) * z * (1 - z), (1 - z) * (1 - ops.square(candidate))
        to_r = to_candidate * ops.split(recurrent, 3, axis=-1)[2] * r * (1 - r)
        to_recurrent = ops.concatenate([to_z, to_r, to_candidate * r], axis=-1)  # (frames, batch, 3 H)
        back = ops.transpose(kernel)

        def backward(carried, now):
            from_above, kept, shares = now
            total = from_above + carried
            return total * kept + ops.matmul(ops.tile(total, [1, 3]) * shares, back), total

        _, totals = ops.scan(backward, first, (upstream, z, to_recurrent), reverse=True)  # (frames, batch, H)
        tripled = ops.tile(totals, [1, 1, 3])

        for_recurrent = ops.reshape(tripled * to_recurrent, (-1, to_recurrent.shape[-1]))  # (frames · batch, 3 H)
        for_kernel = ops.matmul(ops.transpose(ops.reshape(before, (-1, before.shape[-1]))), for_recurrent)
        return (
            tripled * ops.concatenate([to_z, to_r, to_candidate], axis=-1),
            for_kernel,
            ops.sum(for_recurrent, axis=0),
        )

    return states, gradient

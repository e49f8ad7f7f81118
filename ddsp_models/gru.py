r"""A gated recurrent unit with a gradient of its own, for processors.

Left to automatic differentiation, a loop over a thousand frames keeps a dozen numbers per frame and adds up the
gradient of its weights in each of them: that is three megabytes a frame for the paper's 512 channels. But only two
things really have to go from frame to frame, the state forward and its gradient backward. All else is done for all
frames at once.
"""

from keras import ops


def gru(x, kernel, recurrent_kernel, bias):
    r"""What `keras.layers.GRU` gives for its weights, every frame's state.

    .. math:: z, r = \sigma(x_t W_{z,r} + h_{t-1} U_{z,r}), \qquad
        \tilde h = \tanh(x_t W_h + r \odot h_{t-1} U_h), \qquad
        h_t = z \odot h_{t-1} + (1 - z) \odot \tilde h

    with a bias beside each product (Cho et al. 2014, https://doi.org/10.3115/v1/D14-1179, with the reset behind the
    product, as cuDNN has it).

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
    given = ops.transpose(ops.matmul(x, ops.convert_to_tensor(kernel)) + bias[0], (1, 0, 2))
    recurrent_kernel = ops.convert_to_tensor(recurrent_kernel) + 0.0  # a variable itself has no place in `_states`
    states = _states(given, recurrent_kernel, bias[1])
    return ops.transpose(states, (1, 0, 2))


def _gates(given, told):
    """z, r and the candidate, of what the inputs give and what the state tells: each (..., 3 H)."""
    given, told = ops.split(given, 3, axis=-1), ops.split(told, 3, axis=-1)
    z, r = ops.sigmoid(given[0] + told[0]), ops.sigmoid(given[1] + told[1])
    return z, r, ops.tanh(given[2] + r * told[2])


@ops.custom_gradient
def _states(given, recurrent, bias):
    """All states, (frames, batch, H), of W x + b (frames, batch, 3 H)."""

    def forward(state, given_now):
        z, _, candidate = _gates(given_now, ops.matmul(state, recurrent) + bias)
        state = candidate + z * (state - candidate)
        return state, state

    silence = ops.zeros_like(given[0, :, : recurrent.shape[0]])  # (batch, H)
    _, states = ops.scan(forward, silence, given)

    def gradient(*arguments, upstream=None):
        upstream = arguments[0] if upstream is None else upstream  # TensorFlow and JAX by place, PyTorch by name
        before = ops.concatenate([silence[None], states[:-1]], axis=0)
        told = ops.matmul(before, recurrent) + bias
        z, r, candidate = _gates(given, told)
        # what the gradient of a state is multiplied by on its way to z, the candidate and r, before their functions:
        to_z, to_candidate = (before - candidate) * z * (1 - z), (1 - z) * (1 - ops.square(candidate))
        to_r = to_candidate * ops.split(told, 3, axis=-1)[2] * r * (1 - r)
        to_told = ops.concatenate([to_z, to_r, to_candidate * r], axis=-1)  # (frames, batch, 3 H)
        back = ops.transpose(recurrent)

        def backward(carried, now):
            from_above, kept, shares = now
            found = from_above + carried
            return found * kept + ops.matmul(ops.tile(found, [1, 3]) * shares, back), found

        _, found = ops.scan(backward, silence, (upstream, z, to_told), reverse=True)  # (frames, batch, H)
        tripled = ops.tile(found, [1, 1, 3])
        for_given, for_told = tripled * ops.concatenate([to_z, to_r, to_candidate], axis=-1), tripled * to_told
        flat = ops.reshape(for_told, (-1, for_told.shape[-1]))
        for_recurrent = ops.matmul(ops.transpose(ops.reshape(before, (-1, before.shape[-1]))), flat)
        return for_given, for_recurrent, ops.sum(flat, axis=0)

    return states, gradient

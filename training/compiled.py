"""A function of arrays, compiled by whichever backend Keras runs on."""

import keras


def compiled(function):
    """Compile a function of arrays for inference.

    Parameters
    ----------
    function : callable
        of arrays or (nested) tuples of arrays; it may call Keras layers, whose weights may change between calls on
        TensorFlow and PyTorch, while JAX keeps those of the first call.

    Returns
    -------
    callable
        gives what `function` gives: by XLA on TensorFlow and JAX, without gradients on PyTorch.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import torch

    def without_gradients(*arrays):
        return function(*keras.tree.map_structure(keras.ops.convert_to_tensor, arrays))

    return torch.inference_mode()(without_gradients)

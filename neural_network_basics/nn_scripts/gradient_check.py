"""Is the backward pass the derivative of the forward pass? A check by the definition of the derivative.

Notebook: neural_network_basics/nn_report.ipynb
"""

import numpy as np

from common.checks import expect


def numerical_gradient(function, array, step=1e-5):
    """Central differences (f(a + h) - f(a - h)) / 2h for every element a of `array`, which ends as it began.

    The error of the formula is of order h^2, that of rounding of order 1e-16 / h: h = 1e-5 balances the two in float64.

    Parameters
    ----------
    function : callable
        () → number, computed from `array`.
    array : np.ndarray, float64
        changed element by element while the gradient is measured.
    step : float
        h.

    Returns
    -------
    np.ndarray, shaped like `array`
    """
    expect(array.dtype == np.float64, "array", "float64", array.dtype)
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        a = array[index]
        array[index] = a + step
        above = function()
        array[index] = a - step
        below = function()
        array[index] = a
        gradient[index] = (above - below) / (2 * step)
    return gradient


def relative_error(a, b):
    """|a - b| / max(|a|, |b|) in the Euclidean norm; 0 where both vanish to rounding."""
    size = max(np.linalg.norm(a), np.linalg.norm(b))
    return float(np.linalg.norm(np.subtract(a, b)) / size) if size > 1e-9 else 0.0


def check_layer(layer, x, seed=0):
    """Compare a layer's backward pass with central differences.

    The layer's output is multiplied by fixed random numbers r and summed, which makes one number L of it, with
    dL/dy = r: a loss that treats no output alike.

    Parameters
    ----------
    layer : Layer
        with float64 parameters.
    x : np.ndarray, float64
    seed : int
        of r.

    Returns
    -------
    dict of str or int to float
        relative error of dL/dx under "x", and of each parameter's gradient under its number in `layer.pairs()`.
    """
    r = np.random.default_rng(seed).normal(size=layer.forward(x).shape)
    arrays = {"x": (x, layer.backward(r))}
    arrays |= {number: (parameter, gradient.copy()) for number, (parameter, gradient) in enumerate(layer.pairs())}

    def L():
        return np.sum(r * layer.forward(x))

    return {name: relative_error(gradient, numerical_gradient(L, array)) for name, (array, gradient) in arrays.items()}


def check_loss(loss, y, t, weight=1.0):
    """Relative error of a loss's gradient against central differences."""
    loss.forward(y, t, weight)
    return relative_error(loss.backward(), numerical_gradient(lambda: loss.forward(y, t, weight), y))

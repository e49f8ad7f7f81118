"""The two real tables of this chapter, both part of scikit-learn, each with a fixed held-out part.

Notebooks: neural_network_basics/nn_basic.ipynb, nn_report.ipynb, cnn_report.ipynb
"""

import numpy as np
from sklearn import datasets


def wines(held_out=59, seed=0):
    """Colour and flavanoids of 178 wines of one region; is it of the first of three cultivars?

    Both columns are scaled to mean 0 and variance 1 over the training part.

    Parameters
    ----------
    held_out : int
        wines kept for testing.
    seed : int
        of the shuffle.

    Returns
    -------
    train, test : list of (x, t)
        x is the list [colour intensity, flavanoids], t is 1 for the first cultivar, else 0.

    References
    ----------
    .. [1] Aeberhard & Forina, "Wine", UCI Machine Learning Repository, 1992, doi:10.24432/C5PC7J.
    """
    table = datasets.load_wine()
    columns = [table.feature_names.index(name) for name in ("color_intensity", "flavanoids")]
    order = np.random.default_rng(seed).permutation(len(table.target))
    x, t = table.data[order][:, columns], (table.target[order] == 0).astype(int)
    x = (x - x[held_out:].mean(axis=0)) / x[held_out:].std(axis=0)
    examples = list(zip(x.tolist(), t.tolist()))
    return examples[held_out:], examples[:held_out]


def digits(held_out=500, validation=200, seed=0):
    """The 1,797 handwritten digits of 8 x 8 pixels, in three fixed parts.

    Parameters
    ----------
    held_out, validation : int
        digits kept for the final test, and for choosing hyperparameters.
    seed : int
        of the shuffle.

    Returns
    -------
    dict of str to (np.ndarray, np.ndarray)
        "train", "validation", "test": images, float32, (digits, 8, 8, 1) from 0 to 1, and classes, int, (digits,).

    References
    ----------
    .. [1] Alpaydin & Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository, 1998,
       doi:10.24432/C50P49.
    """
    table = datasets.load_digits()
    order = np.random.default_rng(seed).permutation(len(table.target))
    images = (table.images / 16).astype(np.float32)[..., None]
    parts = zip(("test", "validation", "train"), np.split(order, [held_out, held_out + validation]))
    return {name: (images[part], table.target[part]) for name, part in parts}


def one_hot(classes, count=10):
    """(n,) whole numbers → (n, count) rows with a single 1."""
    return np.eye(count, dtype=np.float32)[classes]

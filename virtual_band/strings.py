"""A plucked string as a digital waveguide, shared by the bass and the guitar.

Karplus & Strong (1983) with the extensions of Jaffe & Smith (1983): a delay line whose length is the period, a low-pass in the loop
for the damping, and a comb on the excitation for the place of the pluck. The loop filter is a symmetric three-tap FIR, so its delay is
one sample at every frequency, and the delay line is read by Lagrange interpolation: the string is in tune to a fraction of a cent, also while
the period glides.
"""

import numpy as np
from numba import njit


@njit(cache=True)
def string(excitation, period, damping, loss):
    """Ring a string.

    Parameters
    ----------
    excitation : np.ndarray, shape (samples,)
        What the finger or the plectrum puts in.
    period : np.ndarray, shape (samples,)
        Period in samples, larger than 6, at each sample.
    damping : np.ndarray, shape (samples,)
        Weight of the outer taps of the loop filter [d, 1 - 2d, d], 0 (bright for ever) to 0.25.
    loss : np.ndarray, shape (samples,)
        Gain once around the loop, below 1.

    Returns
    -------
    np.ndarray, shape (samples,)
    """
    n_samples = excitation.size
    size = 1
    while size < period.max() + 8:
        size *= 2
    mask = size - 1
    line = np.zeros(size)
    out = np.empty(n_samples)
    x1 = x2 = 0.0
    for n in range(n_samples):
        delay = period[n] - 1.0  # the loop filter is the missing sample
        whole = int(delay)
        d = delay - whole + 1.0  # 1 <= d < 2: the middle of the four points
        at = n - whole + 1
        a, b, c, e = line[at & mask], line[(at - 1) & mask], line[(at - 2) & mask], line[(at - 3) & mask]
        x0 = (
            a * (-(d - 1.0) * (d - 2.0) * (d - 3.0) / 6.0)
            + b * (d * (d - 2.0) * (d - 3.0) / 2.0)
            + c * (-d * (d - 1.0) * (d - 3.0) / 2.0)
            + e * (d * (d - 1.0) * (d - 2.0) / 6.0)
        )
        y = excitation[n] + loss[n] * (damping[n] * (x0 + x2) + (1.0 - 2.0 * damping[n]) * x1)
        x2, x1 = x1, x0
        line[n & mask] = y
        out[n] = y
    return out


def pluck(noise, period, place, softness):
    """The excitation of a pluck: one period of noise, softened by the finger, combed by the place where it plucks.

    Parameters
    ----------
    noise : np.ndarray, shape (samples,)
        At least two periods of white noise.
    period : float
        In samples.
    place : float
        Where the string is plucked, as a fraction of its length from the bridge; harmonics with a node there are missing.
    softness : float
        Pole of a one-pole low-pass, 0 (plectrum) to 0.95 (thumb).

    Returns
    -------
    np.ndarray, shape (about two periods,)
    """
    length = int(period)
    burst = np.zeros(2 * length + 2)
    soft = one_pole(noise[:length], softness)
    burst[:length] = soft - soft.mean()
    lag = max(1, int(round(place * period)))
    burst[lag:] -= 0.9 * burst[:-lag].copy()
    return burst


@njit(cache=True)
def one_pole(x, pole):
    """Low-pass y[n] = (1 - pole) x[n] + pole y[n-1]."""
    out = np.empty(x.size)
    y = 0.0
    for n in range(x.size):
        y = (1.0 - pole) * x[n] + pole * y
        out[n] = y
    return out

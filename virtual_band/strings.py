"""A plucked string as a digital waveguide, shared by the bass and the guitar.

Karplus & Strong (1983) with the extensions of Jaffe & Smith (1983): a delay line whose length is the period, a
low-pass in the loop for the damping, and a comb on the excitation for the place of the pluck. The delay line is read
by Lagrange interpolation, and the delay of the low-pass is taken off its length, so the string is in tune, also while
its period glides.

Notebook: virtual_band/dataset_report.ipynb
"""

import numpy as np
from numba import njit
from scipy.signal import lfilter, unit_impulse


@njit(cache=True)
def string(excitation, period, damping, loss):
    """Let a string ring.

    Parameters
    ----------
    excitation : np.ndarray, (samples,)
        what the finger or the plectrum puts in, as returned by `pluck`.
    period : np.ndarray, (samples,)
        the period in samples at each sample; longer than the low-pass's delay, damping / (1 - damping), by 4 or more.
    damping : np.ndarray, (samples,)
        pole of the one-pole low-pass in the loop, 0 (bright for ever) to below 1.
    loss : np.ndarray, (samples,)
        gain once around the loop, below 1.

    Returns
    -------
    np.ndarray, (samples,)

    See Also
    --------
    pole_of_decay : the damping that lets a partial die within a given time.
    """
    size = 1
    while size < period.max() + 8:
        size *= 2
    mask = size - 1
    line, out = np.zeros(size), np.empty(excitation.size)
    low = 0.0
    for n in range(excitation.size):
        pole = damping[n]
        delay = period[n] - pole / (1.0 - pole)  # the low-pass delays low frequencies by the difference
        whole = int(delay)
        d = delay - whole + 1.0  # 1 <= d < 2: between the two middle points of the four
        at = n - whole + 1
        a, b, c, e = line[at & mask], line[(at - 1) & mask], line[(at - 2) & mask], line[(at - 3) & mask]
        x = (
            a * (-(d - 1.0) * (d - 2.0) * (d - 3.0) / 6.0)
            + b * (d * (d - 2.0) * (d - 3.0) / 2.0)
            + c * (-d * (d - 1.0) * (d - 3.0) / 2.0)
            + e * (d * (d - 1.0) * (d - 2.0) / 6.0)
        )
        low = (1.0 - pole) * x + pole * low
        out[n] = line[n & mask] = excitation[n] + loss[n] * low
    return out


def pole_of_decay(frequency, decay, period, sample_rate):
    """The pole of the loop's low-pass that lets a partial at `frequency` decay to 1/e within `decay` seconds.

    Parameters
    ----------
    frequency : float
        in Hz.
    decay : float
        in seconds.
    period : float
        of the string, in samples.
    sample_rate : float
        in Hz.

    Returns
    -------
    float
    """
    gain2 = np.exp(-2.0 * period / sample_rate / decay)  # squared, once around the loop
    # |H|^2 = (1 - p)^2 / ((1 - p)^2 + 2 p (1 - cos w)) = gain2 is a quadratic in p
    bend = (1.0 - np.cos(2.0 * np.pi * frequency / sample_rate)) * gain2 / (1.0 - gain2)
    return float(1.0 + bend - np.sqrt(bend * (bend + 2.0)))


def pluck(noise, period, place, corner, roughness, sample_rate):
    """The excitation of a pluck: a short push, softened by the finger, combed by the place where it pulls the string.

    Parameters
    ----------
    noise : np.ndarray, (samples,)
        at least one period of white noise.
    period : float
        in samples.
    place : float
        where the string is plucked, as a fraction of its length from the bridge; harmonics with a node there are
        missing.
    corner : float
        in Hz; above it the finger (low) or plectrum (high) gives less.
    roughness : float
        fraction of noise in the push, 0 to 1: no two plucks are the same.
    sample_rate : float
        in Hz.

    Returns
    -------
    np.ndarray, (about two periods,)
        zero mean, unit RMS.
    """
    length = int(period)
    pole = np.exp(-2.0 * np.pi * corner / sample_rate)
    push = (1.0 - roughness) * np.sqrt(length) * unit_impulse(length) + roughness * noise[:length]
    push = lfilter([1.0 - pole], [1.0, -pole], push)
    push -= push.mean()
    lag = max(1, int(round(place * period)))
    burst = np.pad(push, (0, lag)) - 0.95 * np.pad(push, (lag, 0))
    return burst / (np.sqrt(np.mean(burst**2)) + 1e-12)

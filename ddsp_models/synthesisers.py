"""Differentiable synthesisers (Engel et al. 2020, https://openreview.net/forum?id=B1x1ma4tDr), all under one name.

Notebook: ddsp_models/ddsp_report.ipynb

Each comes as functions and as a Keras layer with two steps that can be called one by one: `controls` turns a network's
outputs into physical quantities (hertz, amplitudes), `signal` turns those into sound. Only `keras.ops` is used.
"""

from ddsp_models.filters import FilteredNoise, FIRFilter, Reverb, convolve, fir_filter, impulse_responses
from ddsp_models.framing import HOP_LENGTH, SAMPLE_RATE, exp_sigmoid, upsample
from ddsp_models.oscillators import (
    Harmonic,
    audible_f0,
    frame_phase,
    harmonic_oscillator,
    normalise_harmonics,
    sum_of_sines,
)

__all__ = [
    "HOP_LENGTH",
    "SAMPLE_RATE",
    "FilteredNoise",
    "FIRFilter",
    "Harmonic",
    "Reverb",
    "audible_f0",
    "convolve",
    "exp_sigmoid",
    "fir_filter",
    "frame_phase",
    "harmonic_oscillator",
    "impulse_responses",
    "normalise_harmonics",
    "sum_of_sines",
    "upsample",
]

"""Scores of one song as records for a result file."""

import math

import numpy as np

from audio_processing.metrics import frame_sdr, si_sdr, snr


def score_track(stems, estimates, sample_rate):
    """Compare estimates with the true stems.

    Parameters
    ----------
    stems, estimates : dict of np.ndarray
        true and estimated stems, (samples,) or (channels, samples). Sources without an estimate, and silent stems, are
        not scored.
    sample_rate : int
        in Hz.

    Returns
    -------
    records : list of dict
        "source", "metric" (si_sdr, snr, sdr), "unit", "value"; values that are not finite are left out.
    dropped : int
        frames that `sdr` could not count because some stem or estimate is silent in them.
    """
    scored = [source for source in stems if source in estimates and np.any(stems[source])]
    records = []

    def note(source, metric, value):
        if math.isfinite(value):
            records.append({"source": source, "metric": metric, "unit": "dB", "value": float(value)})

    for source in scored:
        note(source, "si_sdr", si_sdr(stems[source], estimates[source]))
        note(source, "snr", snr(stems[source], estimates[source]))
    if not scored:
        return records, 0
    frames = frame_sdr(np.stack([stems[s] for s in scored]), np.stack([estimates[s] for s in scored]), sample_rate)
    # a frame counts where every stem sounds, estimated by this system or not: all systems are scored on the same frames
    heard = np.stack([stem for stem in stems.values() if np.any(stem)])
    counted = ~np.isnan(frames).all(axis=0) & ~np.isnan(frame_sdr(heard, heard, sample_rate)).all(axis=0)
    for source, row in zip(scored, frames[:, counted]):
        note(source, "sdr", np.median(row) if row.size else np.nan)
    return records, int((~counted).sum())

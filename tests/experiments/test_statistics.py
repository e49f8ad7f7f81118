"""Averages over records, and paired differences of two systems."""

import pytest

from experiments import statistics


def test_sdr_is_averaged_by_the_median_and_other_metrics_by_the_mean():
    values = {"sdr": [0.0, 1.0, 8.0], "si_sdr": [0.0, 1.0, 8.0], "of no row": [0.0, 1.0, 8.0]}
    records = [
        {"system": "a", "source": source, "metric": metric, "value": value + shift}
        for metric, found in values.items()
        for value in found
        for source, shift in (("bass", 0.0), ("drums", 2.0))
    ]
    means = {metric: statistics.averages(records, metric) for metric in values}
    assert means["sdr"] == {("a", "bass"): 1.0, ("a", "drums"): 3.0, ("a", "mean"): 2.0}
    assert means["si_sdr"] == means["of no row"] == {("a", "bass"): 3.0, ("a", "drums"): 5.0, ("a", "mean"): 4.0}
    assert statistics.averages(records, "si_sdr", over="median") == means["sdr"]


def test_paired_difference_and_its_interval():
    records = [
        {"track": str(i), "system": system, "source": "bass", "metric": "snr", "value": i + shift}
        for i in range(20)
        for system, shift in (("a", 1.0 + 0.1 * (i % 2)), ("b", 0.0))
    ]
    row = statistics.difference_row(records, "snr", "a", "b")
    assert row["mean"] == pytest.approx(1.05) and 1.0 <= row["low"] < row["mean"] < row["high"] <= 1.1
    assert row["songs"] == row["ahead"] == 20
    alone = [{**r, "source": "drums", "value": 100.0} for r in records if r["system"] == "b"]
    assert statistics.difference_row(records + alone, "snr", "a", "b") == row  # a does not estimate drums
    one = statistics.difference_row([r for r in records if r["track"] == "3"], "snr", "a", "b")
    assert one["low"] is None and one["songs"] == 1
    with pytest.raises(ValueError, match="no song"):
        statistics.difference_row(records, "snr", "a", "c")

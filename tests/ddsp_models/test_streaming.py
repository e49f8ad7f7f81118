"""Synthesis by blocks: the same sound as in one piece, however it is cut."""

import numpy as np
import pytest

from ddsp_models import synthesisers as ds
from ddsp_models.streaming import stream
from tests.helpers import refused

FRAMES, BATCH = 57, 2


@pytest.fixture
def controls():
    rng = np.random.default_rng(0)
    f0 = 200 + 150 * np.sin(np.arange(FRAMES) / 9)[None, :, None] * np.array([1.0, 0.5])[:, None, None]
    f0[:, 20:25] = 0  # a rest
    amplitudes = rng.uniform(0, 0.1, (BATCH, FRAMES, 12)) * (f0 > 0)
    magnitudes = rng.uniform(0, 1, (BATCH, FRAMES, 65))
    return {"f0": f0, "amplitudes": amplitudes, "magnitudes": magnitudes}


def cut(controls, sizes):
    start = 0
    for size in sizes:
        yield {key: value[:, start : start + size] for key, value in controls.items()}
        start += size


def joined(controls, sizes, **options):
    return np.concatenate(list(stream(cut(controls, sizes), **options)), axis=1)


SIZES = ([57], [20, 20, 17], [1] * 57, [1, 50, 6])


@pytest.mark.parametrize("sizes", SIZES)
def test_harmonics_by_blocks_equal_the_whole(controls, sizes):
    del controls["magnitudes"]
    whole = np.asarray(ds.harmonic_oscillator(*(controls[key].astype(np.float32) for key in ("f0", "amplitudes"))))
    blocks = joined(controls, sizes)
    assert blocks.shape == whole.shape and blocks.dtype == np.float32
    np.testing.assert_array_equal(blocks, whole)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("bands", [65, 17, 130])
def test_noise_by_blocks_equals_the_whole(controls, sizes, bands):
    magnitudes = np.resize(controls["magnitudes"], (BATCH, FRAMES, bands)).astype(np.float32)
    noise = np.random.default_rng(5).uniform(-1, 1, (FRAMES * 64, BATCH)).T.astype(np.float32)
    whole = np.asarray(ds.fir_filter(noise, magnitudes))
    np.testing.assert_allclose(joined({"magnitudes": magnitudes}, sizes, seed=5), whole, atol=1e-5)


def test_all_parts_in_a_room_equal_the_whole(controls):
    room = 0.1 * np.random.default_rng(1).standard_normal(3000).astype(np.float32)
    whole = joined(controls, [FRAMES])
    expected = np.asarray(ds.Reverb(taps=3000).signal(whole, room))
    np.testing.assert_allclose(joined(controls, [5] * 11 + [2], room=room), expected, atol=1e-5)


def test_the_phase_stays_exact_for_minutes():
    frames = np.full((1, 250 * 120, 1), 123.456)
    controls = {"f0": frames, "amplitudes": np.full((1, 250 * 120, 1), 0.5)}
    blocks = list(stream(cut(controls, [1000] * 30)))
    n = np.arange(64 * (250 * 120 - 10), 64 * 250 * 120)
    turns = (n + 1) * np.float64(np.float32(123.456)) / 16000
    np.testing.assert_allclose(blocks[-1][0, -640:], 0.5 * np.sin(2 * np.pi * (turns % 1)), atol=1e-4)


def test_sound_begins_before_the_controls_end(controls):
    taken = []

    def watched():
        for block in cut(controls, [10] * 5 + [7]):
            taken.append(block)
            yield block

    next(stream(watched()))
    assert len(taken) == 2  # one block, and the one it leads to


@pytest.mark.parametrize("left_out", [("f0",), ("amplitudes",), ("f0", "amplitudes", "magnitudes")])
def test_blocks_of_other_parts_are_refused(controls, left_out):
    for key in left_out:
        del controls[key]
    refused("blocks: expected .* got frames", list, stream([controls]))


def test_parts_of_unequal_length_are_refused_and_no_blocks_are_no_sound(controls):
    controls["f0"] = controls["f0"][:, :-1]
    refused("'f0': 56", list, stream([controls]))
    assert list(stream([])) == []

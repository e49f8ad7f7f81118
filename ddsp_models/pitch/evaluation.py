"""Where do pitch trackers fail? python -m ddsp_models.pitch.evaluation [--voice FOLDER]

Every tracker of `pitch.METHODS` is asked about sounds whose pitch is known: test songs of the virtual band, a recorded
voice, and sounds that are made harder step by step (noise, other instruments, period doubling, jitter, breath, low
notes, vibrato, two notes at once). What they say goes to results/scores/pitch_trackers.json. CREPE is left out, not
counted as wrong, where its weights are missing.
"""

import argparse
import base64
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.signal import lfilter
from tqdm import tqdm

import virtual_band
from audio_processing.audio_processing import load, resample
from audio_processing.loudness import FRAME_RATE
from common import results
from common.files import sha256_of
from ddsp_models.pitch import crepe, tracking
from virtual_band import bass, voice
from virtual_band.dataset import songs_of
from virtual_band.form import Note

PATH = results.RESULTS / "scores" / "pitch_trackers.json"
RATE = crepe.SAMPLE_RATE
RANGE = {"bass": (32.7, 350.0), "vocals": (60.0, 1000.0), "tone": (40.0, 1000.0)}
"""Hz, in which all trackers look."""
EXCERPT = 4.0  # s
EVERY = {"pyin": 4}
"""Frames from one look to the next: pYIN is the slowest of all."""
ARTIST = 3
WHOLE = ("same_artist", "other_artist", "recorded_voice")
"""Test sets of music, for which everything is scored."""
UNITS = {
    "raw_pitch_accuracy": "0-1",
    "raw_chroma_accuracy": "0-1",
    "voicing_recall": "0-1",
    "voicing_false_alarm": "0-1",
    "seconds_per_second": "s",
}


# --- sounds whose pitch is known -------------------------------------------------------------------------------------


def band_clip(artist, number, source):
    """Four seconds of a stem of a test song at 16 kHz, the rest of its band, and f0 in Hz at 250 frames per second."""
    song = virtual_band.render_song(artist, number, 20.0, other=False)
    start = int(EXCERPT * song.sample_rate)
    cut = slice(start, 2 * start)
    stem, rest = (
        resample(audio.mean(axis=0)[cut], song.sample_rate, RATE)
        for audio in (song.stems[source], song.mixture - song.stems[source])
    )
    frames = int(EXCERPT * FRAME_RATE)
    return stem, rest, song.annotations[f"f0_{source}"][frames : 2 * frames]


def at_snr(stem, other, decibels):
    """A stem with another sound that is so many dB softer (where the stem sounds); inf leaves it out."""
    sounds = np.abs(stem) > 0.01 * np.abs(stem).max()
    power = np.mean(stem[sounds] ** 2) / np.mean(other**2)
    return (stem + np.sqrt(power) * 10 ** (-decibels / 20) * other).astype(np.float32)


def glottal_pulses(f0, seconds, *, weaker=0.0, jitter=0.0, breath=None, seed=0):
    """A voice as simple as it gets: pulses through three formants of the vowel a.

    Parameters
    ----------
    f0 : float
        in Hz.
    seconds : float
    weaker : float
        by how much every second pulse is weaker, 0 to 1: period doubling, as in a creaky voice.
    jitter : float
        standard deviation of the periods, as a share of one.
    breath : float, optional
        level of noise below the pulses, in dB.
    seed : int

    Returns
    -------
    audio : np.ndarray, (samples,), float32
        at 16 kHz.
    f0 : np.ndarray, (frames,)
        in Hz at 250 frames per second, without the jitter.
    """
    rng = np.random.default_rng(seed)
    periods = np.cumsum(RATE / f0 * (1 + jitter * rng.standard_normal(int(seconds * f0))))
    pulses = np.zeros(int(seconds * RATE) + 2)
    for n, at in enumerate(periods[periods < len(pulses) - 2]):
        whole, part = int(at), at - int(at)  # between two samples
        height = 1.0 - weaker * (n % 2)
        pulses[whole] += height * (1 - part)
        pulses[whole + 1] += height * part
    if breath is not None:
        noise = rng.standard_normal(len(pulses))
        pulses += 10 ** (breath / 20) * noise * np.sqrt(np.mean(pulses**2) / np.mean(noise**2))
    audio = lfilter([1.0], [1.0, -0.95], pulses)  # the glottis' own slope
    for formant, width in ((730, 80), (1090, 100), (2440, 130)):
        pole = np.exp(-np.pi * width / RATE + 2j * np.pi * formant / RATE)
        audio = lfilter([np.abs(1 - pole) ** 2], [1, -2 * pole.real, np.abs(pole) ** 2], audio)
    audio = audio[: int(seconds * RATE)]
    return (0.3 * audio / np.abs(audio).max()).astype(np.float32), np.full(int(seconds * FRAME_RATE), f0)


def sung_note(midi, seconds, **changes):
    """One vowel of the training artist's singer, some of whose `voice.Voice` settings are changed; see above."""
    singer = replace(virtual_band.artist(ARTIST).voice, **changes)
    audio, f0 = voice.render(
        [Note(0.1, seconds - 0.2, midi, 0.8, ".a")], singer, int(seconds * 44100), 44100, np.random.default_rng(0)
    )
    return _at_16k(audio, f0, seconds)


def bass_note(midi, seconds=1.0):
    """One plucked note of the training artist's bass; see above."""
    sound = virtual_band.artist(ARTIST).bass
    audio, f0 = bass.render(
        [Note(0.05, seconds - 0.15, midi, 0.9, "pluck")], sound, int(seconds * 44100), 44100, np.random.default_rng(0)
    )
    return _at_16k(audio, f0, seconds)


def _at_16k(audio, f0, seconds):
    at = np.round(np.arange(int(seconds * FRAME_RATE)) * 44100 / FRAME_RATE).astype(int)
    return resample(0.3 * (audio / np.abs(audio).max()).astype(np.float32), 44100, RATE), f0[at]


def chord(f0, ratios, seconds=1.0):
    """Tones of eight harmonics at f0 times each ratio, equally loud, and f0 as the pitch to be found."""
    t = np.arange(int(seconds * RATE)) / RATE
    audio = sum(np.sin(2 * np.pi * k * f0 * ratio * t) / k for ratio in ratios for k in range(1, 9))
    return (0.3 * audio / np.abs(audio).max()).astype(np.float32), np.full(int(seconds * FRAME_RATE), float(f0))


def conditions():
    """Sounds that get harder step by step.

    Yields
    ------
    test : str
        what is made harder.
    level : str
        how hard.
    source : str
        a key of `RANGE`.
    audio : np.ndarray, (samples,)
    f0 : np.ndarray, (frames,)
    """
    rng = np.random.default_rng(0)
    for source in ("vocals", "bass"):
        stem, rest, f0 = band_clip(ARTIST, 2_000_001, source)
        noise = rng.standard_normal(len(stem))
        for decibels in (40, 20, 10, 5, 0, -5, -10):
            yield "white_noise", f"{decibels} dB", source, at_snr(stem, noise, decibels), f0
        for decibels in (30, 20, 10, 5, 0, -5):
            yield "band", f"{decibels} dB", source, at_snr(stem, rest, decibels), f0
    for weaker in (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0):
        yield "period_doubling", f"{weaker:g}", "tone", *glottal_pulses(130.0, 1.5, weaker=weaker)
    for jitter in (0.0, 0.005, 0.01, 0.02, 0.05, 0.1):
        yield "jitter", f"{jitter:g}", "tone", *glottal_pulses(90.0, 1.5, jitter=jitter)
    for breath in (-40, -20, -10, -5, 0, 5, 10):
        yield "breath", f"{breath} dB", "tone", *glottal_pulses(220.0, 1.5, breath=breath)
    for midi in (23, 24, 26, 28, 31, 33, 36, 40):
        yield "low_notes", str(midi), "bass", *bass_note(midi)
    for depth in (0.0, 0.5, 1.0, 2.0, 3.0, 4.0):
        wide = {"vibrato_depth": depth, "vibrato_rate": 6.0, "vibrato_delay": 0.05, "drift": 0.0}
        yield "vibrato", f"{depth:g}", "vocals", *sung_note(62, 2.0, **wide)
    for name, ratios in {"octave": (1, 2), "fifth": (1, 3 / 2), "fourth": (1, 4 / 3), "third": (1, 5 / 4),
                         "major triad": (1, 5 / 4, 3 / 2)}.items():  # fmt: skip
        yield "two_notes", name, "tone", *chord(220.0, ratios)


# --- scores ----------------------------------------------------------------------------------------------------------


def score(test, level, source, audio, f0, methods):
    """Records of what each tracker says of one sound; see DESIGN's records. A value that is not defined is left out."""
    records, (low, high) = [], RANGE[source]
    for method in methods:
        begun = time.process_time()
        found = tracking.track_pitch(audio, RATE, method, fmin=low, fmax=high, every=EVERY.get(method, 1))
        seconds = (time.process_time() - begun) / (len(audio) / RATE)  # of processors: other work does not count
        n = min(len(f0), len(found.f0))
        truth, guess = f0[:n], found.f0[:n]
        recall, false_alarm = tracking.voicing_rates(truth, found.voiced[:n])
        values = {"raw_pitch_accuracy": tracking.raw_pitch_accuracy(truth, guess)}
        if test in WHOLE:
            values |= {
                "raw_chroma_accuracy": tracking.raw_chroma_accuracy(truth, guess),
                "voicing_recall": recall,
                "voicing_false_alarm": false_alarm,
                "seconds_per_second": seconds,
            }
        records += [
            {"test_set": test, "track": level, "system": method, "source": source,
             "metric": metric, "unit": UNITS[metric], "value": float(value)}
            for metric, value in values.items() if np.isfinite(value)
        ]  # fmt: skip
    return records


def example():
    """A phrase of the band's singer, 1.6 s at 16 kHz, its f0, and the first of its frames: what figures show."""
    stem, _, f0 = band_clip(ARTIST, 2_000_001, "vocals")
    start = int(np.convolve(f0 > 0, np.ones(400), "valid").argmax())  # the most voiced 1.6 s
    return stem[start * 64 : (start + 400) * 64], f0[start : start + 400]


def packed(salience):
    """CREPE's activations as text: every fourth frame, in 255 steps."""
    steps = np.round(255 * salience[::4]).astype(np.uint8)
    return {"shape": list(steps.shape), "bytes": base64.b64encode(steps.tobytes()).decode()}


def unpacked(text):
    """Activations in [0, 1], (frames / 4, 360), from `packed`."""
    steps = np.frombuffer(base64.b64decode(text["bytes"]), np.uint8)
    return steps.reshape(text["shape"]) / 255.0


def recorded_voice(folder):
    """vocadito's first song at 16 kHz and its hand-corrected f0 at the frames of this chapter."""
    audio, rate = load(folder / "vocadito_1.wav", mono=True)
    times, f0 = np.loadtxt(folder / "vocadito_1_f0.csv", delimiter=",").T
    audio = resample(audio, rate, RATE)
    centres = np.arange(len(audio) * FRAME_RATE // RATE) / FRAME_RATE
    middle = (times[1:] + times[:-1]) / 2
    return audio, f0[np.searchsorted(middle, centres)]


def main(arguments=None):
    """The command. Returns its exit status: 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m ddsp_models.pitch.evaluation", description=__doc__.split("\n")[0])
    parser.add_argument("--voice", type=Path, help="folder with vocadito_1.wav and vocadito_1_f0.csv (default: skip)")
    parser.add_argument("--to", type=Path, default=PATH, help="(default: results/scores/pitch_trackers.json)")
    options = parser.parse_args(arguments)
    methods, data, extra = list(tracking.METHODS), [], {}
    begun = time.time()
    try:
        data.append(crepe.weights_path("tiny"))
    except crepe.WeightsError as error:
        print(f"CREPE is not computed: {error}", file=sys.stderr)
        methods.remove("crepe")
    try:
        warm, truth = glottal_pulses(220.0, 0.5)
        score("warm_up", "", "tone", warm, truth, methods)  # compiles
        sounds = [
            (name, f"{artist} {number}", source, stem, f0)
            for name in ("same_artist", "other_artist")
            for artist, number in songs_of(name)
            for source in ("vocals", "bass")
            for stem, _, f0 in [band_clip(artist, number, source)]
        ]
        if options.voice:
            sounds.append(("recorded_voice", "vocadito_1", "vocals", *recorded_voice(options.voice)))
            data.append(options.voice / "vocadito_1.wav")
        sounds += conditions()
        records = [
            record
            for sound in tqdm(sounds, desc="pitch trackers", unit="sound", leave=False)
            for record in score(*sound, methods)
        ]
        if "crepe" in methods:
            salience, _ = crepe.activations(crepe.load_model("tiny"), example()[0], RATE // FRAME_RATE)
            extra["salience"] = packed(salience)
    except (ValueError, OSError) as error:
        print(f"ddsp_models.pitch.evaluation: {error}", file=sys.stderr)
        return 2
    config = {"range_hz": RANGE, "excerpt_seconds": EXCERPT, "every": EVERY, "crepe": "tiny"}
    head = results.head("pitch_trackers", config=config, seed=0, data=sha256_of(*data) if data else None)
    results.write(options.to, {**head, "seconds": round(time.time() - begun, 1), "records": records, **extra})
    print(f"wrote {options.to.relative_to(results.ROOT) if options.to.is_relative_to(results.ROOT) else options.to}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

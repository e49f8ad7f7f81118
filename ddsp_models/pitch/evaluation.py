"""Where do pitch trackers fail? python -m ddsp_models.pitch.evaluation [--voice FOLDER]

Notebook: ddsp_models/pitch_report.ipynb

Every tracker of `tracking.METHODS` estimates the pitch of sounds whose true pitch is known: test songs of the virtual
band, a recorded voice, and sounds that are made harder step by step (noise, other instruments, period doubling, jitter,
breath, low notes, vibrato, two notes at once). The scores go to results/scores/pitch_trackers.json. CREPE is left out,
not counted as wrong, if its weights are missing.
"""

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
from audio_processing.loudness import FRAME_RATE, frame_times
from common import results
from common.command import command
from common.files import sha256_of
from common.places import HERE
from ddsp_models.pitch import crepe, tracking
from virtual_band import bass, voice
from virtual_band.dataset import songs_of
from virtual_band.form import Note

PATH = HERE.results / "scores" / "pitch_trackers.json"
RATE = crepe.SAMPLE_RATE
BAND_RATE = 44100  # Hz, of the virtual band
RANGE = {"bass": (32.7, 350.0), "vocals": (60.0, 1000.0), "tone": (40.0, 1000.0)}  # Hz, for all trackers
EXCERPT = 4.0  # s
PHRASE = 400  # frames, 1.6 s: what figures show
EVERY = {"pyin": 4}  # it tracks every fourth frame only: pYIN is the slowest of all
ARTIST, SONG = 3, 2_000_001  # the training artist, and a song of the test set same_artist
PEAK = 0.3  # of the sounds made here


INTERVALS = {
    "octave": (1, 2),
    "fifth": (1, 3 / 2),
    "fourth": (1, 4 / 3),
    "third": (1, 5 / 4),
    "major triad": (1, 5 / 4, 3 / 2),
}


# --- sounds whose pitch is known -------------------------------------------------------------------------------------


def band_clip(artist, number, source):
    """Four seconds of a stem of a test song at 16 kHz, the rest of its band, and f0 in Hz at 250 frames per second."""
    song = virtual_band.render_song(artist, number, 20.0, other=False)
    start, first = int(EXCERPT * song.sample_rate), int(EXCERPT * FRAME_RATE)
    stem, rest = (
        resample(audio.mean(axis=0)[start : 2 * start], song.sample_rate, RATE)
        for audio in (song.stems[source], song.mixture - song.stems[source])
    )
    return stem, rest, song.annotations[f"f0_{source}"][first : 2 * first]


def at_snr(stem, other, decibels):
    """Mix a stem with another sound that is so many dB softer (while the stem sounds); inf leaves the other out."""
    power = np.mean(stem[np.abs(stem) > 0.01 * np.abs(stem).max()] ** 2) / np.mean(other**2)
    return (stem + np.sqrt(power) * 10 ** (-decibels / 20) * other).astype(np.float32)


def glottal_pulses(f0, seconds, *, weaker=0.0, jitter=0.0, breath=None, seed=0):
    """A source-filter voice in its simplest form: pulses through three formants of the vowel a.

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
        level of noise relative to the pulses, in dB.
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
        whole, part = int(at), at - int(at)  # a pulse lies between two samples
        pulses[whole : whole + 2] += (1.0 - weaker * (n % 2)) * np.array([1 - part, part])
    if breath is not None:
        noise = rng.standard_normal(len(pulses))
        pulses += 10 ** (breath / 20) * noise * np.sqrt(np.mean(pulses**2) / np.mean(noise**2))
    audio = lfilter([1.0], [1.0, -0.95], pulses)  # the slope of a glottal pulse's spectrum
    for formant, width in ((730, 80), (1090, 100), (2440, 130)):  # Hz, of the vowel a (Peterson & Barney 1952)
        pole = np.exp(-np.pi * width / RATE + 2j * np.pi * formant / RATE)
        audio = lfilter([np.abs(1 - pole) ** 2], [1, -2 * pole.real, np.abs(pole) ** 2], audio)
    return _steady(audio[: int(seconds * RATE)], f0, seconds)


def sung_note(midi, seconds, **changes):
    """One vowel by the training artist's singer, with some settings of `voice.Voice` changed: as `glottal_pulses`."""
    singer = replace(virtual_band.artist(ARTIST).voice, **changes)
    return _rendered(voice, Note(0.1, seconds - 0.2, midi, 0.8, ".a"), singer, seconds)


def bass_note(midi, seconds=1.0):
    """One plucked note of the training artist's bass: as `glottal_pulses`."""
    return _rendered(bass, Note(0.05, seconds - 0.15, midi, 0.9, "pluck"), virtual_band.artist(ARTIST).bass, seconds)


def _rendered(instrument, note, settings, seconds):
    """A note of the virtual band at 16 kHz, and its f0."""
    audio, f0 = instrument.render([note], settings, int(seconds * BAND_RATE), BAND_RATE, np.random.default_rng(0))
    at = np.round(np.arange(int(seconds * FRAME_RATE)) * BAND_RATE / FRAME_RATE).astype(int)
    return resample(PEAK * (audio / np.abs(audio).max()).astype(np.float32), BAND_RATE, RATE), f0[at]


def chord(f0, ratios, seconds=1.0):
    """Tones of eight harmonics at f0 times each ratio, equally loud, and f0 as the pitch to be estimated."""
    t = np.arange(int(seconds * RATE)) / RATE
    audio = sum(np.sin(2 * np.pi * k * f0 * ratio * t) / k for ratio in ratios for k in range(1, 9))
    return _steady(audio, f0, seconds)


def _steady(audio, f0, seconds):
    """A sound of constant pitch at its peak level, and its f0 in every frame."""
    return (PEAK * audio / np.abs(audio).max()).astype(np.float32), np.full(int(seconds * FRAME_RATE), float(f0))


# What is made harder: the kind of sound, steps of difficulty, how a step is written, and the sound at each step.
LADDERS = {
    "period_doubling": (
        "tone", (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0), "{:g}", lambda x: glottal_pulses(130.0, 1.5, weaker=x)
    ),
    "jitter": ("tone", (0.0, 0.005, 0.01, 0.02, 0.05, 0.1), "{:g}", lambda x: glottal_pulses(90.0, 1.5, jitter=x)),
    "breath": ("tone", (-40, -20, -10, -5, 0, 5, 10), "{} dB", lambda x: glottal_pulses(220.0, 1.5, breath=x)),
    "low_notes": ("bass", (23, 24, 26, 28, 31, 33, 36, 40), "{}", bass_note),
    "vibrato": (
        "vocals", (0.0, 0.5, 1.0, 2.0, 3.0, 4.0), "{:g}",
        lambda x: sung_note(62, 2.0, vibrato_depth=x, vibrato_rate=6.0, vibrato_delay=0.05, drift=0.0),
    ),
    "two_notes": ("tone", tuple(INTERVALS), "{}", lambda name: chord(220.0, INTERVALS[name])),
}  # fmt: skip
# The same for sounds that are added to a stem, in dB of signal-to-noise ratio.
NOISES = {"white_noise": (40, 20, 10, 5, 0, -5, -10), "band": (30, 20, 10, 5, 0, -5)}


def conditions():
    """Sounds that get harder step by step.

    Yields
    ------
    test : str
        what is made harder, a key of `NOISES` or `LADDERS`.
    level : str
        by how much.
    source : str
        a key of `RANGE`.
    audio : np.ndarray, (samples,)
    f0 : np.ndarray, (frames,)
    """
    rng = np.random.default_rng(0)
    for source in ("vocals", "bass"):
        stem, rest, f0 = band_clip(ARTIST, SONG, source)
        added = {"white_noise": rng.standard_normal(len(stem)), "band": rest}
        for test, steps in NOISES.items():
            for decibels in steps:
                yield test, f"{decibels} dB", source, at_snr(stem, added[test], decibels), f0
    for test, (source, steps, label, sound) in LADDERS.items():
        for step in steps:
            yield test, label.format(step), source, *sound(step)


# --- scores ----------------------------------------------------------------------------------------------------------


def score(test, level, source, audio, f0, methods):
    """Score every tracker on one sound: records as in DESIGN. A value that is not defined is left out."""
    records, (low, high) = [], RANGE[source]
    for method in methods:
        start = time.process_time()
        pitch = tracking.track_pitch(audio, RATE, method, fmin=low, fmax=high, every=EVERY.get(method, 1))
        seconds = (time.process_time() - start) / (len(audio) / RATE)  # of processors: other work does not count
        n = min(len(f0), len(pitch.f0))
        reference, estimate = f0[:n], pitch.f0[:n]
        values = {"raw_pitch_accuracy": tracking.raw_pitch_accuracy(reference, estimate)}
        if test in ("same_artist", "other_artist", "recorded_voice"):  # of music, with all metrics
            recall, false_alarm = tracking.voicing_rates(reference, pitch.voiced[:n])
            values |= {
                "raw_chroma_accuracy": tracking.raw_chroma_accuracy(reference, estimate),
                "voicing_recall": recall,
                "voicing_false_alarm": false_alarm,
                "seconds_per_second": seconds,
            }
        names = {"test_set": test, "track": level, "system": method, "source": source}
        records += [
            {**names, "metric": metric, "unit": "s" if metric == "seconds_per_second" else "0-1", "value": float(value)}
            for metric, value in values.items()
            if np.isfinite(value)
        ]
    return records


def example():
    """A phrase of the band's singer for figures: 1.6 s at 16 kHz, and its f0."""
    stem, _, f0 = band_clip(ARTIST, SONG, "vocals")
    start, hop = int(np.convolve(f0 > 0, np.ones(PHRASE), "valid").argmax()), RATE // FRAME_RATE  # the most voiced one
    return stem[start * hop : (start + PHRASE) * hop], f0[start : start + PHRASE]


def packed(salience):
    """CREPE's activations as text: every fourth frame, in 255 steps."""
    steps = np.round(255 * salience[::4]).astype(np.uint8)
    return {"shape": list(steps.shape), "bytes": base64.b64encode(steps.tobytes()).decode()}


def unpacked(text):
    """Activations in [0, 1], (frames / 4, 360), from `packed`."""
    return np.frombuffer(base64.b64decode(text["bytes"]), np.uint8).reshape(text["shape"]) / 255.0


def recorded_voice(folder):
    """The first song of vocadito (Bittner et al. 2021), a singer by herself.

    Returns
    -------
    audio : np.ndarray, (samples,)
        at 16 kHz.
    times, f0 : np.ndarray, (points,)
        the hand-corrected annotation, in s and Hz (0 = unvoiced).
    """
    audio, rate = load(folder / "vocadito_1.wav", mono=True)
    return resample(audio, rate, RATE), *np.loadtxt(folder / "vocadito_1_f0.csv", delimiter=",").T


def _sounds(voice):
    """Everything that is scored: test set, track, source, sound and f0; `voice` is a folder or None."""
    for name in ("same_artist", "other_artist"):
        for artist, number in songs_of(name):
            for source in ("vocals", "bass"):
                stem, _, f0 = band_clip(artist, number, source)
                yield name, f"{artist} {number}", source, stem, f0
    if voice:
        audio, times, f0 = recorded_voice(voice)
        nearest = np.searchsorted((times[1:] + times[:-1]) / 2, frame_times(len(audio), RATE))
        yield "recorded_voice", "vocadito_1", "vocals", audio, f0[nearest]
    yield from conditions()


def evaluate(out=PATH, voice=None):
    """Score all trackers on all sounds and write the result file, which is returned in a list; `voice` is a folder."""
    methods, extra, start = list(tracking.METHODS), {}, time.time()
    data = [voice / "vocadito_1.wav"] if voice else []
    try:
        data.insert(0, crepe.weights_path("tiny"))
        salience, _ = crepe.activations(crepe.load_model("tiny"), example()[0], RATE // FRAME_RATE)
        extra["salience"] = packed(salience)
    except crepe.WeightsError as error:
        print(f"CREPE is left out: {error}", file=sys.stderr)
        methods.remove("crepe")
    score("warm_up", "", "tone", *glottal_pulses(220.0, 0.5), methods)  # compiles
    sounds = tqdm(list(_sounds(voice)), desc="pitch trackers", unit="sound", leave=False)
    records = [record for sound in sounds for record in score(*sound, methods)]
    head = results.head(
        "pitch_trackers",
        config={"range_hz": RANGE, "excerpt_seconds": EXCERPT, "every": EVERY, "crepe": "tiny"},
        seed=0,
        data=sha256_of(*data) if data else None,
    )
    results.write(out, {**head, "seconds": round(time.time() - start, 1), "records": records, **extra})
    return [out]


def main(arguments=None):
    """The command. Returns its exit status: 0, or 2 with one line on stderr."""
    return command(
        "ddsp_models.pitch.evaluation",
        __doc__,
        evaluate,
        {
            "--voice": {"type": Path, "help": "folder with vocadito_1.wav and vocadito_1_f0.csv (default: skip)"},
            "--out": {"type": Path, "default": PATH, "help": "(default: results/scores/pitch_trackers.json)"},
        },
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())

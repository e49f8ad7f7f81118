"""What several tests share: tiny data, tiny networks, files as programs write them. Keras is imported where used."""

import csv
import importlib.util
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_processing.audio_processing import save
from audio_processing.chunks import Separator
from audio_processing.tracks import SOURCES
from common.files import sha256_of

ROOT = Path(__file__).resolve().parent.parent
CONV_TASNET = {"N": 8, "L": 8, "B": 4, "H": 6, "P": 3, "X": 2, "R": 1, "Sc": 4}
"""Sizes of a Conv-TasNet that trains in a second."""
TWELVE_STEPS = {"seconds": 0.25, "batch_size": 2, "steps": 12, "steps_per_epoch": 3, "warmup": 3}
"""Settings of its training."""
ANALYSIS = {
    "n_fft": 1024, "hop": 128, "octaves": 7.0, "channels": 12, "hidden": 8, "dilations": (1, 2), "filters": 2,
    "harmonic_bands": 8, "noise_bands": 6, "bands": 12,
}  # fmt: skip
"""Sizes of an analysis network that trains in a second."""
REFINEMENT = {**ANALYSIS, "filters_2d": 4, "reach": ((1, 1), (2, 2))}
"""Sizes of the network that refines its masks."""
DECODER = {"channels": 8, "depth": 1, "n_bands": 9, "room_taps": 0, "noise_samples": 1024}
"""Settings of a decoder that trains in a second."""

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


def refused(words, function, *arguments, error=ValueError, **options):
    """Check that a call raises an error whose message holds these words, a regular expression; returns the message."""
    with pytest.raises(error, match=words) as caught:
        function(*arguments, **options)
    return str(caught.value)


def hearing_ctrl_c():
    """For a process that is started: a background job, and so its children, would not notice SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def one_line(capsys):
    """What was said on standard error, which is one line."""
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return said


def clips_in(page):
    """The sounds that a page holds: (samples, channels) and sample rate of each."""
    found = re.findall(r"audio/\w+;base64,([^\"]+)", page)
    return [soundfile.read(BytesIO(b64decode(clip)), always_2d=True) for clip in found]


def stacked(stems):
    """Stems as one array: (source, …)."""
    return np.stack(list(stems.values()))


def array(tensor):
    """A tensor of any backend as an array."""
    from keras import ops

    return ops.convert_to_numpy(tensor)


def untrained(make, *arguments, seed=1, shape=None):
    """A network or layer, built for a shape, with the weights of a seed."""
    import keras

    keras.utils.set_random_seed(seed)
    model = make(*arguments)
    model.build(shape)
    return model


def reloaded(model, folder):
    """A model as it comes back from a file, in safe mode."""
    import keras

    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=True)


def small_decoder(source, seed=0, **settings):
    """An untrained decoder of a source."""
    from ddsp_models import autoencoder, features

    struck = DECODER | {"inputs": features.STRUCK, "n_harmonics": 0}
    pitched = DECODER | {"inputs": features.PITCHED, "n_harmonics": 12, "outline": True}
    sizes = autoencoder.Settings(**(struck if source == "drums" else pitched) | settings)
    return untrained(autoencoder.Decoder, sizes, seed=seed, shape={})


def gradients(function, *values):
    """Gradients of a scalar function with respect to each of its arguments, on the backend that runs."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tensors = [tf.constant(value) for value in values]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            result = function(*tensors)
        return [array(gradient) for gradient in tape.gradient(result, tensors)]
    if backend == "jax":
        import jax

        arguments = map(keras.ops.array, values)
        return [array(gradient) for gradient in jax.grad(function, argnums=tuple(range(len(values))))(*arguments)]
    tensors = [keras.ops.convert_to_tensor(value).requires_grad_() for value in values]
    function(*tensors).backward()
    return [tensor.grad.numpy() for tensor in tensors]


def noise(*shape, seed=0):
    """Standard normal noise, float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def tone(f0, seconds=1.0, sample_rate=16000, harmonics=10):
    """A sum of sines at multiples of f0 (Hz), all of amplitude 1: float32, (samples,)."""
    t = np.arange(int(seconds * sample_rate)) / sample_rate
    return sum(np.sin(2 * np.pi * k * f0 * t) for k in range(1, harmonics + 1)).astype(np.float32)


def trio(seconds=8.0, bass=110.0, voice=440.0, clicks=8000):
    """Stems of a song at 16 kHz: a click every so many samples, a bass and a voice that hold one note."""
    drums = np.zeros(int(seconds * 16000), np.float32)
    drums[::clicks] = 0.5
    return {"drums": drums, "bass": 0.05 * tone(bass, seconds), "vocals": 0.02 * tone(voice, seconds)}


class Halves(Separator):
    """A stand-in separator, exact and fast: one third of the mixture here, one half there."""

    sources, sample_rate, chunk_seconds = ("third", "half"), 16000, 0.5

    def separate_chunk(self, chunk, sample_rate):
        return np.stack([chunk / 3, chunk / 2])


def make_song(bass=110.0, voice=440.0, seconds=2.0):
    """A training song of the analysis network: `trio` and its f0; the voice is unvoiced in the first half."""
    from ddsp_models.separation import song_crops

    stems = trio(seconds, bass, voice, clicks=4000)
    frames = int(seconds * 250)
    f0 = np.tile(np.array([[bass, voice]], np.float32), (frames, 1))
    f0[: frames // 2, 1] = 0.0
    return song_crops.Song.from_stems(stacked(stems), f0, tuple(stems), ("bass", "vocals"))


def some_features(names, frames=30, batch=2, seed=0):
    """Random features of a decoder: name → (batch, frames, channels)."""
    from ddsp_models.features import CHANNELS

    ranges = {"f0": (100, 300), "voiced": (0, 1), "loudness": (-60, -10), "onset": (0, 1), "bands": (-60, -10)}
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(*ranges[name], (batch, frames, CHANNELS[name])).astype(np.float32) for name in names}


def make_tree(root, *, songs=2, seconds=2.0, sample_rate=16000, subset="train", channels=2, seed=0):
    """A tiny dataset in MUSDB18-HQ layout: stems of noise, `songs` of them."""
    sounds = 0.1 * noise(songs, len(SOURCES), channels, int(seconds * sample_rate), seed=seed)
    for i, stems in enumerate(sounds):
        save_song(root / subset / f"Artist - Song {i}", dict(zip(SOURCES, stems)), sample_rate)
    return root


def save_song(folder, stems, sample_rate):
    """Write a song as MUSDB18-HQ has it: its stems, and their sum as the mixture."""
    for name, audio in {**stems, "mixture": sum(stems.values())}.items():
        save(folder / f"{name}.wav", audio, sample_rate)


def stem_file(path, folder, sources=("mixture", *SOURCES), options=()):
    """Write what MUSDB18's own files are: several sounds in one mp4, coded with AAC."""
    inputs = [word for source in sources for word in ("-i", str(folder / f"{source}.wav"))]
    maps = [word for i in range(len(sources)) for word in ("-map", str(i))]
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["ffmpeg", "-v", "error", "-y", *inputs, *maps, "-c:a", "aac", "-b:a", "256k", *options, str(path)]
    subprocess.run(command, check=True)
    return path


def export(model, folder, name, **record):
    """Save a model as FOLDER/NAME.keras, and beside it the record that names its checksum; returns the folder."""
    model.save(folder / f"{name}.keras")
    record = {"sha256": sha256_of(folder / f"{name}.keras"), **record}
    (folder / f"{name}.json").write_text(json.dumps(record))
    return folder


def curve(run):
    """(loss, validation loss) of every epoch in a run's log."""
    with open(run / "log.csv", newline="") as file:
        return [(float(row["loss"]), float(row["val_loss"])) for row in csv.DictReader(file)]


def run_module(name, *arguments):
    """Run `python -m NAME …` in this process; returns its exit status."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_module(name, run_name="__main__")
    return end.value.code


def process(backend, script, *arguments, **environment):
    """Run a script on a Keras backend in a process of its own and return what it prints; skip without the backend."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, **environment}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def write_study(write_results, model, minutes, lead=0.0, size="middle", long=False, **about):
    """Write a study of three songs, as `write_results` does: SI-SDR rises with minutes, and by half a dB if `long`."""
    songs = np.arange(3.0) + minutes + lead + 0.5 * long - (size == "small")
    home, away = ({"bass": {"si_sdr": x.tolist()}} for x in (songs, songs - 6))
    records = recorded(model, home) + recorded(model, away, test_set="other_artist")
    config = {"model": model, "minutes": minutes, "size": size, "seed": 0, "long": long}
    write_results(f"studies/{model}-{minutes}-{size}-{long}.json", records, config=config, parameters=1000, **about)


def recorded(system, scores, **fields):
    """Records of a result file: source → metric → a value per song; `fields` are the same in all."""
    return [
        {"test_set": "same_artist", "track": f"song {i}", "system": system, "source": source, "metric": metric}
        | {"unit": "dB", "value": value}
        | fields
        for source, metrics in scores.items()
        for metric, songs in metrics.items()
        for i, value in enumerate(songs)
    ]

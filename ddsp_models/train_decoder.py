"""Train a decoder: python -m ddsp_models.train_decoder NAME [--steps N …]

NAME is band-drums, band-bass or band-vocals (the virtual band's training artist), heard-drums, -bass or -vocals (the
same, which go on with what a listener hears in mixtures), air_traffic-drums, -bass or -vocals (the first two minutes of
a recorded song, whose folder AIR_TRAFFIC_PATH names), or band-vocals@tiny, the paper's small recurrent decoder.
Stopped at any moment, the same command goes on from the last epoch. The best weights on the validation songs go to
`ddsp_models/trained/`, the curve to `results/training/`.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from audio_processing.audio_processing import load
from audio_processing.recorded_song import SONG_PARTS, song_path
from audio_processing.tracks import tracks
from common import results
from common.files import atomic_path, sha256_of
from ddsp_models import features as feature
from ddsp_models.autoencoder import PRESETS, WEIGHTS, Decoder, ResynthesisLoss, Settings, load_decoder
from ddsp_models.drums import resonances
from ddsp_models.even_noise import even_noise
from training.loop import Clock, check_settings, fit, keep_settings, ship

BAND = results.ROOT / "data" / "virtual_band"
TRAINING_SONGS, VALIDATION_SONGS = ("one_artist", "train"), ("validation", "test")


@dataclass(frozen=True)
class Training:
    """How a decoder was trained; saved beside its weights.

    Parameters
    ----------
    seconds : float
        length of a training crop.
    batch_size : int
        crops in a step.
    steps, steps_per_epoch : int
        gradient steps in all, and between two looks at the validation songs (and two checkpoints).
    learning_rate : float
        of Adam, at its highest: a linear warm-up leads there, a cosine leads away from it.
    warmup : int
        steps of the warm-up.
    clip_norm : float
        longest gradient, over all weights together.
    loudness_weight : float
        of the distance in loudness (dB) beside the spectral loss.
    start : str
        name of a shipped decoder of the same sizes whose weights to begin with; "" for none.
    seed : int
        of weights, crops and their order.
    patience : int
        training ends after so many looks at the validation songs that found nothing better; 0 for never.
    """

    seconds: float = 1.0
    batch_size: int = 4
    steps: int = 2500
    steps_per_epoch: int = 250
    learning_rate: float = 3e-3
    warmup: int = 50
    clip_norm: float = 3.0
    loudness_weight: float = 0.1
    start: str = ""
    seed: int = 0
    patience: int = 0

    def to_dict(self):
        """The fields as plain types."""
        return dataclasses.asdict(self)


BASS = dataclasses.replace(
    PRESETS["conv"],
    channels=128,
    scale=feature.LISTENING["bass"]["scale"],
    n_harmonics=128,
    restart_cents=30.0,
    gate=True,
)
"""A low string has partials up to 5 kHz, and begins anew with every pluck."""
VOICE = dataclasses.replace(PRESETS["conv"], gate=True)
RECORDED_BASS = dataclasses.replace(BASS, restart_cents=0.0, gate=False)
"""A tracker's pitch leaps for other reasons than plucks, and a recording's pauses are not those of the band."""
LONG = Training(steps=6000, steps_per_epoch=500)
HEARD = Training(steps=5000, steps_per_epoch=500, learning_rate=2e-3)
MODELS = {
    # name: source, settings, training
    "band-drums": ("drums", PRESETS["drums"], LONG),
    "band-bass": ("bass", BASS, LONG),
    "band-vocals": ("vocals", VOICE, dataclasses.replace(LONG, steps=9000)),
    "heard-drums": ("drums", PRESETS["drums"], dataclasses.replace(HEARD, start="band-drums")),
    "heard-bass": ("bass", BASS, dataclasses.replace(HEARD, start="band-bass")),
    "heard-vocals": ("vocals", VOICE, dataclasses.replace(HEARD, start="band-vocals")),
    "air_traffic-drums": (
        "drums",
        PRESETS["drums"],
        Training(steps=500, learning_rate=2e-3, start="band-drums"),
    ),
    "air_traffic-bass": ("bass", RECORDED_BASS, Training(steps=500, learning_rate=2e-3, start="band-bass")),
    "air_traffic-vocals": ("vocals", PRESETS["conv"], Training(steps=500, learning_rate=2e-3, start="band-vocals")),
    "band-vocals@tiny": (
        "vocals",
        dataclasses.replace(PRESETS["tiny"], inputs=feature.PITCHED, noise_samples=32768, outline=True),
        Training(),
    ),
}


# --- examples --------------------------------------------------------------------------------------------------------


def band_examples(source, songs, folder=BAND):
    """Features and sound of one source of the virtual band's songs.

    Parameters
    ----------
    source : str
    songs : (str, str)
        set and subset, such as ("one_artist", "train").
    folder : str or Path
        of the sets.

    Returns
    -------
    list of (dict of np.ndarray, np.ndarray)
        per song what `features.song_features` gives.
    """
    found = tracks(Path(folder) / songs[0], songs[1])
    return [feature.song_features(s, source) for s in tqdm(found, desc=f"{source} features", unit="song", leave=False)]


def song_examples(source, part, path=None):
    """Features and sound of one source of a part of the recorded song, pitch as CREPE or pYIN hears it.

    Parameters
    ----------
    source : str
    part : {"train", "validation", "test"}
    path : str or Path, optional
        folder with the stems as sound files, each named after its source.

    Returns
    -------
    list of (dict of np.ndarray, np.ndarray)
        one.
    """
    file = _stem_file(song_path(path), source)
    audio, rate = load(file, sample_rate=feature.SAMPLE_RATE, mono=True)
    start, stop = SONG_PARTS[part]
    audio = audio[start * rate : None if stop is None else stop * rate]
    sound = feature.heard(audio, rate)
    if source == "drums":
        return [(feature.drum_features(audio, rate), sound)]
    return [(feature.pitched_features(audio, rate, **feature.LISTENING[source]), sound)]


def _stem_file(folder, source):
    return sorted(folder.glob(f"{source}.*"))[0]


def examples(name, part, data=BAND, song=None):
    """Examples of a model's training or validation part.

    Parameters
    ----------
    name : str
        of `MODELS`.
    part : {"train", "validation"}
    data, song : str or Path, optional
        folders of the virtual band's sets and of the recorded song's stems.
    """
    source = MODELS[name][0]
    songs = TRAINING_SONGS if part == "train" else VALIDATION_SONGS
    if name.startswith("band-"):
        return band_examples(source, songs, data)
    if name.startswith("heard-"):
        from ddsp_models.separation.estimated_features import REMIXES, heard_examples

        return heard_examples(source, Path(data) / songs[0], songs[1], REMIXES if part == "train" else 0)
    return song_examples(source, part, song)


def checksum(name, data=BAND, song=None):
    """SHA-256 of what a model learns from, begins with and is validated on: sound files, and weights that ship."""
    source, _, training = MODELS[name]
    files = [WEIGHTS / f"{training.start}.keras"] if training.start else []
    if name.startswith("air_traffic-"):
        return sha256_of(*files, _stem_file(song_path(song), source))
    songs = [s for root, subset in (TRAINING_SONGS, VALIDATION_SONGS) for s in tracks(Path(data) / root, subset)]
    if name.startswith("heard-"):
        from ddsp_models.separation.estimated_features import LISTENER

        files += [WEIGHTS / f"separator-{LISTENER}.keras", *[path for s in songs for path in s.files()]]
        return sha256_of(*files)
    return sha256_of(*files, *[s.path / f"{source}.wav" for s in songs])


class ProcessorClock(Clock):
    """A `Clock` that also logs the processor's seconds, which other programs on the machine do not lengthen."""

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self.processor_begun = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        path = self.path.with_name("processor_seconds.txt")
        before = float(path.read_text()) if path.exists() and epoch else 0.0
        logs["processor_seconds"] = before + time.process_time() - self.processor_begun
        with atomic_path(path) as temporary:
            temporary.write_text(str(logs["processor_seconds"]))


class Crops(keras.utils.PyDataset):
    """Batches of random crops; each is drawn from (seed, epoch, number in the epoch) alone.

    Parameters
    ----------
    songs : list of (dict of np.ndarray, np.ndarray)
        features and sound; each at least a crop long.
    inputs : tuple of str
        the features that the decoder listens to.
    training : Training

    Notes
    -----
    `crops[i]` is (features (batch, frames, channels), sound (batch, frames · 64)).
    """

    def __init__(self, songs, inputs, training):
        super().__init__()
        self.frames = round(training.seconds * feature.SAMPLE_RATE) // feature.HOP_LENGTH
        short = [i for i, (_, sound) in enumerate(songs) if len(sound) < self.frames * feature.HOP_LENGTH]
        if short or not songs:
            raise ValueError(f"songs: at least one, of {training.seconds} s or more each, expected; too short: {short}")
        self.songs, self.inputs, self.training = songs, inputs, training
        self.epoch = 0

    def __len__(self):
        return self.training.steps_per_epoch

    def __getitem__(self, index):
        rng = np.random.default_rng((self.training.seed, self.epoch, index))
        chosen = []
        for _ in range(self.training.batch_size):
            features, sound = self.songs[rng.integers(len(self.songs))]
            start = rng.integers(len(sound) // feature.HOP_LENGTH - self.frames + 1)
            chosen.append(cut(features, sound, start, self.frames, self.inputs))
        return stack(chosen)


def cut(features, sound, start, frames, inputs):
    """The `frames` frames from `start` on: features by name, and sound."""
    span = slice(start * feature.HOP_LENGTH, (start + frames) * feature.HOP_LENGTH)
    return {name: features[name][start : start + frames] for name in inputs}, sound[span]


def stack(cuts):
    """Several of `cut` as a batch."""
    features = {name: np.stack([one[name] for one, _ in cuts]) for name in cuts[0][0]}
    return features, np.stack([sound for _, sound in cuts])


def fixed_crops(songs, inputs, seconds=4.0):
    """The songs in consecutive crops, as a batch: for validation and scores. What is left at an end is not used."""
    frames = round(seconds * feature.SAMPLE_RATE) // feature.HOP_LENGTH
    return stack([
        cut(features, sound, start, frames, inputs)
        for features, sound in songs
        for start in range(0, len(sound) // feature.HOP_LENGTH - frames + 1, frames)
    ])  # fmt: skip


def statistics(songs, inputs):
    """How the training songs' features are spread where there is sound: what another sound is brought to before it is
    played by a decoder.

    Parameters
    ----------
    songs : list of (dict of np.ndarray, np.ndarray)
    inputs : tuple of str

    Returns
    -------
    dict
        per feature {"mean": list, "std": list}, one number per channel, over the frames louder than -60 dB; of f0 in
        octaves above 1 Hz over the voiced ones.
    """
    joined = {name: np.concatenate([features[name] for features, _ in songs]) for name in (*inputs, "loudness")}
    found = {}
    for name in inputs:
        counts = joined["loudness"][:, 0] > -60
        value = joined[name]
        if name == "f0":
            counts &= (joined["voiced"][:, 0] > 0) & (value[:, 0] > 0)
            value = np.log2(np.maximum(value, 1.0))
        value = value[counts] if counts.any() else value
        found[name] = {"mean": value.mean(axis=0).tolist(), "std": value.std(axis=0).tolist()}
    return found


# --- training --------------------------------------------------------------------------------------------------------


def prepared(settings, songs, start=""):
    """A decoder before training: its noise made even, its modes where the training songs ring.

    Parameters
    ----------
    settings : Settings
    songs : list of (dict of np.ndarray, np.ndarray)
    start : str
        name of a shipped decoder of the same sizes to begin with.

    Returns
    -------
    Decoder
    """
    model = Decoder(settings)
    model.build({name: (None, None, feature.CHANNELS[name]) for name in settings.inputs})
    if start:
        model.set_weights(load_decoder(start)[0].get_weights())
    elif settings.noise_samples:
        model.loop.assign(even_noise(settings.noise_samples))
    if settings.n_modes:
        sound = np.concatenate([sound for _, sound in songs])
        model.modes.frequencies.assign(resonances(sound, settings.n_modes))
    return model


def train(name, settings, training, run, data=BAND, song=None):
    """Fit one decoder, resuming what `run` holds, and keep its best weights there.

    Parameters
    ----------
    name : str
        of `MODELS`.
    settings : Settings
    training : Training
    run : Path
        folder of this run: checkpoints, log, best weights.
    data, song : str or Path, optional
        folders of the virtual band's sets and of the recorded song's stems.

    Returns
    -------
    Decoder
        with the best weights on the validation songs.
    """
    songs = examples(name, "train", data, song)
    validation = fixed_crops(examples(name, "validation", data, song), settings.inputs)
    keep_settings(run, settings, training, check_settings(run / "settings.json", settings, training))
    with atomic_path(run / "statistics.json") as temporary:
        temporary.write_text(json.dumps(statistics(songs, settings.inputs)))
    keras.utils.set_random_seed(training.seed)
    crops = Crops(songs, settings.inputs, training)
    model = prepared(settings, songs, training.start)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, training.steps - training.warmup, warmup_target=training.learning_rate, warmup_steps=training.warmup
    )
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, global_clipnorm=training.clip_norm),
        loss=ResynthesisLoss(training.loudness_weight),
        jit_compile=keras.backend.backend() != "torch",
    )
    best = fit(model, crops, validation, training, run, clock=ProcessorClock)
    return keras.saving.load_model(best, compile=False)


def is_current(name, settings, training, data=BAND, song=None, weights=WEIGHTS):
    """Whether the shipped weights are intact and were trained with these settings on these songs."""
    try:
        record = json.loads((weights / f"{name}.json").read_text())
        intact = sha256_of(weights / f"{name}.keras") == record["sha256"]
    except (OSError, ValueError, KeyError):
        return False
    wanted = json.loads(json.dumps([training.to_dict(), settings.to_dict()]))
    try:  # a field that is younger than the weights was at its default
        found = [Training(**record["training"]).to_dict(), Settings(**record["settings"]).to_dict()]
    except (KeyError, TypeError, ValueError):
        return False
    same = json.loads(json.dumps(found)) == wanted
    return intact and same and record.get("data") == checksum(name, data, song)


def publish(name, settings, training, run, data=BAND, song=None, weights=WEIGHTS):
    """Copy the best weights of a finished run beside their record, and its curve into the results."""
    model = keras.saving.load_model(run / "best.keras", compile=False)
    sounds = checksum(name, data, song)
    record = results.head(f"train {name}", config=training.to_dict(), seed=training.seed, data=sounds)
    record |= {"settings": settings.to_dict(), "training": training.to_dict(), "weights": model.count_params()}
    record["statistics"] = json.loads((run / "statistics.json").read_text())
    return ship(name, model, record, run, weights, f"ddsp-{name}")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m ddsp_models.train_decoder", description=__doc__)
    parser.add_argument("name", choices=MODELS, metavar="NAME", help=", ".join(MODELS))
    parser.add_argument("--run", type=Path, help="folder of the run (default: runs/ddsp-NAME)")
    parser.add_argument("--data", type=Path, default=BAND, help="folder of the virtual band's sets")
    parser.add_argument("--song", type=Path, help="folder of the recorded song's stems (default: AIR_TRAFFIC_PATH)")
    parser.add_argument("--force", action="store_true", help="train again what is current")
    parser.add_argument("--dry", action="store_true", help="train, but leave the shipped weights and results alone")
    for field in dataclasses.fields(Training):
        kind = type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, help=f"(default: {field.default})")
    options = parser.parse_args(arguments)
    _, settings, training = MODELS[options.name]
    given = {f.name: getattr(options, f.name) for f in dataclasses.fields(Training)}
    training = dataclasses.replace(training, **{key: value for key, value in given.items() if value is not None})
    run = options.run or results.ROOT / "runs" / f"ddsp-{options.name}"
    places = {"data": options.data, "song": options.song}
    try:
        current = is_current(options.name, settings, training, **places)
        if current and not (options.dry or options.force):
            print(f"{options.name}: current")
            return 0
        train(options.name, settings, training, run, **places)
    except (OSError, ValueError) as error:
        print(f"train: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    written = [run / "best.keras"] if options.dry else publish(options.name, settings, training, run, **places)
    print("wrote", ", ".join(os.path.relpath(path) for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Train a decoder: python -m ddsp_models.train_decoder [NAME] [--steps N …]

A stopped training resumes from its last checkpoint. With --export the best weights on the validation songs go to
`ddsp_models/trained/`, the curve to `results/training/`. The decoders:

band-drums, -bass, -vocals         of the virtual band's training artist
air_traffic-drums, -bass, -vocals  of the first two minutes of a recorded song; AIR_TRAFFIC_PATH or --song names its
                                   folder; initialised from those of the band
band-vocals@tiny                   the paper's small recurrent decoder
"""

import dataclasses
import sys

import numpy as np
from tqdm import tqdm

from audio_processing.recorded_song import SONG_PARTS
from audio_processing.tracks import TRIO, load_usable, tracks
from common.places import HERE
from ddsp_models import features as feature
from ddsp_models.autoencoder import PRESETS, WEIGHTS, Decoder, ResynthesisLoss
from ddsp_models.drums import resonances
from ddsp_models.even_noise import even_noise
from training import loop
from training.command import AIR_TRAFFIC, Recipe, Trainer, command
from training.crops import SeededCrops
from training.schedule import adam, cosine
from training.settings import Training
from training.weights import initialise_from

AUDIBLE_DB = -60.0  # loudness from which a frame counts in `statistics`


@dataclasses.dataclass(frozen=True)
class DecoderTraining(Training):
    """How a decoder is trained; what is not named here as in `training.settings.Training`.

    Parameters
    ----------
    loudness_weight : float
        of the distance in loudness (dB) beside the spectral loss.
    """

    seconds: float = 1.0
    steps: int = 2500
    learning_rate: float = 3e-3
    clip_norm: float = 3.0
    loudness_weight: float = 0.1


# --- examples: per song, features by name, (frames, channels), and the sound, (frames · 64,) -------------------------


def band_examples(config, root, subset, source):
    """Features and sound of one source of the virtual band's songs: `features.song_features` of each song."""
    songs = tqdm(tracks(root, subset), desc=f"{source} features", unit="song", leave=False)
    return [feature.song_features(song, source) for song in songs]


def band_files(root, subset, source):
    """The sound files that `band_examples` reads."""
    return [song.path / f"{source}.wav" for song in tracks(root, subset)]


def recorded_stem(folder, part, source):
    """One stem of a part of the recorded song, (samples,), at 16 kHz; parameters as of `recorded_examples`."""
    files = sorted(folder.glob(f"{source}.*"))
    if not files:
        raise FileNotFoundError(f"{folder}: expected a file {source}.*, got none")
    audio, rate = load_usable(files[0], feature.SAMPLE_RATE, mono=True)
    start, stop = (second and second * rate for second in SONG_PARTS[part])
    return audio[start:stop]


def recorded_examples(config, folder, part, source):
    """Features and sound of one source of a part of the recorded song; the f0 is that of CREPE or pYIN.

    Parameters
    ----------
    config : Settings
    folder : Path
        of the stems as sound files, each named after its source.
    part : {"train", "validation", "test"}
    source : str

    Returns
    -------
    list of (dict of np.ndarray, np.ndarray)
        one.
    """
    audio, rate = recorded_stem(folder, part, source), feature.SAMPLE_RATE
    return [(feature.features_of(source, audio, rate), feature.whole_frames(audio, rate))]


def recorded_files(folder, part, source):
    """The sound file that `recorded_examples` reads; named once, since every part is of the same file."""
    return [sorted(folder.glob(f"{source}.*"))[0]] if part == "train" else []


class Crops(SeededCrops):
    """Batches of random crops of features and sound.

    Parameters
    ----------
    songs : list of (dict of np.ndarray, np.ndarray)
        features and sound; each at least a crop long.
    inputs : tuple of str
        the features that the decoder is given.
    training : DecoderTraining

    Notes
    -----
    `crops[i]` is (features (batch, frames, channels), sound (batch, frames · 64)).
    """

    def __init__(self, songs, inputs, training):
        self.inputs, self.frames = inputs, frames_of(training.seconds)
        super().__init__(
            songs,
            [len(sound) for _, sound in songs],
            self.frames * feature.HOP_LENGTH,
            training,
            feature.HOP_LENGTH,
        )

    def batch(self, rng, index):
        places = [self.somewhere(rng) for _ in range(self.training.batch_size)]
        return stack([cut(*song, start // feature.HOP_LENGTH, self.frames, self.inputs) for song, start in places])


def frames_of(seconds):
    """How many frames of features so many seconds are."""
    return round(seconds * feature.SAMPLE_RATE) // feature.HOP_LENGTH


def cut(features, sound, start, frames, inputs):
    """The `frames` frames from `start` on: features by name, and sound."""
    stop, hop = start + frames, feature.HOP_LENGTH
    return {name: features[name][start:stop] for name in inputs}, sound[start * hop : stop * hop]


def stack(cuts):
    """Several of `cut` as a batch."""
    features, sounds = zip(*cuts)
    return {name: np.stack([one[name] for one in features]) for name in features[0]}, np.stack(sounds)


def fixed_crops(songs, inputs, seconds=4.0):
    """The songs in consecutive crops, as a batch: for validation and scores. What is left at an end is not used."""
    frames = frames_of(seconds)
    return stack([
        cut(features, sound, start, frames, inputs)
        for features, sound in songs
        for start in range(0, len(sound) // feature.HOP_LENGTH - frames + 1, frames)
    ])  # fmt: skip


def statistics(songs, inputs):
    """Mean and standard deviation of the training songs' features; other sounds are brought to these before a decoder
    plays them.

    Parameters
    ----------
    songs : list of (dict of np.ndarray, np.ndarray)
    inputs : tuple of str

    Returns
    -------
    dict
        per feature {"mean": list, "std": list}, one number per channel, over the frames louder than `AUDIBLE_DB`; of f0
        in octaves above 1 Hz over the voiced ones.
    """
    joined = {name: np.concatenate([features[name] for features, _ in songs]) for name in (*inputs, "loudness")}
    moments = {}
    for name in inputs:
        value, counts = joined[name], joined["loudness"][:, 0] > AUDIBLE_DB
        if name == "f0":
            counts &= (joined["voiced"][:, 0] > 0) & (value[:, 0] > 0)
            value = np.log2(np.maximum(value, 1.0))
        value = value[counts] if counts.any() else value
        moments[name] = {"mean": value.mean(axis=0).tolist(), "std": value.std(axis=0).tolist()}
    return moments


# --- training --------------------------------------------------------------------------------------------------------


def prepared(config, songs, start=None):
    """A decoder before training: its noise made even, its modes at the resonances of the training songs.

    Parameters
    ----------
    config : Settings
    songs : list of (dict of np.ndarray, np.ndarray)
    start : Path, optional
        .keras file of the decoder that it is initialised from.

    Returns
    -------
    Decoder
    """
    model = Decoder(config)
    model.build({name: (None, None, feature.CHANNELS[name]) for name in config.inputs})
    if start is not None:
        initialise_from(model, start, may_differ=("restart_cents", "gate"))
    elif config.noise_samples:
        model.loop.assign(even_noise(config.noise_samples))
    if config.n_modes:
        model.modes.frequencies.assign(resonances(np.concatenate([sound for _, sound in songs]), config.n_modes))
    return model


def train(training, config, songs, validation, run, start=None, *, versions=1):
    """Fit one decoder, resuming what `run` holds, and keep its best weights there.

    Parameters
    ----------
    training : DecoderTraining
    config : Settings
    songs, validation : list of (dict of np.ndarray, np.ndarray)
        features and sound.
    run : Path
        folder of this run: checkpoints, log, best weights.
    start : Path, optional
        .keras file of the decoder that it is initialised from.
    versions : int
        how often each song is among the songs, in other mixtures.

    Returns
    -------
    Decoder
        with the best weights on the validation songs.
    """
    crops = Crops(songs, config.inputs, training)

    def build():
        return loop.compiled(
            prepared(config, songs, start), adam(training, cosine), ResynthesisLoss(training.loudness_weight)
        )

    return loop.train(
        build,
        config,
        training,
        crops,
        fixed_crops(validation, config.inputs),
        run,
        start=start,
        training_minutes=sum(crops.lengths) / feature.SAMPLE_RATE / 60 / versions,
        statistics=statistics(songs, config.inputs),
    )


# a low string has partials up to 5 kHz, and every pluck restarts its phase
BASS = dataclasses.replace(
    PRESETS["conv"],
    channels=128,
    scale=feature.BASS_BANDS.scale,
    n_harmonics=128,
    restart_cents=30.0,
    gate=True,
)
CONFIGS = {"drums": PRESETS["drums"], "bass": BASS, "vocals": dataclasses.replace(PRESETS["conv"], gate=True)}
# a tracker's pitch leaps for other reasons than plucks, and a recording's pauses are not those of the band
RECORDED_CONFIGS = {
    "drums": PRESETS["drums"],
    "bass": dataclasses.replace(BASS, restart_cents=0.0, gate=False),
    "vocals": PRESETS["conv"],
}
TINY = dataclasses.replace(PRESETS["tiny"], inputs=feature.PITCHED, noise_samples=32768, outline=True)
ONE = ("one_artist", "train"), ("validation", "test")
SONG = (AIR_TRAFFIC, "train"), (AIR_TRAFFIC, "validation")

BAND = Trainer(
    train,
    load=band_examples,
    files=band_files,
    folder=WEIGHTS,
    title="{}",
    curve="ddsp-{}",
    key="settings",
    also=lambda training, config, start: [start] if start else [],
)
RECORDED = dataclasses.replace(BAND, load=recorded_examples, files=recorded_files)


def recipes_of(family, trainer, configs, sets, trainings):
    """A recipe for each source of `trainings`, such as band-drums."""
    return {
        f"{family}-{source}": Recipe(
            f"{family}-{source}", trainer, configs[source], training, *((*songs, source) for songs in sets)
        )
        for source, training in trainings.items()
    }


RECIPES = {
    **recipes_of(
        "band",
        BAND,
        CONFIGS,
        ONE,
        {s: DecoderTraining(steps=9000 if s == "vocals" else 6000, steps_per_epoch=500) for s in TRIO},
    ),
    **recipes_of(
        "air_traffic",
        RECORDED,
        RECORDED_CONFIGS,
        SONG,
        {s: DecoderTraining(steps=500, learning_rate=2e-3, start_from=f"band-{s}") for s in TRIO},
    ),
    "band-vocals@tiny": Recipe("band-vocals@tiny", BAND, TINY, DecoderTraining(), *((*s, "vocals") for s in ONE)),
}


def main(arguments=None, places=HERE):
    return command("ddsp_models.train_decoder", __doc__, RECIPES, arguments, places)


if __name__ == "__main__":
    sys.exit(main())

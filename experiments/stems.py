"""Score another program's stems: python -m experiments.stems FOLDER --test-set NAME --name NAME [--label TEXT]

FOLDER (or FOLDER/test) has one folder per song of the test set, named after the song. It holds one sound file per
source: drums.wav, bass.wav, other.wav, vocals.wav, or rest.wav for everything but the drums. Small and capital letters
are the same; flac and mp3 are read, too; other files are ignored. A source that one song has is expected of all songs,
so the stems of a program for vocals alone can be scored.

A stem is as long as its song, at the sample rate of the song's files or at that of the test set. Stereo is averaged
where the test set is mono; a mono stem of a stereo song counts as both channels. A stem that is missing, has another
rate or length, or holds NaN stops the command; with --on-error skip its song is named on standard error and in the
result file ("left_out"), and the other songs are scored.

The scores are one file in results/scores/. The row stands last in the tables and plots of the test set, and the table
of differences compares it with the best separator there. It is up to date while stems, songs and settings are the same.
--remove deletes it.
"""

import hashlib
import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from joblib import Parallel, delayed

from audio_processing.audio_processing import AudioError, fix_length, load, resampled_length
from audio_processing.chunks import LOUDEST, usable
from audio_processing.tracks import Track, reason
from common import results
from common.checks import expect
from common.command import command
from common.files import sha256_of
from common.places import HERE
from experiments import tables
from experiments.catalogue import REFERENCES, SYSTEMS, TEST_SETS
from experiments.run import Options, is_up_to_date, print_left_out, read_music, settings
from experiments.scores import score_song, summary
from separate import System

ENDINGS = (".wav", ".flac", ".mp3")  # of two files of a source the first in this order is read
FLAGS = {
    "folder": dict(type=Path, nargs="?", metavar="FOLDER", help="the stems"),
    "--test-set": dict(required=True, choices=TEST_SETS, metavar="NAME", help=f"one of {', '.join(TEST_SETS)}"),
    "--name": dict(required=True, help="of the row, in file names: small letters, digits, _ @ . -"),
    "--label": dict(metavar="TEXT", help="of the row, in tables and plots (default: its name)"),
    "--musdb": dict(type=Path, metavar="FOLDER", help="MUSDB18, MUSDB18-HQ or excerpts, for MUSDB_PATH"),
    "--on-error": dict(choices=("stop", "skip"), default="stop", help="at a song whose stems cannot be scored"),
    "--jobs": dict(type=int, default=1, help="songs at a time, each in a process; -1: one per core"),
    "--force": dict(action="store_true", help="score again what is up to date"),
    "--remove": dict(action="store_true", help="delete the row"),
}


def stem_files(folder, sources):
    """The sound file of each source that a folder has: dict of str to Path, in the order of `sources`."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    files = {}
    for source in sources:
        found = [path for path in paths if path.stem.lower() == source and path.suffix.lower() in ENDINGS]
        if found:
            files[source] = min(found, key=lambda path: ENDINGS.index(path.suffix.lower()))
    return files


def check(song, folder, files, sources, test_set):
    """Read the stems of a song and compare them with the true ones.

    Parameters
    ----------
    song : audio_processing.tracks.Track or RecordedSong
    folder : Path
        of the song's stems.
    files : dict of str to Path
        of `stem_files`.
    sources : sequence of str
        that it has to have.
    test_set : experiments.catalogue.TestSet

    Raises
    ------
    AudioError
        for the first stem that is missing, damaged, of another rate or length, or not `usable`; it names the file.
    """
    if not files:
        raise AudioError(f"{folder}: expected a folder with the stems of this song, got none")
    if missing := [source for source in sources if source not in files]:
        raise AudioError(f"{folder}: expected {missing[0]}.wav, .flac or .mp3, got {', '.join(files)} alone")
    rate = song.sample_rate if isinstance(song, Track) else soundfile.info(song.files()[0]).samplerate
    samples = next(iter(song.stems(None, True, test_set.sources).values())).shape[-1]
    lengths = {to: resampled_length(samples, rate, to) for to in (test_set.sample_rate, rate)}
    for path in files.values():
        stem, got = load(path)
        problems = {
            f"{' or '.join(map(str, lengths))} Hz, got {got}": got not in lengths,
            f"{lengths.get(got)} samples at {got} Hz, got {stem.shape[-1]}": stem.shape[-1] != lengths.get(got),
            f"1 or 2 channels, got {len(stem)}": len(stem) > 2,
            f"finite samples up to {LOUDEST:.0e}, got others": not usable(stem).all(),
        }
        if any(problems.values()):
            raise AudioError(f"{path}: expected {next(problem for problem, there in problems.items() if there)}")


def read(files, mixture, stems, sample_rate):
    """The stems of a song as `System.estimate` returns them, each shaped like the mixture."""
    mono = mixture.ndim == 1 or len(mixture) == 1
    loaded = {source: load(path, sample_rate=sample_rate, mono=mono)[0] for source, path in files.items()}
    return {source: fix_length(stem, mixture.shape[-1]) + np.zeros_like(mixture) for source, stem in loaded.items()}


def score(folder, test_set, name, label, options):
    """Score the stems in a folder as a row of its own.

    Parameters
    ----------
    folder : Path
    test_set : experiments.catalogue.TestSet
    name, label : str
    options : experiments.run.Options

    Returns
    -------
    list of Path
        the result file; empty if it is up to date.

    Raises
    ------
    AudioError
        for a song that cannot be scored, or if none can.
    ValueError
        if the folder has stems of no song.
    """
    music = read_music(test_set, options.on_error, options.places)
    songs = folder / test_set.subset if (folder / test_set.subset).is_dir() else folder
    files = {song.name: stem_files(songs / song.name, (*test_set.sources, "rest")) for song in music.songs}
    sources = [source for source in (*test_set.sources, "rest") if any(source in of for of in files.values())]
    there = ", ".join(sorted(path.name for path in songs.iterdir())[:3]) if songs.is_dir() else "no folder"
    expect(sources, folder, f"{music.songs[0].name}/{test_set.sources[0]}.wav and the like", there or "an empty folder")
    sums = {song: {source: sha256_of(path) for source, path in of.items()} for song, of in files.items()}
    checksum = hashlib.sha256(json.dumps(sums).encode()).hexdigest()
    system = System(name, label, "other", description=f"Stems of another program, SHA-256 {checksum}.")
    path = options.path(test_set, system)
    config = settings(test_set, system) | {"label": label, "test_set": test_set.name}
    if not options.force and is_up_to_date(path, config, music.checksum):
        if options.on_error == "skip" or "left_out" not in results.read(path):
            return []
    good, left_out = [], dict(music.left_out)
    for song in music.songs:
        try:
            check(song, songs / song.name, files[song.name], sources, test_set)
            good.append(song)
        except AudioError as error:
            if options.on_error == "stop":
                raise
            left_out[song.name] = reason(Track(song.name, songs / song.name, test_set.subset), error)
    if not good:
        raise AudioError(f"{folder}: none of {len(files)} songs can be scored; {next(iter(left_out.values()))}")
    print_left_out(test_set.name, left_out)
    rows = [replace(system, estimate=partial(read, files[song.name])) for song in good]
    job, targets = delayed(score_song), options.places.runs / "targets"
    scored = Parallel(n_jobs=options.jobs)(job(song, row, test_set, targets) for song, row in zip(good, rows))
    content = {
        **{fact: x for fact, x in summary(scored).items() if fact not in ("separation_seconds", "realtime")},
        "excluded": test_set.excluded,
        **({"left_out": left_out} if left_out else {}),
        "network": None,
        "records": [{"test_set": test_set.name, **row} for song in scored for row in song["records"]],
    }
    results.write(path, results.head(f"{test_set.name} {name}", config=config, data=music.checksum) | content)
    return [path]


def remove(test_set, name, places=HERE):
    """Delete a row that `score` wrote."""
    path = results.score_path(test_set.name, name, places)
    expect(path.exists(), "--name", f"a row of {test_set.name} to remove", name)
    path.unlink()
    print(f"removed {places.shown(path)}")


def print_table(rows, caption, **_):
    """Print what a function of `experiments.tables` returns, its columns aligned."""
    lines = [list(rows[0]), *([f"{x:.1f}" if isinstance(x, float) else str(x) for x in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    print(caption)
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths)).replace("−", "-"))


def write(folder, test_set, name, label, musdb, **options):
    """What the command does with its options."""
    names, test_set, label = {**SYSTEMS, **REFERENCES}, TEST_SETS[test_set], name if label is None else label
    expect(re.fullmatch(r"[a-z0-9_@.-]+", name), "--name", "small letters, digits, _ @ . -", repr(name))
    expect(name not in names, "--name", "a name that no row of the catalogue has", repr(name))
    drawn = re.fullmatch(r"[^\W_][^$]*", label) and label.isprintable()
    expect(drawn, "--label", "one line that begins with a letter or digit, without $", repr(label))
    expect(label not in {row.label for row in names.values()}, "--label", "one that no row has", repr(label))
    places = replace(HERE, musdb=musdb or HERE.musdb)
    if options.pop("remove"):
        remove(test_set, name, places)
        return []
    expect(folder is not None, "FOLDER", "a folder of stems", "none")
    written = score(folder, test_set, name, label, Options(places, **options))
    print_table(**tables.other_stems(test_set.name, name))
    return written


def main(arguments=None):
    return command("experiments.stems", __doc__, write, FLAGS, arguments)


if __name__ == "__main__":
    raise SystemExit(main())

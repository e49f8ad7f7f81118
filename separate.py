"""Separate songs: python separate.py SONG … [--model NAME] [-o DIR], or `separate(mixture, sample_rate)` in Python.

The stems are as long as the song and have its sample rate and channels. Together with the residual, which is what no
stem claims, they add up to the song.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from audio_processing.audio_processing import load  # noqa: F401 - for users of `separate`
from audio_processing.sound_files import OURS, THEIRS, AudioError, open_audio
from audio_processing.stem_files import (
    BITS,
    SongReader,
    StemFiles,
    check_options,
    check_targets,
    folder_name,
    full_disk_named,
    publish,
    songs_in,
)
from common import results, terminal
from common.files import allowed_name, delete_own, partial_folder
from common.places import ROOT

VERSION = "0.2.0"
PROGRAM = "mss-separate" if __package__ else "separate.py"  # installed, or in the repository

_MUSDB, _SONG = ("musdb",), ("air_traffic",)
_ACADEMIC = "academic use (MUSDB18)"  # what the songs that it learned from allow


@dataclass(frozen=True)
class System:
    """A row of the catalogue: something that estimates stems, with all its facts.

    Parameters
    ----------
    name : str
        key of the row, in result files and on the command line; never parsed.
    label : str
        what pages call it.
    kind : {"baseline", "oracle", "mask", "waveform", "resynthesis"}
        origin of its estimates: the mixture itself; the true stems; a real mask between 0 and 1; waveforms or
        complex masks; synthesis alone.
    purpose : str
        one line for `--help`: what a user would choose it for.
    make : callable, () -> audio_processing.chunks.Separator, optional
        loads it; None for what only the experiments can run. Keras is imported in here, since it takes seconds.
    weights : tuple of str
        trained files, relative to the repository's root: a changed one makes scores stale, a missing one leaves the
        system out.
    test_sets : tuple of str
        where it is scored by default: names of test sets, or of their places (`common.places.Places`).
    features : bool
        whether pitch, loudness and spectra of its estimates are scored, too.
    estimate : callable, (mixture, stems, sample_rate) -> dict of np.ndarray, optional
        of a row without `make` that is given the true stems.
    true_f0_of : str
        name of the separator that is given the true f0 here; "" for none.
    licence : str
        of its weights.
    description : str
        part of the key that tells whether scores are up to date; frozen, whatever the docstrings say.
    colour, marker : str
        in figures; without a colour of its own a system gets one by its order.
    """

    name: str
    label: str
    kind: str
    purpose: str = ""
    make: Callable | None = None
    weights: tuple = ()
    test_sets: tuple = ("band", "air_traffic")
    features: bool = True
    estimate: Callable | None = None
    true_f0_of: str = ""
    licence: str = "MIT"
    description: str = ""
    colour: str = ""
    marker: str = "o"


def _load(place, *arguments, **options):
    """What loads a separator when it is needed: importing Keras takes seconds.

    Parameters
    ----------
    place : str
        "<module>:<class>"; the other arguments are those of the class's `load`.
    """
    module, name = place.split(":")
    return lambda: getattr(import_module(module), name).load(*arguments, **options)


_DDSP = "ddsp_models.separation.separators:"
_CONV_TASNET = "mss_nn_implementation.convtas:ConvTasNetSeparator"


def _shipped(folder, *names):
    return tuple(f"{folder}/{name}" for name in names)


def _trained(*names):
    return _shipped("ddsp_models/trained", *(f"{name}.keras" for name in names))


def _decoders(name):
    return _trained(*(f"{name}-{source}" for source in ("drums", "bass", "vocals")))


_TASNET = "mss_nn_implementation/training_final_full"

SEPARATORS = {
    row.name: row
    for row in (
        System(
            "hps", "median-filter HPS", "mask", "drums and the rest of any song; has learned nothing",
            _load("mss_basic_implementation.hps:HarmonicPercussive"),
            test_sets=("band", *_MUSDB, *_SONG), colour="#aa845d", marker="v",
        ),
        System(
            "conv_tasnet", "Conv-TasNet", "waveform", "drums, bass, vocals of the virtual band's training artist",
            _load(_CONV_TASNET, "trio"), _shipped(_TASNET, "trio.keras"), colour="#e0187f",
        ),
        System(
            "conv_tasnet@many", "Conv-TasNet, trained on many artists", "waveform",
            "the same, trained on many virtual artists", _load(_CONV_TASNET, "many_trio"),
            _shipped(_TASNET, "many_trio.keras"),
        ),
        System(
            "musdb", "Conv-TasNet, trained on recordings", "waveform",
            "recorded songs, a little better than musdb@once, twice as slow",
            _load(_CONV_TASNET, "musdb", averaged=True), _shipped(_TASNET, "musdb.keras"), _MUSDB,
            licence=_ACADEMIC,
        ),
        System(
            "musdb@once", "Conv-TasNet, trained on recordings, one pass", "waveform",
            "recorded songs: drums, bass, other, vocals", _load(_CONV_TASNET, "musdb"),
            _shipped(_TASNET, "musdb.keras"), _MUSDB, licence=_ACADEMIC,
        ),
        System(
            "numpy_cnn", "NumPy network", "mask", "drums and the rest of the virtual band; needs NumPy alone",
            _load("neural_network_basics.drums_mask:DrumsMask"), _shipped("neural_network_basics", "drums_mask.npz"),
            colour="#769c49", marker="^",
        ),
        System(
            "ddsp_masked", "DDSP masks", "mask", "drums, bass, vocals of the training artist, by masks from synthesis",
            _load(_DDSP + "MaskedSeparator"), _trained("separator-one_artist"), colour="#7244f4", marker="s",
        ),
        System(
            "ddsp_resynthesis", "DDSP resynthesis", "resynthesis",
            "the same stems synthesised anew from estimated pitch and loudness",
            _load(_DDSP + "ResynthesisSeparator", "one_artist_played", decoders="heard"),
            (*_trained("separator-one_artist_played"), *_decoders("heard")), colour="#0899ad", marker="P",
        ),
        System(
            "ddsp_masked@refined", "DDSP masks, refined", "waveform",
            "ddsp_masked with a network that refines its masks",
            _load(_DDSP + "RefinedSeparator"), _trained("separator-one_artist_refined"), colour="#b678ea", marker="D",
        ),
        System(
            "ddsp_masked@many", "DDSP masks, trained on many artists", "mask", "virtual artists that are not the first",
            _load(_DDSP + "MaskedSeparator", "many_artists"), _trained("separator-many_artists"),
        ),
        System(
            "ddsp_masked@four", "DDSP masks of four sources", "mask", "virtual songs with an extra instrument",
            _load(_DDSP + "MaskedSeparator", "many_four"), _trained("separator-many_four"),
        ),
        System(
            "ddsp_masked@air_traffic", "DDSP masks, fine-tuned on the song's beginning", "mask",
            "one recorded song, trained on its first two minutes", _load(_DDSP + "MaskedSeparator", "air_traffic"),
            _trained("separator-air_traffic"), _SONG, licence=_ACADEMIC,
        ),
        System(
            "ddsp_resynthesis@air_traffic", "DDSP resynthesis, fine-tuned on the song's beginning", "resynthesis",
            "that song's stems synthesised anew",
            _load(_DDSP + "ResynthesisSeparator", "air_traffic", decoders="air_traffic"),
            (*_trained("separator-air_traffic"), *_decoders("air_traffic")), _SONG, licence=_ACADEMIC,
        ),
        System(
            "conv_tasnet_ddsp", "Conv-TasNet, then DDSP decoders", "resynthesis",
            "Conv-TasNet's stems tracked and synthesised anew", _load(_DDSP + "ChainSeparator"),
            (*_shipped(_TASNET, "trio.keras"), *_decoders("band")), colour="#bc6d98", marker="X",
        ),
        System(
            "ensemble", "Conv-TasNet and DDSP masks together", "waveform",
            "best for the training artist: conv_tasnet and ddsp_masked, weighted",
            _load("ddsp_models.separation.ensemble:Ensemble"),
            (*_shipped(_TASNET, "trio.keras"), *_trained("separator-one_artist"), "ddsp_models/trained/ensemble.json"),
            colour="#c0392b", marker="*",
        ),
    )
}  # fmt: skip

# The separator for songs of unknown origin: it was trained on recorded music and passes over each song once; `musdb`
# takes twice as long or longer and gains a little.
DEFAULT = "musdb@once"


@lru_cache(maxsize=2)
def separator(name=DEFAULT):
    """The separator of that name, its weights loaded once.

    Raises
    ------
    ValueError
        if there is none of that name; the message lists those there are.
    """
    if name not in SEPARATORS:
        raise ValueError(f"model: expected one of {', '.join(SEPARATORS)}, got {name!r}")
    return SEPARATORS[name].make()


def separate(mixture, sample_rate, model=DEFAULT):
    """Separate a song that is in memory.

    Parameters
    ----------
    mixture : np.ndarray, (samples,) or (channels, samples)
        channels first: what `soundfile.read` gives has to be transposed. Full scale is [-1, 1]; samples that are not
        finite, or beyond `LOUDEST`, count as silence.
    sample_rate : int
        in Hz.
    model : str
        a key of `SEPARATORS`.

    Returns
    -------
    dict of str to np.ndarray, float32
        a stem per source, shaped like `mixture`. `mixture - sum(stems.values())` is the residual.

    Raises
    ------
    ValueError
        for an unknown model, an empty mixture, one of more than two axes or 64 channels, or a sample rate that is not
        positive.

    See Also
    --------
    separate_file : the same for a file of any length.

    Examples
    --------
    >>> import numpy as np
    >>> clicks = np.zeros(22050, np.float32)
    >>> clicks[::5000] = 1
    >>> stems = separate(clicks, 22050, "hps")
    >>> sorted(stems), stems["drums"].shape == clicks.shape
    (['drums', 'rest'], True)
    """
    return separator(model).separate(mixture, sample_rate)


# --- files -----------------------------------------------------------------------------------------------------------


def separate_file(
    song,
    model=DEFAULT,
    out="separated",
    *,
    stems=(),
    two_stems="",
    kind="wav",
    bits="",
    stream=None,
    folder=None,
    progress=True,
    limit=None,
):
    """Separate a sound file into files, in memory that does not grow with its length.

    Parameters
    ----------
    song : str or Path
        what `open_audio` reads. A truncated file is separated as far as it goes, and a line on standard error says so.
    model : str
        a key of `SEPARATORS`.
    out : str or Path
        folder; the stems go to out/<name of the song>/<source>.wav and residual.wav. They are written in a temporary
        folder and moved there when all are complete; stems of an earlier run are replaced.
    stems : sequence of str
        which of the model's sources, and "residual", are written; all by default.
    two_stems : str
        write this source, and all else of the song as "no_<source>"; both add up to the song.
    kind, bits : str
        format of the files, and of their samples (`stem_files.BITS`): 32-bit float wav by default.
    stream : int, optional
        which sound of a file that holds several, from 1.
    folder : str, optional
        name of the folder in `out`; by default that of the song.
    progress : bool or str
        show a progress bar on standard error, which begins with this text.
    limit : float, optional
        seconds that separating may take; it ends with the first chunk that is finished later.

    Returns
    -------
    list of Path
        the files written.

    Raises
    ------
    AudioError
        if the song cannot be read, a stem would overwrite it, or `limit` is exceeded; nothing is written then.
    ValueError
        if the model has no such source, or the format cannot hold the song.
    OSError
        if the folder cannot be written, or the disk is full; nothing is written then, either.
    """
    with open_audio(song, stream) as sound:
        chosen = separator(model)
        names, rest, taken = written_stems(chosen.sources, stems, two_stems)
        folder = allowed_name(folder) if folder else folder_name(song)
        targets = {name: Path(out) / folder / f"{name}.{kind}" for name in names}
        check_targets([*targets.values()], song)
        with partial_folder(out) as partial, _progress_bar(sound, song, progress) as bar:
            complete = partial / "stems"
            complete.mkdir()
            reader = SongReader(sound, song, bar)
            files = {name: complete / target.name for name, target in targets.items()}
            with full_disk_named(out), StemFiles(files, sound, kind, bits, rest=rest, taken=taken) as written:
                _write_stems(chosen, reader, written, limit)
            reader.check()
            with full_disk_named(out):
                written.check_lengths(reader.samples)
            notes = [*sound.notes, *reader.notes(), *(f"{song}: {note}" for note in written.notes())]
            publish(complete, [*targets.values()])
    for note in notes:
        terminal.note(note)
    return [*targets.values()]


def written_stems(sources, stems=(), two_stems=""):
    """Which files a separator of these sources writes.

    Returns
    -------
    names : list of str
    rest : str
        the one of them that is what is left of the song; "" for none.
    taken : sequence of str
        the sources without which it is left.

    Raises
    ------
    ValueError
        for a source that there is not.
    """
    known, stems = (*sources, "residual"), [stems] if isinstance(stems, str) else stems
    if stems and two_stems:
        raise ValueError("--two-stems: expected without --stems, got both")
    for option, asked, there in (("--stems", stems, known), ("--two-stems", [two_stems][: bool(two_stems)], sources)):
        if unknown := [name for name in asked if name not in there]:
            raise ValueError(f"{option}: expected {', '.join(there)}, which this model has, got {unknown[0]!r}")
    if two_stems:
        return [two_stems, f"no_{two_stems}"], f"no_{two_stems}", [two_stems]
    names = [name for name in known if name in stems or not stems]
    return names, "residual" if "residual" in names else "", sources


def _write_stems(chosen, reader, files, limit=None):
    """Separate a song chunk by chunk into `StemFiles`; `limit` in seconds."""
    sound, start = reader.sound, time.monotonic()
    for stems in chosen.stream(reader, sound.samplerate, len(sound)):  # (sources, channels, samples)
        if limit is not None and time.monotonic() - start > limit:
            raise AudioError(f"{reader.song}: not separated in {limit:g} s, which is the limit")
        files.write(dict(zip(chosen.sources, stems)), reader.take(stems.shape[-1]))


def _progress_bar(sound, song, shown):
    """A bar on standard error that counts the seconds of a song."""
    from tqdm import tqdm

    form = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s [{elapsed}<{remaining}]"
    name = (shown if isinstance(shown, str) else "") + terminal.printable(Path(song).stem)[:40]
    seconds = len(sound) / sound.samplerate
    return tqdm(total=seconds, desc=name, disable=not shown, leave=False, bar_format=form)


# --- the command -----------------------------------------------------------------------------------------------------


def models():
    """A line for each separator: what it is for, the size of its weights, a score of it, and their licence."""
    lines = []
    for row in SEPARATORS.values():
        paths = [ROOT / path for path in row.weights]
        size = sum(path.stat().st_size for path in paths if path.exists()) / 1e6
        weights = (
            "not here" if not all(path.exists() for path in paths) else f"{size:.2g} MB" if paths else "no weights"
        )
        lines.append(f"{row.name:29} {row.purpose}; {weights}{_score(row)}; {row.licence}")
    return lines


def _score(row):
    """A score of a separator on the test set that it is meant for, if there are results."""
    recorded = row.test_sets == _MUSDB
    test_set, metric = ("musdb18_7s", "sdr") if recorded else ("same_artist", "si_sdr")
    if row.test_sets == _SONG:
        test_set = "air_traffic"
    try:
        records = results.read(results.score_path(test_set, row.name))["records"]
    except results.ResultsError:
        return ""
    values = {}
    for record in records:
        if record["metric"] == metric:
            values.setdefault(record["source"], []).append(record["value"])
    over_songs = statistics.median if recorded else statistics.mean  # as the tables have it
    mean = statistics.mean(over_songs(each) for each in values.values())
    return f"; {metric.upper().replace('_', '-')} {mean:.1f} dB on {test_set}" if values else ""


class _Models(argparse.Action):
    def __call__(self, parser, *_):
        print(*models(), sep="\n")
        parser.exit()


def parser():
    """The command line."""
    width = max(map(len, SEPARATORS)) + 2
    rows = "\n".join(f"  {row.name:{width}}{row.purpose}" for row in SEPARATORS.values())
    made = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Separate songs into stems.",
        epilog=f"models:\n{rows}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for flags, settings in {
        ("songs",): dict(nargs="+", metavar="SONG", help=f"files ({OURS}; with ffmpeg {THEIRS}), or folders of files"),
        ("-m", "--model"): dict(
            default=DEFAULT, choices=SEPARATORS, metavar="NAME", help="one of those below (default: %(default)s)"
        ),
        ("-o", "--out"): dict(default="separated", metavar="DIR", help="folder for the stems (default: %(default)s)"),
        ("--stems",): dict(action="append", metavar="NAMES", help="write these alone, such as drums,vocals"),
        ("--two-stems",): dict(default="", metavar="NAME", help="write this stem, and all the rest as one"),
        ("--format",): dict(default="wav", choices=BITS, dest="kind", help="of the files (default: %(default)s)"),
        ("--bits",): dict(
            default="", choices=("16", "24", "float"), help="of a sample (default: float for wav, 24 for flac)"
        ),
        ("--stream",): dict(type=int, metavar="N", help="which sound of a file that holds several, from 1"),
        ("-q", "--quiet"): dict(action="store_true", help="say only what is wrong"),
        ("--list-models",): dict(
            action=_Models,
            nargs=0,
            default=argparse.SUPPRESS,
            help="what each is for, its size, its score if results are here, and its licence",
        ),
        ("--version",): dict(action="version", version=f"{PROGRAM} {VERSION}"),
    }.items():
        made.add_argument(*flags, **settings)
    return made


def run(songs, model, out, quiet, stems, two_stems, kind, bits, **options):
    """Separate several songs; one that is no good is named, and the others are separated. Returns the exit status."""
    check_options(kind, bits)
    given = ",".join(stems or ()).lower().split(",")
    stems, two_stems = [name.strip() for name in given if name.strip()], two_stems.strip().lower()
    if given != [""] and not stems:
        raise ValueError("--stems: expected names such as drums,vocals, got none")
    if stems or two_stems:
        written_stems(separator(model).sources, stems, two_stems)  # here, and not for each song anew
    options |= {"stems": stems, "two_stems": two_stems, "kind": kind, "bits": bits}
    found, problems = songs_in(songs)
    for problem in problems:
        terminal.note(f"{PROGRAM}: {problem}")
    shown = not quiet and sys.stderr.isatty()
    for i, (song, folder) in enumerate(found.items(), 1):
        options["progress"] = f"{i} of {len(found)}: " if shown else ""
        try:
            written = separate_file(song, model, out, folder=folder, **options)
        except (ValueError, OSError, ImportError, MemoryError) as error:
            problems.append(error)
            terminal.note(f"{PROGRAM}: {terminal.reason(error)}")
            continue
        for path in () if quiet else written:
            terminal.say(path)
    return terminal.REFUSED if problems else 0


def main(arguments=None):
    """The command. Returns its exit status: 0, or 2 if a song or an option is no good."""
    known, given = parser(), sys.argv[1:] if arguments is None else arguments
    options = vars(known.parse_args(given) if "--" in given else known.parse_intermixed_args(given))
    return terminal.ended(PROGRAM, lambda: run(**options), "interrupted, this song was not written", delete_own)


if __name__ == "__main__":
    sys.exit(main())

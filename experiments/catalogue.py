"""What is scored, on which songs, by which measures: three tables. A system, a test set or a metric is one row.

The rows of separators stand in `separate.SEPARATORS`; here come the oracles, which are given the true stems, and the
separators that are given the true f0. Names are keys, in result files and on the command line, and are never parsed.
"""

from collections import ChainMap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from audio_processing import masks
from audio_processing.metrics import si_sdr, snr
from audio_processing.recorded_song import RecordedSong
from audio_processing.tracks import EXCLUDED, SOURCES, TRIO, tracks
from common import results
from common.places import HERE
from experiments import systems
from separate import SEPARATORS, System

# --- test sets -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TestSet:
    """Songs with their stems that systems are scored on.

    Parameters
    ----------
    name : str
        key of the row.
    label : str
        what pages call it.
    root : str or Path
        folder of the songs, inside `place` if it is relative.
    place : {"band", "musdb", "air_traffic"}
        field of `common.places.Places`.
    subset : str
        the folder of `root` that is used.
    sources : tuple of str
        the stems that are scored, in this order.
    sample_rate : int
        at which they are scored, in Hz.
    mono : bool
    filters : bool
        whether sir and sar are computed; they take a hundred times as long as the rest, hours at 44.1 kHz.
    features : bool
        whether pitch, loudness and spectra are compared: in mono at 16 kHz, if the f0 is known or can be tracked.
    publishable : bool
        whether clips of its songs may be published.
    decoders : str
        first part of the names of the decoders that were trained for its music; "" if none were.
    excluded : dict of str to str
        songs that are never scored, by name, and why.
    """

    name: str
    label: str
    root: str | Path = ""
    place: str = "band"
    subset: str = "test"
    sources: tuple = TRIO
    sample_rate: int = 16000
    mono: bool = True
    filters: bool = True
    features: bool = False
    publishable: bool = False
    decoders: str = ""
    excluded: dict = field(default_factory=dict)

    __test__ = False  # no class of pytest's

    def scores(self, system):
        """Whether a system is scored on these songs by default."""
        return not {self.name, self.place}.isdisjoint(system.test_sets)

    def folder(self, places=HERE):
        """Where its songs are; None if they are not on this machine."""
        return None if (place := getattr(places, self.place)) is None else place / self.root

    def songs(self, places=HERE):
        """The songs that are scored.

        Raises
        ------
        ValueError
            if the variable that names their folder is not set.
        FileNotFoundError
            if the folder holds none.
        """
        folder = self.folder(places)
        if folder is None:
            raise ValueError(
                f"{self.name}: {self.place.upper()}_PATH is not set; it names the folder that holds the music"
            )
        if self.place == "air_traffic":
            return [RecordedSong(folder)]
        return [song for song in tracks(folder, self.subset) if song.name not in self.excluded]


_virtual = partial(TestSet, publishable=True)
_musdb = partial(
    TestSet, place="musdb", sources=SOURCES, sample_rate=44100, mono=False, filters=False, excluded=EXCLUDED
)

# Every test set by name. A copy of MUSDB18 is one of two, by what it holds: excerpts or whole songs.
TEST_SETS = {
    row.name: row
    for row in (
        _virtual("same_artist", "new songs of the training artist", "same_artist", features=True, decoders="band"),
        _virtual("other_artist", "songs of unseen artists", "other_artist", features=True),
        _virtual(
            "extra_instrument", "the training artist with an extra instrument", "extra_instrument", sources=SOURCES
        ),
        _musdb("musdb18_7s", "MUSDB18's 7 s excerpts"),
        _musdb("musdb18", "MUSDB18's test songs"),
        TestSet(
            "air_traffic", "the end of a recorded song", place="air_traffic", features=True, decoders="air_traffic"
        ),
    )
}

# --- metrics ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Metric:
    """A measure of an estimate.

    Parameters
    ----------
    name : str
        key of the row.
    label, short : str
        what pages call it, alone and as the heading of a column.
    unit : str
    digits : int
        after the point, in tables.
    average : {"mean", "median"}
        over songs.
    needs : {"samples", "filters", "features", "f0", "crepe"}
        when an estimate has it: always; if the test set has `filters`; if pitch, loudness and spectra are compared;
        then for sources with an f0 alone; and then only where CREPE's weights are.
    compute : callable, (reference, estimate) -> float, optional
        for what two sounds of one source decide alone; the others are computed together (`scores`, `feature_scores`).
    """

    name: str
    label: str
    short: str = ""
    unit: str = "dB"
    digits: int = 1
    average: str = "mean"
    needs: str = "samples"
    compute: Callable | None = None


# Every metric by name, in the order of the result files.
METRICS = {
    row.name: row
    for row in (
        Metric("si_sdr", "SI-SDR", "SI-SDR (dB)", compute=si_sdr),
        Metric("snr", "SNR", "SNR (dB)", compute=snr),
        Metric("sdr", "SDR", "SDR (dB)", average="median"),
        Metric("sir", "SIR", "SIR (dB)", needs="filters"),
        Metric("sar", "SAR", "SAR (dB)", needs="filters"),
        Metric("spectral_loss", "Spectral loss", "spectral loss", "sum over 6 scales", 2, needs="features"),
        Metric("spectral_loss_per_bin", "Spectral loss per bin", "loss per bin", "mean over bins", 2, needs="features"),
        Metric("loudness_l1", "Loudness error", "loudness (dB)", needs="features"),
        Metric("f0_l1_cents", "F0 error", "f0 (cents)", "cents", needs="f0"),
        Metric("f0_l1_hz", "F0 error", "f0 (Hz)", "Hz", needs="f0"),
        Metric("f0_confidence", "Confidence of the pitch tracker", "confidence", "0-1", 2, needs="f0"),
        Metric("raw_pitch_accuracy", "Raw pitch accuracy (50 cents)", "pitch accuracy", "0-1", 3, needs="f0"),
        Metric("crepe_bce", "Cross-entropy of CREPE's activations", "CREPE (nats)", "nats per bin", 4, needs="crepe"),
    )
}

# --- systems ---------------------------------------------------------------------------------------------------------

# Oracles that sound like `ibm` and `irm` have no `features`: they are scored by their samples alone, to save time.
_oracle = partial(System, kind="oracle", test_sets=("band", "musdb", "air_traffic"))
_long_oracle = partial(_oracle, test_sets=("band", "air_traffic"), features=False)


_SHORT = "STFT 1024/256 up to 16 kHz, 2048/512 above."
_AS_WIDE = "with the window that the DDSP masks have, STFT 4096/128."

# The baseline, and what is given the true stems.
ORACLES = {
    row.name: row
    for row in (
        System(
            "mixture", "mixture (baseline)", "baseline", test_sets=("band", "musdb", "air_traffic"), colour="#767676",
            description="The floor: the mixture itself, offered as every stem, at its own level.",
            estimate=systems.mixture_as_estimate,
        ),
        _oracle(
            "ibm", "ideal binary mask (oracle)", colour="#b58a8d", marker="p", estimate=systems.oracle(masks.ibm),
            description=f"A ceiling: the ideal binary mask, {_SHORT}",
        ),
        _oracle(
            "ibm@sisec", "binary mask of SiSEC 2018 (oracle)", features=False, estimate=systems.ibm_as_in_sisec,
            description="A ceiling: the binary mask of SiSEC 2018: a bin for all with half of the mixture's "
            "magnitude, hop n_fft / 2.",
        ),
        _oracle(
            "irm", "ideal ratio mask (oracle)", colour="#4d7450", marker="h", estimate=systems.oracle(masks.irm),
            description=f"A ceiling: the ideal ratio mask of magnitudes, {_SHORT}",
        ),
        _oracle(
            "irm@4096", "ideal ratio mask, window of the DDSP masks (oracle)", features=False,
            estimate=systems.oracle(masks.irm, *systems.WIDE),
            description=f"A ceiling: the ideal ratio mask of magnitudes {_AS_WIDE}",
        ),
        _long_oracle(
            "irm@ddsp", "ideal ratio mask, window and exponent of the DDSP masks (oracle)",
            estimate=systems.oracle(partial(masks.irm, power=1.6), *systems.WIDE),
            description="A ceiling: the ideal ratio mask with the window and the exponent of the DDSP masks, "
            "STFT 4096/128, p = 1.6.",
        ),
        _oracle(
            "irm@power", "ideal ratio mask of powers (oracle)", features=False,
            estimate=systems.oracle(partial(masks.irm, power=2)),
            description=f"A ceiling: the ideal ratio mask of powers, {_SHORT}",
        ),
        _oracle(
            "psm", "phase-sensitive mask (oracle)", colour="#64968c", marker="d", features=False,
            estimate=systems.oracle(masks.psm),
            description=f"A ceiling: the phase-sensitive mask, {_SHORT}",
        ),
        _long_oracle(
            "psm@4096", "phase-sensitive mask, window of the DDSP masks (oracle)",
            estimate=systems.oracle(masks.psm, *systems.WIDE),
            description=f"A ceiling: the phase-sensitive mask {_AS_WIDE}",
        ),
        _oracle(
            "mwf", "multichannel Wiener filter (oracle)", features=False, estimate=systems.oracle(masks.mwf),
            description="A ceiling: the multichannel Wiener filter with the true spectra and covariances, "
            f"{_SHORT}",
        ),
    )
}  # fmt: skip

WITH_TRUE_F0 = {
    name: replace(
        SEPARATORS[of],
        name=name,
        label=f"{SEPARATORS[of].label}, given the true f0",
        purpose="",
        make=None,
        colour="",
        marker="o",
        test_sets=("same_artist", "other_artist"),
        true_f0_of=of,
        description=f"Oracle substitution: {of!r} is told the true pitch of every source.",
    )
    for name, of in (
        ("ddsp_masked@true_f0", "ddsp_masked"),
        ("ddsp_masked@refined_true_f0", "ddsp_masked@refined"),
        ("ddsp_masked@many_true_f0", "ddsp_masked@many"),
    )
}

# Every system by name: a view of three tables, from the last to the first, the order in which they are scored.
SYSTEMS = ChainMap(WITH_TRUE_F0, SEPARATORS, ORACLES)

# What `experiments.resynthesis` scores: decoders that are given true features, and the true stems themselves.
REFERENCES = {
    row.name: row
    for row in (
        System("ddsp_features", "DDSP decoders, true features", "resynthesis"),
        System("stem", "reference (true stem)", "reference"),
    )
}


def others(test_set="*", name="*"):
    """Rows that are in no table: other programs' stems, as `experiments.stems` scored them.

    Parameters
    ----------
    test_set, name : str
        of the result files; by default any.

    Returns
    -------
    dict of str to str
        name → label.

    Raises
    ------
    common.results.ResultsError
        if such a file was changed.
    """
    rows = {results.score_path(test_set, row) for row in [*SYSTEMS, *REFERENCES]}
    found = {}
    for path in sorted(set((HERE.results / "scores").glob(f"{test_set}-{name}.json")) - rows):
        try:
            config = results.read(path)["config"]
        except results.ResultsError as error:
            remedy = "`python -m experiments.stems` scores its stems again, or removes it"
            raise results.ResultsError(f"{HERE.shown(path)}: damaged; {remedy}") from error
        if "label" in config and test_set in ("*", config["test_set"]) and name in ("*", config["system"]):
            found[config["system"]] = config["label"]
    return found


def label(name):
    """What pages call a system: the label of its row, or of other programs' stems; the name itself if it has none."""
    row = SYSTEMS.get(name) or REFERENCES.get(name)
    return row.label if row else others(name=name).get(name, name)

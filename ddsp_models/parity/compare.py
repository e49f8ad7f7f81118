"""Does this chapter compute what ddsp 3.7.0 and the published CREPE compute? python -m ddsp_models.parity.compare

Inputs are drawn by hypothesis, the peers answer in an environment of their own (ddsp installs beside no current
TensorFlow), and the largest differences go to results/parity.json.
"""

import argparse
import bz2
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import hypothesis
import keras
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from audio_processing.audio_processing import load, resample
from common import results
from common.files import atomic_path, sha256_of
from ddsp_models.pitch import crepe
from ddsp_models.pitch.tracking import raw_pitch_accuracy, track_pitch

ENVIRONMENT = results.ROOT / ".venv-parity"
PACKAGES = (
    ["tensorflow==2.19.1", "tf_keras==2.19.0", "tensorflow-probability==0.25.0", "gin-config", "librosa", "h5py"],
    ["--no-deps", "ddsp==3.7.0"],
)
LIMIT = 1e-4
"""Of the largest value in the peer's answer."""
CREPE_LIMIT = 1e-5
"""Of an activation, which lies in [0, 1]."""
FULL_SCALE_LIMIT = 1e-3
"""Of full scale, after a minute."""
ACCURACY_LIMIT = 0.95
"""Share of voiced frames within 50 cents."""

NOTES = {
    "filtered_noise": "the same noise; ddsp's output is 2 samples late, so ours is asked for the same latency",
    "harmonic_synthesis": "60 harmonics, over 4 s; peer: ddsp with frequencies and phases in float64",
    "harmonic_synthesis_float32": "ddsp as it ships (use_angular_cumsum, its setting against drift) beside itself in"
    " float64: what its single precision costs, no limit of ours",
    "harmonic_synthesis_60s": "peer: float64 sums in NumPy; error of full scale; 20 harmonics",
    "loudness": "frames that lie within the sound; ddsp has one more, centred on its end",
    "spectral_loss": "definition 'ddsp'",
    "crepe_tiny": "peer: the original two-dimensional network in tf_keras; error of an activation, absolute",
}


class ParityError(ValueError):
    """The comparison cannot be made. The message is one line that says what to do."""


# --- inputs ----------------------------------------------------------------------------------------------------------


def _floats(low, high):
    return st.floats(low, high, width=32, allow_subnormal=False)


@st.composite
def _noise(draw, batch, samples):
    """Noise of any level, some of it silent: full arrays drawn value by value would be mostly equal values."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    level = 10 ** draw(_floats(-2.5, 0.0))
    return (level * rng.uniform(-1, 1, (batch, samples))).astype(np.float32)


@st.composite
def _outputs(draw, *shape):
    """What an untrained or a trained network may say: normal numbers of any spread around any level."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return (draw(_floats(-3, 3)) + draw(_floats(0.125, 3)) * rng.standard_normal(shape)).astype(np.float32)


@st.composite
def _melody(draw, batch, frames):
    """Fundamentals in Hz: a few notes joined by glides, with vibrato."""
    notes = draw(arrays(np.float32, (batch, 5), elements=_floats(40, 1200)))
    position = np.linspace(0, 4, frames)
    glide = np.stack([np.interp(position, np.arange(5), np.log2(line)) for line in notes])
    vibrato = draw(_floats(0, 0.5)) / 12 * np.sin(2 * np.pi * draw(_floats(1, 8)) * np.arange(frames) / 250)
    return (2 ** (glide + vibrato))[..., None].astype(np.float32)


@st.composite
def _questions(draw):
    """Arguments for every function at once."""
    frames, bands = draw(st.sampled_from([50, 125, 250])), draw(st.sampled_from([9, 33, 65]))
    samples = draw(st.integers(4096, 20000))
    return {
        "exp_sigmoid": {"x": draw(arrays(np.float32, (64,), elements=_floats(-15, 15)))},
        "upsampling_hann": {"frames": draw(_outputs(2, frames, 3)), "hop_length": np.int64(draw(st.integers(2, 100)))},
        "upsampling_linear": {
            "frames": draw(_outputs(2, frames, 1)),
            "hop_length": np.int64(draw(st.integers(2, 100))),
        },
        "harmonic_synthesis": {
            "f0": draw(_melody(2, 1000)),
            "amplitude": draw(_outputs(2, 1000, 1)),
            "distribution": draw(_outputs(2, 1000, 60)),
        },
        "filtered_noise": {"magnitudes": draw(_outputs(2, frames, bands)), "noise": draw(_noise(2, frames * 64))},
        "reverb": {"audio": draw(_noise(2, samples)), "impulse_response": draw(_noise(1, draw(st.integers(2, 8000))))},
        "loudness": {"audio": draw(_noise(2, samples))},
        "spectral_loss": {"target": draw(_noise(2, samples)), "audio": draw(_noise(2, samples))},
        "crepe_tiny": {"frames": draw(_crepe_frames())},
    }


@st.composite
def _crepe_frames(draw):
    """Harmonic tones in noise, cut and normalised as CREPE hears them."""
    f0, level = draw(_floats(50, 1500)), draw(_floats(0, 1))
    t = np.arange(4096) / crepe.SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * k * f0 * t) / k for k in range(1, 6) if k * f0 < 8000)
    return crepe.frames(tone + level * draw(_noise(1, 4096))[0], 512)[0].astype(np.float32)


def questions(cases):
    """The arguments of each case, drawn by hypothesis and the same in each run.

    Returns
    -------
    list of dict
        function -> argument -> np.ndarray
    """
    drawn = []

    @hypothesis.settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(_questions())
    def collect(arguments):
        drawn.append(arguments)

    collect()
    return drawn[:cases]


# --- answers ---------------------------------------------------------------------------------------------------------


def our_answers(network):
    """The same functions as `oracle.ANSWERS`, as this chapter computes them."""
    from ddsp_models import synthesisers as ds
    from ddsp_models.loudness import loudness
    from ddsp_models.spectral_loss import spectral_loss

    harmonic, room = ds.Harmonic(), ds.Reverb(taps=2)
    return {
        "exp_sigmoid": ds.exp_sigmoid,
        "upsampling_hann": lambda frames, hop_length: ds.upsample(frames, int(hop_length)),
        "upsampling_linear": lambda frames, hop_length: ds.upsample(frames, int(hop_length), "linear"),
        "harmonic_synthesis": lambda f0, amplitude, distribution: harmonic(amplitude, distribution, f0),
        "filtered_noise": lambda magnitudes, noise: ds.fir_filter(noise, ds.exp_sigmoid(magnitudes - 5.0), latency=2),
        "reverb": lambda audio, impulse_response: room.signal(audio, impulse_response[0]),
        "loudness": loudness,
        "spectral_loss": spectral_loss,
        "crepe_tiny": lambda frames: network(frames, training=False),
    }


def their_answers(python, drawn, weights):
    """Ask ddsp and the original CREPE.

    Parameters
    ----------
    python : Path
        of the environment that has ddsp 3.7.0.
    drawn : list of dict
        of `questions`.
    weights : Path
        of CREPE tiny.

    Returns
    -------
    answers : dict
        "<function>/<case>" -> np.ndarray
    versions : str
    """
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        named = {
            f"{f}/{i}/{key}": value for i, case in enumerate(drawn) for f in case for key, value in case[f].items()
        }
        np.savez(folder / "questions.npz", **named)
        content = weights.read_bytes()
        (folder / "weights.h5").write_bytes(bz2.decompress(content) if content[:3] == b"BZh" else content)
        command = [python, Path(__file__).with_name("reference.py"), folder / "questions.npz", folder / "answers.npz"]
        quiet = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        quiet.pop("PYTHONPATH", None)
        done = subprocess.run([*command, folder / "weights.h5"], env=quiet, capture_output=True, text=True)
        if done.returncode:
            reason = done.stderr.strip().split("\n")[-1]
            raise ParityError(f"{python}: cannot answer ({reason}); it needs {' '.join(sum(PACKAGES, []))}")
        with np.load(folder / "answers.npz") as file:
            answers = {name: file[name] for name in file.files}
    return answers, str(answers.pop("versions"))


def compare(drawn, theirs, network):
    """Largest difference of each function over all cases, as records for the result file."""
    records = []
    for name, answer in our_answers(network).items():
        errors, shipped = [], []
        for i, case in enumerate(drawn):
            ours, peer = keras.ops.convert_to_numpy(answer(**case[name])), theirs[f"{name}/{i}"]
            if name == "harmonic_synthesis":
                peer, single = peer
                shipped.append(_error(single, peer))
            elif name == "loudness":
                peer = peer[:, : ours.shape[1]]
            errors.append(_error(ours, peer, 1.0 if name == "crepe_tiny" else None))
        records.append(
            _record(name, "max_error", max(errors), CREPE_LIMIT if name == "crepe_tiny" else LIMIT, len(drawn))
        )
        if shipped:
            records.append(_record(f"{name}_float32", "peer_error", max(shipped), None, len(drawn)))
    return records


def _error(ours, peer, scale=None):
    """Largest difference, as a share of the peer's largest value or of `scale`; infinite where shapes or NaN differ."""
    if ours.shape != peer.shape or not (np.isfinite(ours).all() and np.isfinite(peer).all()):
        return float("inf")
    difference = float(np.abs(ours.astype(np.float64) - peer).max())
    return difference / (scale or float(np.abs(peer).max()) or 1.0)


def a_minute():
    """The harmonic oscillator over 60 s against float64: a tone with vibrato that climbs an octave, 20 harmonics."""
    from ddsp_models.synthesisers import harmonic_blocks

    t = np.arange(15000) / 250
    f0 = (196.0 * 2 ** (t / 60 + 0.3 / 12 * np.sin(2 * np.pi * 5.5 * t))).astype(np.float32)
    amplitudes = np.full((1, 15000, 20), 1 / 20, np.float32)
    ours = np.concatenate(list(harmonic_blocks(f0[None, :, None], amplitudes)), axis=1)[0]
    f0 = f0.astype(np.float64)
    frequency = np.interp(np.arange(960000) / 64, np.arange(15001), np.append(f0, f0[-1]))
    theta = 2 * np.pi * np.cumsum(frequency) / 16000
    peer = sum(np.sin(k * theta) for k in range(1, 21)) / 20
    error = float(np.abs(ours - peer).max())
    return _record("harmonic_synthesis_60s", "max_error", error, FULL_SCALE_LIMIT, 1)


def a_voice(folder):
    """Raw pitch accuracy of CREPE tiny with Viterbi decoding on vocadito 1, at the annotation's own times."""
    audio, rate = load(folder / "vocadito_1.wav", mono=True)
    annotated = np.loadtxt(folder / "vocadito_1_f0.csv", delimiter=",")  # s, Hz (0 where unvoiced)
    found = track_pitch(resample(audio, rate, crepe.SAMPLE_RATE), crepe.SAMPLE_RATE, "crepe", size="tiny")
    frame = np.clip(np.round(annotated[:, 0] * 250).astype(int), 0, len(found.f0) - 1)
    accuracy = raw_pitch_accuracy(annotated[:, 1], found.f0[frame])
    return _record("vocadito_1", "raw_pitch_accuracy", accuracy, ACCURACY_LIMIT, 1)


def _record(check, metric, value, limit, cases):
    """One line of the result file. Errors pass below their limit, accuracies above it, and without one all pass."""
    passed = limit is None or (value >= limit if metric == "raw_pitch_accuracy" else value <= limit)
    record = {"check": check, "metric": metric, "value": value, "limit": limit, "passed": passed, "cases": cases}
    return {**record, "note": NOTES[check]} if check in NOTES else record


# --- command ---------------------------------------------------------------------------------------------------------


def environment(folder=ENVIRONMENT):
    """Python of an environment with ddsp 3.7.0, which is made (about 2 GB) where it is not there yet."""
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    if sys.version_info[:2] not in ((3, 10), (3, 11), (3, 12)):
        raise ParityError(f"Python {sys.version_info[0]}.{sys.version_info[1]}: ddsp's TensorFlow needs 3.10 to 3.12")
    print(f"making {folder.name}", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    for packages in PACKAGES:
        done = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ParityError(f"{folder.name}: pip cannot install {' '.join(packages)}: {done.stderr.strip()[-200:]}")
    with atomic_path(folder / "complete") as mark:
        mark.touch()
    return python


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m ddsp_models.parity.compare", description=__doc__.split("\n")[0])
    parser.add_argument("--python", type=Path, help="of an environment that has ddsp 3.7.0 (default: .venv-parity)")
    parser.add_argument("--cases", type=int, default=10, help="per function (default: 10)")
    parser.add_argument("--voice", type=Path, help="folder with vocadito_1.wav and vocadito_1_f0.csv (default: skip)")
    parser.add_argument(
        "--to", type=Path, default=results.RESULTS / "parity.json", help="(default: results/parity.json)"
    )
    options = parser.parse_args(arguments)
    start = time.time()
    try:
        if options.cases < 1:
            raise ParityError(f"--cases: {options.cases} found, at least 1 expected")
        weights = crepe.weights_path("tiny")
        network = crepe.load_model("tiny", weights)
        drawn = questions(options.cases)
        theirs, peer = their_answers(options.python or environment(), drawn, weights)
        records = [*compare(drawn, theirs, network), a_minute()]
        if options.voice:
            records.append(a_voice(options.voice))
    except ValueError as error:  # AudioError and WeightsError are such
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    for record in records:
        limit = (
            ""
            if record["limit"] is None
            else f"limit {record['limit']:g}: {'passed' if record['passed'] else 'FAILED'}"
        )
        print(f"{record['check']:28s}{record['metric']:20s}{record['value']:<10.3g}{limit}")
    head = results.head("parity", config={"cases": options.cases, "peer": peer}, seed=0, data=sha256_of(weights))
    results.write(options.to, {**head, "seconds": round(time.time() - start, 1), "records": records})
    print(f"wrote {options.to.relative_to(results.ROOT) if options.to.is_relative_to(results.ROOT) else options.to}")
    return 0 if all(record["passed"] for record in records) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Does this chapter compute what ddsp 3.7.0 and the published CREPE compute? python -m ddsp_models.parity.compare

Inputs are drawn at random, the same in every run. `reference.py` computes the peers' outputs with the Python of an
environment of their own, which `make parity` makes (ddsp does not install with a current TensorFlow). The largest
differences go to results/parity.json.
"""

import bz2
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from common import results
from common.checks import expect
from common.command import command
from common.files import sha256_of
from common.places import HERE, ROOT
from ddsp_models import synthesisers as ds
from ddsp_models.loudness import loudness
from ddsp_models.pitch import crepe
from ddsp_models.pitch.evaluation import recorded_voice
from ddsp_models.pitch.tracking import raw_pitch_accuracy, track_pitch
from ddsp_models.spectral_loss import spectral_loss
from ddsp_models.streaming import stream

PEER = ROOT / ".venv-parity" / "bin" / "python"
LIMITS = {  # 1e-4 of the largest value in the peer's output, except for these:
    "crepe_tiny": 1e-5,  # of an activation, which lies in [0, 1]
    "harmonic_synthesis_60s": 1e-3,  # of full scale, after a minute
    "vocadito_1": 0.95,  # share of voiced frames within 50 cents
    "harmonic_synthesis_float32": None,
}
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


# --- inputs ----------------------------------------------------------------------------------------------------------


def questions(cases):
    """Arguments of every function, the same in each run: a list of {function: {argument: np.ndarray}}, one per case."""
    return [_questions(np.random.default_rng(case)) for case in range(cases)]


def _questions(rng):
    """The arguments of one case."""
    frames, bands, samples = rng.choice([50, 125, 250]), rng.choice([9, 33, 65]), rng.integers(4096, 20000)
    hops = rng.integers(2, 100, 2)
    return {
        "exp_sigmoid": {"x": rng.uniform(-15, 15, 64).astype(np.float32)},
        "upsampling_hann": {"frames": _outputs(rng, 2, frames, 3), "hop_length": hops[0]},
        "upsampling_linear": {"frames": _outputs(rng, 2, frames, 1), "hop_length": hops[1]},
        "harmonic_synthesis": {
            "f0": _melody(rng, 2, 1000),
            "amplitude": _outputs(rng, 2, 1000, 1),
            "distribution": _outputs(rng, 2, 1000, 60),
        },
        "filtered_noise": {"magnitudes": _outputs(rng, 2, frames, bands), "noise": _noise(rng, 2, frames * 64)},
        "reverb": {"audio": _noise(rng, 2, samples), "impulse_response": _noise(rng, 1, rng.integers(2, 8000))},
        "loudness": {"audio": _noise(rng, 2, samples)},
        "spectral_loss": {"target": _noise(rng, 2, samples), "audio": _noise(rng, 2, samples)},
        "crepe_tiny": {"frames": _crepe_frames(rng)},
    }


def _noise(rng, *shape):
    """Uniform noise of any level between -50 and 0 dB of full scale."""
    return (10 ** rng.uniform(-2.5, 0.0) * rng.uniform(-1, 1, shape)).astype(np.float32)


def _outputs(rng, *shape):
    """Outputs of an untrained or a trained network: normal numbers of any spread around any level."""
    return (rng.uniform(-3, 3) + rng.uniform(0.125, 3) * rng.standard_normal(shape)).astype(np.float32)


def _melody(rng, batch, frames):
    """f0 in Hz: a few notes joined by glides, with vibrato."""
    position, notes = np.linspace(0, 4, frames), np.log2(rng.uniform(40, 1200, (batch, 5)))
    glide = [np.interp(position, np.arange(5), melody) for melody in notes]
    vibrato = rng.uniform(0, 0.5) / 12 * np.sin(2 * np.pi * rng.uniform(1, 8) * np.arange(frames) / 250)
    return (2 ** (np.stack(glide) + vibrato))[..., None].astype(np.float32)


def _crepe_frames(rng):
    """Harmonic tones in noise, cut and normalised as inputs of CREPE."""
    f0, t = rng.uniform(50, 1500), np.arange(4096) / crepe.SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * k * f0 * t) / k for k in range(1, 6) if k * f0 < 8000)
    return crepe.frames(tone + _noise(rng, 4096), 512)[0].astype(np.float32)


# --- answers ---------------------------------------------------------------------------------------------------------


def our_answers(network):
    """The same functions as `reference.ANSWERS`, as this chapter computes them."""
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
    """Outputs of ddsp and the original CREPE.

    Parameters
    ----------
    python : Path
        of the environment that has ddsp 3.7.0.
    drawn : list of dict
        as returned by `questions`.
    weights : Path
        of CREPE tiny.

    Returns
    -------
    answers : dict
        "<function>/<case>" -> np.ndarray
    versions : str
    """
    named = {f"{f}/{i}/{key}": value for i, case in enumerate(drawn) for f in case for key, value in case[f].items()}
    content = weights.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("questions.npz", "answers.npz", "weights.h5")]
        np.savez(files[0], **named)
        files[2].write_bytes(bz2.decompress(content) if content[:3] == b"BZh" else content)
        quiet = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
            "TF_USE_LEGACY_KERAS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        done = subprocess.run(
            [python, Path(__file__).with_name("reference.py"), *files], env=quiet, capture_output=True, text=True
        )
        reason = (done.stderr.strip() or "nothing").splitlines()[-1]
        expect(not done.returncode, python, "an environment with ddsp 3.7.0 (`make parity` makes one)", reason)
        with np.load(files[1]) as file:
            answers = dict(file)
    return answers, str(answers.pop("versions"))


def compare(drawn, theirs, network):
    """Largest difference of each function over all cases, as records for the result file."""
    records = []
    for name, answer in our_answers(network).items():
        ours = [keras.ops.convert_to_numpy(answer(**case[name])) for case in drawn]
        peers, others = [theirs[f"{name}/{i}"] for i in range(len(drawn))], []
        if name == "harmonic_synthesis":  # in float64, and as it ships
            cost = max(_error(single, double) for double, single in peers)
            others = [_record(f"{name}_float32", "peer_error", cost, len(drawn))]
            peers = [double for double, _ in peers]
        if name == "loudness":
            peers = [peer[:, : our.shape[1]] for our, peer in zip(ours, peers)]
        worst = max(_error(our, peer, 1.0 if name == "crepe_tiny" else None) for our, peer in zip(ours, peers))
        records += [_record(name, "max_error", worst, len(drawn)), *others]
    return records


def _error(ours, peer, scale=None):
    """Largest difference, relative to the peer's largest value or to `scale`; infinite if shapes differ or for NaN."""
    if ours.shape != peer.shape or not (np.isfinite(ours).all() and np.isfinite(peer).all()):
        return float("inf")
    return float(np.abs(ours.astype(np.float64) - peer).max()) / (scale or float(np.abs(peer).max()) or 1.0)


def a_minute():
    """The harmonic oscillator over 60 s against float64: a tone with vibrato that climbs an octave, 20 harmonics."""
    t = np.arange(15000) / 250
    f0 = (196.0 * 2 ** (t / 60 + 0.3 / 12 * np.sin(2 * np.pi * 5.5 * t))).astype(np.float32)
    blocks = ({"f0": x[None, :, None], "amplitudes": np.full((1, 1000, 20), 1 / 20)} for x in np.split(f0, 15))
    ours = np.concatenate(list(stream(blocks)), axis=1)[0]
    f0 = f0.astype(np.float64)
    frequency = np.interp(np.arange(960000) / 64, np.arange(15001), np.append(f0, f0[-1]))
    theta = 2 * np.pi * np.cumsum(frequency) / 16000
    peer = sum(np.sin(k * theta) for k in range(1, 21)) / 20
    return _record("harmonic_synthesis_60s", "max_error", float(np.abs(ours - peer).max()), 1)


def a_voice(folder):
    """Raw pitch accuracy of CREPE tiny with Viterbi decoding on vocadito 1, at the annotation's own times."""
    audio, times, f0 = recorded_voice(folder)
    pitch = track_pitch(audio, crepe.SAMPLE_RATE, "crepe", size="tiny")
    frame = np.clip(np.round(times * 250).astype(int), 0, len(pitch.f0) - 1)
    return _record("vocadito_1", "raw_pitch_accuracy", raw_pitch_accuracy(f0, pitch.f0[frame]), 1)


def _record(check, metric, value, cases):
    """A record of the result file. Errors pass below their limit, accuracies above it, and all if it is None."""
    limit = LIMITS.get(check, 1e-4)
    passed = limit is None or (value >= limit if metric == "raw_pitch_accuracy" else value <= limit)
    record = {"check": check, "metric": metric, "value": value, "limit": limit, "passed": passed, "cases": cases}
    return {**record, "note": NOTES[check]} if check in NOTES else record


# --- command ---------------------------------------------------------------------------------------------------------


def run(out=HERE.results / "parity.json", python=PEER, cases=10, voice=None):
    """Compare everything and write the result file: the path, and whether all is within its limit."""
    expect(cases >= 1, "--cases", "at least 1", cases)
    start, weights, drawn = time.time(), crepe.weights_path("tiny"), questions(cases)
    network = crepe.load_model("tiny", weights)
    theirs, peer = their_answers(python, drawn, weights)
    records = [*compare(drawn, theirs, network), a_minute(), *([a_voice(voice)] if voice else [])]
    for record in records:
        verdict = "passed" if record["passed"] else "FAILED"
        print(f"{record['check']:28s}{record['metric']:20s}{record['value']:<10.3g}limit {record['limit']}: {verdict}")
    head = results.head("parity", config={"cases": cases, "peer": peer}, seed=0, data=sha256_of(weights))
    results.write(out, {**head, "seconds": round(time.time() - start, 1), "records": records})
    return out, all(record["passed"] for record in records)


def main(arguments=None):
    """The command. Returns its exit status: 0, 1 if a limit is exceeded, or 2 with one line on stderr."""
    passed = []

    def write(**options):
        path, within = run(**options)
        passed.append(within)
        return [path]

    return command(
        "ddsp_models.parity.compare",
        __doc__,
        write,
        {
            "--python": {"type": Path, "default": PEER, "help": "of an environment with ddsp 3.7.0 (.venv-parity's)"},
            "--cases": {"type": int, "default": 10, "help": "inputs for each function (default: 10)"},
            "--voice": {"type": Path, "help": "folder with vocadito_1.wav and vocadito_1_f0.csv (default: skip)"},
            "--out": {"type": Path, "default": HERE.results / "parity.json", "help": "(default: results/parity.json)"},
        },
        arguments,
    ) or int(not all(passed))


if __name__ == "__main__":
    sys.exit(main())

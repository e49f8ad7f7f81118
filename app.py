"""Separate your own song in the browser: python app.py, or `make app`, opens a page that this machine alone can reach.

The page takes a sound file, shows how far the separation is, and plays, draws and offers the stems.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # no request to any other machine
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import gradio as gr
import matplotlib
import numpy as np
from gradio.utils import get_upload_folder

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import display
from audio_processing.audio_processing import AudioError, load, open_audio
from common.command import options_of
from separate import DEFAULT, SEPARATORS, separate_file

LARGEST = 300  # MB of a file that may be uploaded
LONGEST = 30 * 60  # s of a song
PATIENCE = 20 * 60  # s that separating it may take
SHOWN = 60.0  # s of a song that are drawn
PLAYERS = 6  # stems with a player


def own_upload(path):
    """The path of a file that was uploaded to this page; any other file of this machine is refused.

    Raises
    ------
    AudioError
    """
    path = Path(path).resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
        raise AudioError("song: expected a file that was uploaded to this page")
    return path


def checked(path, longest=LONGEST):
    """The path of a sound file; one that is no sound or would take too long is refused before anything is computed.

    Raises
    ------
    AudioError
    """
    with open_audio(path) as sound:
        seconds = len(sound) / sound.samplerate
    if seconds > longest:
        raise AudioError(
            f"{Path(path).name}: expected at most {longest / 60:.0f} minutes, got {seconds / 60:.0f};"
            " `python separate.py` takes any length"
        )
    return path


def pictures(files):
    """One figure with the spectrogram of each file, on one time axis."""
    figure, axes = plt.subplots(len(files), 1, figsize=(9, 1.9 * len(files)), sharex=True, layout="constrained")
    for axis, path in zip(np.atleast_1d(axes), files):
        audio, rate = load(path, mono=True)
        display.spectrogram(audio[: int(SHOWN * rate)], rate, ax=axis, title=path.stem)
    plt.close(figure)
    return figure


def separated(song, model, progress=gr.Progress(track_tqdm=True)):  # noqa: B008 - gradio looks for it there
    """Separate an uploaded song: called by the button.

    Returns
    -------
    list
        a player for each of at most six stems, the picture, and the files to be downloaded.
    """
    if not song:
        raise gr.Error("Choose a song first.")
    try:
        path = checked(own_upload(song))
        files = separate_file(path, model, tempfile.mkdtemp(prefix="stems-", dir=get_upload_folder()), limit=PATIENCE)
    except (AudioError, ValueError, OSError) as error:
        raise gr.Error(str(error).replace(f"{Path(song).parent}{os.sep}", ""), print_exception=False) from error
    players = [gr.Audio(str(file), label=file.stem, visible=True) for file in files]
    players += [gr.Audio(None, visible=False)] * (PLAYERS - len(files))
    return [*players, pictures(files), [str(file) for file in files]]


def build():
    """The page, as a `gradio.Blocks`."""
    with gr.Blocks(title="Separate a song", analytics_enabled=False) as page:
        gr.Markdown(
            "# Separate a song\nChoose a sound file and a separator. Stems and residual add up to the song; nothing"
            " leaves this machine."
        )
        with gr.Row():
            song = gr.File(label="song (wav, flac, ogg, mp3, m4a)", type="filepath", file_types=["audio"])
            model = gr.Dropdown(
                [(row.label, row.name) for row in SEPARATORS.values()], value=DEFAULT, label="separator"
            )
        button = gr.Button("Separate", variant="primary")
        players = [gr.Audio(visible=False, interactive=False, buttons=["download"]) for _ in range(PLAYERS)]
        picture = gr.Plot(label="spectrograms")
        files = gr.Files(label="the stems as files", interactive=False)
        button.click(separated, [song, model], [*players, picture, files], api_name="separate", concurrency_limit=1)
    return page


def launch(port=None, **options):
    """Serve the page on the loopback interface."""
    return build().launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        max_file_size=f"{LARGEST}mb",
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"]),  # no fonts from elsewhere
        footer_links=[],
        **options,
    )


def main(arguments=None):
    options = options_of(
        "app.py",
        __doc__,
        {
            "--port": dict(type=int, help="(default: the first free one from 7860)"),
            "--open": dict(action="store_true", help="open the page in the browser"),
        },
        arguments,
    )
    try:
        launch(options.port, inbrowser=options.open)
    except OSError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

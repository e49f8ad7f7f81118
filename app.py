"""Separate your own song in the browser: python app.py, or `make app`, opens a page that this machine alone can reach.

The page takes a sound file, shows how far the separation is, and plays, draws and offers the stems. A song is deleted
once it is separated, its stems when those of the next song are there, and everything when the program ends.
"""

import errno
import os
import shutil
import signal
import socket
import tempfile
import time
from functools import partial
from pathlib import Path

from common import terminal
from common.command import options_of  # before what takes seconds: Ctrl-C is one line from here on

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
from audio_processing.sound_files import OURS, THEIRS
from separate import DEFAULT, SEPARATORS, separate_file

HOST = "127.0.0.1"
PORTS = range(7860, 7960)  # gradio's
LARGEST = 300  # MB of a file that may be uploaded
LONGEST = 30 * 60  # s of a song
PATIENCE = 20 * 60  # s that separating it may take
SHOWN = 60.0  # s of a song that are drawn
PLAYERS = 6  # stems with a player
KEPT = 2 * 60 * 60  # s that a file is kept of which the page hears no more


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
    """What a user should know of how a sound file is read, a list of lines; one that is no sound or would take too long
    is refused before anything is computed.

    Raises
    ------
    AudioError
    """
    with open_audio(path) as sound:
        seconds, notes = len(sound) / sound.samplerate, sound.notes
    if seconds > longest:
        raise AudioError(
            f"{Path(path).name}: expected at most {longest / 60:.0f} minutes, got {seconds / 60:.0f};"
            " `python separate.py` takes any length"
        )
    return notes


def pictures(files):
    """One figure with the spectrogram of each file, on one time axis."""
    figure, axes = plt.subplots(len(files), 1, figsize=(9, 1.9 * len(files)), sharex=True, layout="constrained")
    for axis, path in zip(np.atleast_1d(axes), files):
        audio, rate = load(path, mono=True)
        display.spectrogram(audio[: int(SHOWN * rate)], rate, ax=axis, title=path.stem)
    plt.close(figure)
    return figure


def said(message, path):
    """A message about an upload as the page shows it: without the folder, and with options as the command has them."""
    line = terminal.printable(message).replace(f"{Path(path).parent}{os.sep}", "")
    return line.replace("--stream N", "`python separate.py --stream N`")


def forget(folder):
    """Delete a folder, if there is one; again, if a separation that still runs writes there meanwhile."""
    for _ in range(100 if folder else 0):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            break
        time.sleep(0.02)


def separated(song, model, earlier, progress=gr.Progress(track_tqdm=True)):  # noqa: B008 - gradio looks for it there
    """Separate an uploaded song: called by the button. The upload is deleted, and the stems that the page showed.

    Parameters
    ----------
    song : str
    model : str
    earlier : str or None
        folder of the stems that the page shows.

    Returns
    -------
    list
        a player for each of at most six stems, the picture, the files to be downloaded, and their folder.
    """
    if not song:
        raise gr.Error("Choose a song first.", print_exception=False)
    path, folder = Path(song), None
    try:
        path = own_upload(song)
        try:
            for note in checked(path):
                gr.Info(said(note, path))
            folder = tempfile.mkdtemp(prefix="stems-", dir=get_upload_folder())
            files = separate_file(path, model, folder, limit=PATIENCE)
            picture = pictures(files)
        finally:
            path.unlink(missing_ok=True)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        forget(folder)
        raise gr.Error(said(terminal.reason(error), path), print_exception=False) from error
    forget(earlier)
    players = [gr.Audio(str(file), label=file.stem, visible=True) for file in files]
    players += [gr.Audio(None, visible=False)] * (PLAYERS - len(files))
    return [*players, picture, [str(file) for file in files], folder]


def build():
    """The page, as a `gradio.Blocks`."""
    with gr.Blocks(title="Separate a song", analytics_enabled=False, delete_cache=(KEPT // 12, KEPT)) as page:
        gr.Markdown(
            "# Separate a song\nChoose a sound file and a separator. Stems and residual add up to the song; nothing"
            " leaves this machine. Download the stems that you want to keep: those of the next song replace them.\n\n"
            f"Formats: {OURS}; with ffmpeg also {THEIRS}."
        )
        with gr.Row():
            song = gr.File(label="song", type="filepath")  # of any ending, as for separate.py
            model = gr.Dropdown(
                [(row.label, row.name) for row in SEPARATORS.values()], value=DEFAULT, label="separator"
            )
        button = gr.Button("Separate", variant="primary")
        players = [gr.Audio(visible=False, interactive=False, buttons=["download"]) for _ in range(PLAYERS)]
        picture = gr.Plot(label="spectrograms")
        files = gr.Files(label="the stems as files", interactive=False)
        folder = gr.State(None, delete_callback=forget)  # an hour after the page was closed
        results = [*players, picture, files, folder]
        done = button.click(separated, [song, model, folder], results, api_name="separate", concurrency_limit=1)
        for then in (done.success, done.failure):  # the upload is gone
            then(lambda: None, None, song, api_visibility="private")
    return page


def launch(port=None, **options):
    """Serve the page on the loopback interface.

    Returns
    -------
    str
        its address.
    """
    _, address, _ = build().launch(
        server_name=HOST,
        server_port=port,
        share=False,
        max_file_size=f"{LARGEST}mb",
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"]),  # no fonts from elsewhere
        footer_links=[],
        quiet=True,
        prevent_thread_lock=True,
        **options,
    )
    return address


def free_port(port=None):
    """A port that nobody listens on: this one, or the first of `PORTS`.

    Raises
    ------
    ValueError
        if there is none; the message names the option.
    """
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"--port: expected a number from 1 to 65535, got {port}")
    for each in PORTS if port is None else [port]:
        with socket.socket() as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of a page that has just ended
            try:
                probe.bind((HOST, each))
                return each
            except OSError as error:
                used = error.errno == errno.EADDRINUSE
                reason = "is in use; choose another or leave it out" if used else f"cannot be used ({error.strerror})"
    if port is None:
        raise ValueError(f"--port: {PORTS[0]} to {PORTS[-1]} are in use; choose another")
    raise ValueError(f"--port: {port} {reason}")


def serve(folder, port=None, inbrowser=False):
    """Serve the page until Ctrl-C. All that it writes is in `folder`."""
    port = free_port(port)
    for ending in ("SIGTERM", "SIGHUP"):  # kill, a terminal that is closed
        if signal.getsignal(getattr(signal, ending, signal.SIGINT)) == signal.SIG_DFL:
            signal.signal(getattr(signal, ending), signal.default_int_handler)
    tempfile.tempdir = folder  # what ffmpeg decodes
    os.environ["GRADIO_TEMP_DIR"] = gr.routes.DEFAULT_TEMP_DIR = str(Path(folder) / "page")
    Path(get_upload_folder()).mkdir()
    address = launch(port, inbrowser=inbrowser)
    print(f"The page is at {address} until Ctrl-C ends it.", flush=True)
    while True:
        time.sleep(0.5)


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
    folder = tempfile.mkdtemp(prefix="separate-page-")
    page = partial(serve, folder, options.port, options.open)
    status = terminal.ended("app.py", page, "ended; uploads and stems are deleted")
    forget(folder)  # last: what still runs in a thread would write again
    return status


if __name__ == "__main__":
    os._exit(main())  # Python would wait for a separation that still runs in its thread

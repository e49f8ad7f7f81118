"""The player as headless Chromium plays it: what reaches the speakers is recorded and measured, not what it reports.

Each stem is a tone of its own frequency that swells for some milliseconds at known moments, the same in all stems. The
sources' outputs are tapped on their way, each into a channel of its own, and so is the sum that reaches the speakers.
"""

import json
import re

import numpy as np
import pytest

from player import html
from player.clips import mp3

pytestmark = pytest.mark.slow
RATE, SECONDS = 16000, 6.0
TONES = {"drums": 500, "bass": 1000, "other": 2000, "vocals": 4000}  # Hz
SWELLS = np.arange(0.25, SECONDS, 0.5)  # s

TAPS = """
(() => {
  const connect = AudioNode.prototype.connect, start = AudioBufferSourceNode.prototype.start;
  const Native = AudioBufferSourceNode;
  window.starts = [];
  window.taps = null;
  const listen = (context) => {
    const count = 12; // channels: up to eleven sources, and the sum
    const merger = new ChannelMergerNode(context, { numberOfInputs: count });
    const recorder = context.createScriptProcessor(4096, count, 1);
    window.taps = { merger, recorder, blocks: [], next: 0, ids: new Map(), on: false, rate: context.sampleRate };
    recorder.onaudioprocess = (event) => {
      if (!window.taps.on) return;
      const input = event.inputBuffer;
      window.taps.blocks.push(Array.from({ length: count }, (_, i) => input.getChannelData(i).slice()));
    };
    connect.call(merger, recorder);
    connect.call(recorder, context.destination);
  };
  AudioNode.prototype.connect = function (to, ...rest) {
    if (!window.taps) listen(this.context);
    if (this instanceof Native) {
      if (!window.taps.ids.has(to)) window.taps.ids.set(to, window.taps.ids.size); // one channel per clip's gain
      connect.call(this, window.taps.merger, 0, window.taps.ids.get(to));
    } else if (to === this.context.destination) {
      connect.call(this, window.taps.merger, 0, 11);
    }
    return connect.call(this, to, ...rest);
  };
  AudioBufferSourceNode.prototype.start = function (when, offset) {
    window.starts.push([when, offset, this.buffer.length, this.context.currentTime]);
    return start.call(this, when, offset);
  };
})();
"""

# Envelope of a channel, 1 ms per value: the largest magnitude in it.
ENVELOPES = """
(() => {
  const { blocks, rate } = window.taps, step = rate / 1000;
  return Array.from({ length: 12 }, (_, channel) => {
    const found = [];
    let left = step, most = 0;
    for (const block of blocks) for (const x of block[channel]) {
      if (Math.abs(x) > most) most = Math.abs(x);
      if (--left <= 0) { found.push(Math.round(1e4 * most) / 1e4); most = 0; left += step; }
    }
    return found;
  });
})()
"""

# Amplitudes in the sum, over its last 200 ms, at the stems' frequencies.
HEARD = """
(async () => {
  await new Promise((done) => setTimeout(done, 500));
  const { blocks, rate } = window.taps, sum = [];
  for (const block of blocks.slice(-3)) sum.push(...block[11]);
  return %s.map((frequency) => {
    let re = 0, im = 0;
    sum.forEach((x, n) => {
      const angle = 2 * Math.PI * frequency * n / rate, hann = 1 - Math.cos(2 * Math.PI * n / sum.length);
      re += hann * x * Math.cos(angle);
      im += hann * x * Math.sin(angle);
    });
    return 2 * Math.hypot(re, im) / sum.length;
  });
})()
""" % list(TONES.values())  # noqa: UP031, braces are JavaScript's here


def stem(frequency, level=1.0):
    t = np.arange(int(RATE * SECONDS)) / RATE
    swells = np.exp(-0.5 * ((t[:, None] - SWELLS) / 0.004) ** 2).sum(axis=1)
    return level * (0.02 + 0.13 * swells) * np.sin(2 * np.pi * frequency * t)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """A page of two players as notebooks have them: a mixture and four stems, two estimated too; and two clips."""
    stems = {name: stem(frequency) for name, frequency in TONES.items()}
    rows = {"mixture": {"true": mp3(sum(stems.values()), RATE)}}
    # estimates at half the level, so that one can hear which version sounds
    for name, each in stems.items():
        rows[name] = {"true": mp3(each, RATE)} | ({"ours": mp3(0.5 * each, RATE)} if name in ("bass", "vocals") else {})
    clips = {"long": {"": mp3(stem(500), RATE)}, "short": {"": mp3(stem(1000)[: 2 * RATE], RATE)}}
    parts = html.table(rows, SECONDS, RATE, together=True, caption="a song") + html.program()
    parts += html.table(clips, SECONDS, RATE, together=False) + html.program()
    file = tmp_path_factory.mktemp("player") / "a page with spaces.html"
    style = "<style>:root { color-scheme: light dark; }</style>"
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>Player</title>{style}"
    file.write_text(f"{head}<main><h1>Player</h1>{parts}</main></html>")
    return file


@pytest.fixture
def page(page_file, browser):
    opened = browser.page(page_file, before=TAPS)
    opened.until("document.querySelectorAll('.mss-player[data-ready]').length === 2")
    yield opened
    ours = re.compile("ScriptProcessor|willReadFrequently")  # what the taps and the looks at the canvases bring about
    assert [line for line in opened.console_errors() if not ours.search(line)] == []
    assert opened.requests() == [page_file.as_uri()]


def play(page):
    """Press play and wait until sound flows."""
    page.click(".mss-play")
    page.until("window.starts.length > 0 && document.querySelector('.mss-play').textContent.includes('Pause')")
    page.js("window.taps.on = true")


@pytest.fixture
def looping(page):
    """The page, of which the first player plays again and again."""
    page.click(".mss-bar button:nth-of-type(2)")
    play(page)
    return page


def heard(page):
    """Names of the stems in what reaches the speakers."""
    return {name for name, amplitude in zip(TONES, page.js(HEARD)) if amplitude > 2e-3}


def time_of(page):
    return float(page.js("document.querySelector('.mss-time').textContent").split(" / ")[0])


def pressed(page, label):
    return page.js(f"document.querySelector('[aria-label=' + JSON.stringify({json.dumps(label)}) + ']').ariaPressed")


def test_stems_stay_together_for_a_minute(looping):
    """Swells of all sources lie within 5 ms of one another at the start, over ten loops, and through every switch."""
    page = looping
    for key in "2m30v1sv40":
        page.browser.listen(1.0)
        page.press(key)
    page.js(
        "new Promise((done) => setTimeout(done, 62000 - 1000 * window.taps.blocks.length * 4096 / window.taps.rate))"
    )
    starts = np.array(page.js("window.starts"))
    assert len(starts) == 7 and np.ptp(starts[:, 0]) == 0 and np.ptp(starts[:, 1]) == 0  # one moment, one place
    assert (starts[:, 0] > starts[:, 3]).all()  # which lay ahead when they were scheduled
    assert np.ptp(starts[:, 2]) == 0  # and loops of one length
    envelopes = np.array(page.js(ENVELOPES))[:7]  # (source, ms)
    assert envelopes.shape[1] >= 60_000
    loudest = envelopes.max(axis=1, keepdims=True)
    moments = [
        np.flatnonzero((row[1:-1] > 0.5 * top) & (row[1:-1] >= row[:-2]) & (row[1:-1] > row[2:]))
        for row, top in zip(envelopes, loudest)
    ]
    groups = [np.split(row, np.flatnonzero(np.diff(row) > 100) + 1) for row in moments]
    swells = [[group.mean() for group in row] for row in groups]  # of the maxima of one swell, their middle
    assert len(set(map(len, swells))) == 1 and len(swells[0]) >= 2 * 60 - 2
    apart = np.ptp(np.array(swells), axis=0)
    print(f"{apart.size} swells in {envelopes.shape[1] / 1000:.1f} s; apart by at most {apart.max():.1f} ms")
    assert apart.max() <= 5
    late = np.abs(np.diff(swells[0]) - 500) > 5
    # a gap where it loops would be late at every twelfth, always the same; a busy machine loses a block anywhere
    assert max(late[place::12].mean() for place in range(12)) < 0.5


def test_solo_mute_and_versions_are_heard(looping):
    for label, expected in (
        ("Stems: true", set(TONES)),
        ("Mute bass", set(TONES) - {"bass"}),
        ("Solo vocals", {"vocals"}),
        ("Solo bass", {"vocals", "bass"}),  # solo wins over mute
        ("Stems: ours", {"vocals", "bass"}),
        ("Solo mixture", set(TONES)),
        ("Solo mixture", set(TONES) - {"bass"}),
        ("Mute bass", set(TONES)),
        ("Stems: true", set(TONES)),
    ):
        looping.click(f"[aria-label='{label}']")
        assert heard(looping) == expected, label


def test_versions_switch_without_a_gap(looping):
    """Of a lane with one version, a switch changes nothing: its tone never breaks off."""
    page = looping
    page.press("2")  # drums alone, which have no other version
    page.browser.listen(0.5)
    page.js("window.taps.blocks.length = 0")
    for _ in range(6):
        page.press("v")
        page.browser.listen(0.12)
    page.js("new Promise((done) => setTimeout(done, 300))")
    envelope = np.array(page.js(ENVELOPES)[11])
    quiet = np.min(np.maximum.reduce([envelope[i : envelope.size - 2 + i] for i in range(3)]))
    assert quiet > 0.012, quiet  # the tone between the swells has 0.02


def test_seeking_by_click_slider_and_keys(page):
    page.click(".mss-lane:nth-of-type(3) .mss-wave", x=0.5)
    assert time_of(page) == pytest.approx(3, abs=0.1)
    play(page)
    starts = np.array(page.js("window.starts"))
    assert np.ptp(starts[:, 1]) == 0 and starts[0, 1] == pytest.approx(3, abs=0.1)
    page.click(".mss-play")
    page.until("document.querySelector('.mss-play').textContent.includes('Play')")
    page.js("document.querySelector('.mss-player').focus()")
    page.press("Home")
    assert time_of(page) == 0
    page.press("ArrowRight", "ArrowRight", "ArrowLeft")
    assert time_of(page) == pytest.approx(1, abs=0.01)
    share = float(page.js("document.querySelector('.mss-player').style.getPropertyValue('--mss-at')"))
    assert share == pytest.approx(1 / SECONDS, abs=0.01)  # the cursor follows
    page.js("document.querySelector('.mss-player input[type=range]').focus()")
    page.press("ArrowRight")  # the slider's own step
    assert page.js("document.querySelector('.mss-player input').value") == "1.01"


def test_keys_do_all(page):
    page.js("document.querySelector('.mss-player').focus()")
    page.press(" ")
    page.until("window.starts.length === 7")
    page.js("window.taps.on = true")
    page.press("l")
    assert pressed(page, "Loop") == "true"
    page.press("3")
    assert heard(page) == {"bass"} and page.js("document.querySelector('.mss-said').textContent") == "Only bass"
    page.press("ArrowDown", "s")
    assert heard(page) == {"bass", "other"}
    page.press("0", "m")
    assert heard(page) == set(TONES) - {"other"} and pressed(page, "Mute other") == "true"
    page.press("v")
    assert pressed(page, "Stems: ours") == "true"
    page.press(" ")
    page.until("document.querySelector('.mss-said').textContent === 'Paused'")
    stopped = time_of(page)
    page.browser.listen(0.3)
    assert time_of(page) == stopped


def test_it_ends_by_itself_and_begins_anew(page):
    page.js("document.querySelector('.mss-player').focus()")
    page.press(*6 * ["ArrowRight"])
    play(page)
    page.until("document.querySelector('.mss-said').textContent === 'The end'")
    assert time_of(page) == 0


def test_of_two_players_one_sounds_and_of_alternatives_one_lane(page):
    play(page)
    page.click(".mss-player ~ .mss-player .mss-play")
    page.until("document.querySelectorAll('.mss-play')[1].textContent.includes('Pause')")
    assert "Play" in page.js("document.querySelectorAll('.mss-play')[0].textContent")
    assert heard(page) == {"drums"}  # 500 Hz, the first clip
    page.press("2")
    page.js("document.activeElement.closest('.mss-player').focus()")
    page.press("Home")
    assert heard(page) == {"bass"}  # 1000 Hz, the second
    page.until("parseFloat(document.querySelectorAll('.mss-time')[1].textContent) > 2.4")
    assert heard(page) == set()  # silent behind its end


def test_assistive_technology_is_told_what_everything_is(page):
    tree = page.send("Accessibility.getFullAXTree")["nodes"]
    named = {(n["role"]["value"], n["name"]["value"]) for n in tree if not n["ignored"] and "name" in n and "role" in n}
    buttons = {("button", name) for name in ("Play", "Loop", "Solo vocals", "Mute vocals", "Stems: ours")}
    assert buttons | {("group", "Player: a song"), ("slider", "Position")} <= named
    slider = page.js("document.querySelector('.mss-player input').getAttribute('aria-valuetext')")
    assert slider == "0.0 of 6.0 seconds"
    assert page.js("document.querySelector('.mss-said').getAttribute('role')") == "status"
    page.press("Tab", "Tab")
    ring = page.js(
        "getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth"
    )
    assert ring == "solid3px"


def test_waves_and_spectrograms_are_drawn_at_one_scale(page):
    drawn = """[...document.querySelector('.mss-player').querySelectorAll('canvas')].map((canvas) => {
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return data.filter((value, i) => i % 4 === 3 && value > 0).length; })"""
    page.until(f"{drawn}.every((count) => count > 0)")
    true = page.js(drawn)
    page.click("[aria-label='Stems: ours']")
    ours = page.js(drawn)
    assert ours[2] < 0.8 * true[2] and ours[1] == true[1]  # half as loud looks half as loud; drums have one version
    page.click("[aria-label='Spectrogram instead of waveform']")
    brightest = """[...document.querySelector('.mss-player').querySelectorAll('canvas')].map((canvas) => {
        const { width, height } = canvas;
        const data = canvas.getContext('2d').getImageData(Math.floor(width / 2), 0, 1, height).data;
        let best = 0, row = 0;
        for (let y = 0; y < height; y++) {
          const sum = data[4 * y] + data[4 * y + 1] + data[4 * y + 2];
          if (sum > best) [best, row] = [sum, y];
        }
        return 1 - (row + 0.5) / height; })"""
    page.browser.listen(0.3)
    at = [share * RATE / 2 for share in page.js(brightest)]
    for frequency, found in zip(TONES.values(), at[1:]):
        assert abs(found - frequency) < 200


def test_without_scripts_the_browsers_own_players_remain(page_file, browser):
    page = browser.page(page_file)
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    page.open(page_file.as_uri())
    document = page.send("DOM.getDocument", depth=-1)["root"]["nodeId"]
    players = page.send("DOM.querySelectorAll", nodeId=document, selector="audio[controls]")["nodeIds"]
    assert len(players) == 9
    for player in players:
        box = page.send("DOM.getBoxModel", nodeId=player)["model"]
        assert box["width"] > 100 and box["height"] > 20


def test_readers_who_asked_for_less_motion_get_less(page_file, browser):
    counting = """
        const ask = requestAnimationFrame;
        window.asked = 0;
        window.requestAnimationFrame = (what) => { window.asked++; return ask(what); };
    """
    page = browser.page(page_file, before=counting, still=True)
    page.click(".mss-play")
    page.until("document.querySelector('.mss-play').textContent.includes('Pause')")
    page.browser.listen(1.2)
    assert time_of(page) > 0 and page.js("window.asked") == 0


def test_sound_that_cannot_be_decoded_leaves_the_table(page_file, browser, tmp_path):
    spoiled = tmp_path / "spoiled.html"
    text = page_file.read_text()
    at = text.index("base64,") + 7
    spoiled.write_text(text[:at] + "AAAA" + text[text.index('"', at) :])
    page = browser.page(spoiled)
    page.until("document.querySelector('.mss-said').textContent.startsWith('This browser cannot')")
    assert page.js("document.querySelector('.mss-player table').hidden") is False
    assert page.js("document.querySelector('.mss-play').checkVisibility()") is False
    assert page.console_errors() == []
    assert page.js("document.querySelectorAll('.mss-player')[1].querySelector('table').hidden") is True

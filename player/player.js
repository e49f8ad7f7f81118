// The report's player: clips that play from one clock. It turns a table of <audio> elements whose sound lies in
// data: addresses into lanes; where it does not run, the table stays.
(() => {
  "use strict";
  if (window.mssPlayer) return window.mssPlayer.enhance();
  const RATE = 48000; // Hz: the clips are decoded to the rate of the one context that plays them
  const LEAD = 0.03; // s between a command and its start, so that every source is scheduled when it begins
  const FADE = 0.01; // s for which a switch of gains lasts: no click, and no gap either
  const RANGE = 80; // dB that a spectrogram shows
  let context = null; // one for all players of a page, made at the first press of a key: browsers ask for that
  let playing = null; // the player that sounds

  const make = (tag, properties = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };
  const press = (button, on) => button && button.setAttribute("aria-pressed", String(on));

  class Player {
    constructor(root) {
      this.root = root;
      this.table = root.querySelector("table");
      this.seconds = Number(root.dataset.seconds);
      this.mix = root.dataset.mode === "mix"; // stems that sound together; otherwise one lane at a time
      this.versions = [...this.table.querySelectorAll("thead th")].map((cell) => cell.textContent);
      this.lanes = [...this.table.tBodies[0].rows].map((row) => ({
        name: row.cells[0].textContent,
        whole: row.hasAttribute("data-whole"), // the sum of the other lanes: it sounds alone or not at all
        colour: row.dataset.colour || "#7a8290",
        solo: false,
        mute: false,
        clips: [...row.cells].slice(1).map((cell) => {
          const audio = cell.querySelector("audio");
          return audio && { address: audio.getAttribute("src") };
        }),
      }));
      this.version = 0;
      this.current = 0;
      this.loop = false;
      this.offset = 0; // s in the clip at which the sources started …
      this.at = 0; // … when the context's clock showed this
      this.sources = [];
      if (!this.mix) this.lanes[0].solo = true;
      this.build();
      this.show();
      new ResizeObserver(() => this.draw()).observe(this.root);
      const seen = new IntersectionObserver((entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        seen.disconnect();
        this.decode().catch(() => {});
      }, { rootMargin: "300px" });
      seen.observe(root);
    }

    clips() {
      return this.lanes.flatMap((lane) => lane.clips.filter(Boolean));
    }

    // The clip that a lane plays in the chosen version; the mixture has only one.
    chosen(lane) {
      return lane.clips[this.version] || lane.clips.find(Boolean);
    }

    audible(lane) {
      if (this.lanes.some((other) => other.solo)) return lane.solo;
      return !lane.whole && !lane.mute;
    }

    // --- what is seen ---------------------------------------------------------------------------

    build() {
      const title = this.table.caption ? this.table.caption.textContent : "";
      const button = (label, name, act, extra = {}) =>
        make("button", { type: "button", "aria-label": name, title: name, onclick: act, ...extra }, label);
      this.playButton = button("▶ Play", "Play", () => this.toggle(), { class: "mss-play" });
      this.loopButton = button("Loop", "Loop", () => this.setLoop(!this.loop), { "aria-pressed": "false" });
      this.viewButton = button("Spectrogram", "Spectrogram instead of waveform", () => this.setView(), { "aria-pressed": "false" });
      this.slider = make("input", {
        type: "range", min: "0", max: String(this.seconds), step: "0.01", value: "0", "aria-label": "Position",
        oninput: () => this.seek(Number(this.slider.value)),
      });
      this.time = make("span", { class: "mss-time" });
      const bar = make("div", { class: "mss-bar" }, this.playButton, this.loopButton, this.slider, this.time, this.viewButton);
      this.versionButtons = [];
      if (this.versions.length > 1) {
        this.versionButtons = this.versions.map((name, i) =>
          button(name, `Stems: ${name}`, () => this.setVersion(i), { "aria-pressed": "false" }));
        bar.append(make("div", { role: "group", "aria-label": "Version of the stems" }, ...this.versionButtons));
      }
      this.lanes.forEach((lane, i) => {
        const controls = make("span");
        if (this.mix) {
          lane.soloButton = button("S", `Solo ${lane.name}`, () => this.setSolo(i), { "aria-pressed": "false" });
          controls.append(lane.soloButton);
          if (!lane.whole) {
            lane.muteButton = button("M", `Mute ${lane.name}`, () => this.setMute(i), { "aria-pressed": "false", class: "mss-mute" });
            controls.append(lane.muteButton);
          }
        } else if (this.lanes.length > 1) {
          lane.soloButton = button("Hear", `Hear ${lane.name}`, () => this.only(i), { "aria-pressed": "false" });
          controls.append(lane.soloButton);
        }
        lane.canvas = make("canvas", { "aria-hidden": "true" }); // the slider is what assistive technology moves
        const wave = make("div", { class: "mss-wave", onclick: (event) => {
          const box = lane.canvas.getBoundingClientRect();
          this.setCurrent(i);
          if (!this.mix && !lane.solo) this.only(i);
          this.seek(((event.clientX - box.left) / box.width) * this.seconds);
          this.root.focus({ preventScroll: true });
        } }, lane.canvas);
        lane.element = make("div", { class: "mss-lane" }, make("div", { class: "mss-head" }, lane.name, controls), wave);
        lane.element.addEventListener("focusin", () => this.setCurrent(i));
      });
      this.said = make("p", { class: "mss-said", role: "status" });
      const keys = [["space", "play, pause"], ["← →", "a second back, on"], ["home", "to the beginning"], ["l", "loop"]];
      if (this.lanes.length > 1) keys.push(["↑ ↓", "another lane"], [`1–${this.lanes.length}`, "only that lane"]);
      if (this.mix) keys.push(["0", "all stems"], ["s m", "solo, mute the lane"]);
      if (this.versions.length > 1) keys.push(["v", "the other version"]);
      const help = make("details", {}, make("summary", {}, "Keys"),
        ...keys.flatMap(([key, what]) => [make("kbd", {}, key), ` ${what} `]));
      this.root.append(...(title ? [make("p", { class: "mss-title" }, title)] : []), bar,
        ...this.lanes.map((lane) => lane.element), help, this.said);
      this.table.hidden = true;
      const elsewhere = this.root.querySelector(".mss-elsewhere");
      if (elsewhere) elsewhere.hidden = true;
      this.root.setAttribute("role", "group");
      this.root.setAttribute("aria-label", `Player: ${title || this.lanes.map((lane) => lane.name).join(", ")}`);
      this.root.setAttribute("tabindex", "0");
      this.root.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab's own keys keep out of here
      this.root.addEventListener("keydown", (event) => this.key(event));
    }

    show() {
      press(this.loopButton, this.loop);
      press(this.viewButton, this.root.dataset.view === "spectrogram");
      this.versionButtons.forEach((button, i) => press(button, i === this.version));
      this.lanes.forEach((lane, i) => {
        press(lane.soloButton, lane.solo);
        press(lane.muteButton, lane.mute);
        lane.element.toggleAttribute("data-silent", !this.audible(lane));
        lane.element.toggleAttribute("data-current", this.lanes.length > 1 && i === this.current);
      });
      const on = playing === this;
      this.playButton.textContent = on ? "❚❚ Pause" : "▶ Play";
      this.playButton.setAttribute("aria-label", on ? "Pause" : "Play");
      this.playButton.title = on ? "Pause" : "Play";
      this.showPosition();
    }

    showPosition() {
      const now = this.position();
      this.root.style.setProperty("--mss-at", String(now / this.seconds));
      this.slider.value = String(now);
      this.slider.setAttribute("aria-valuetext", `${now.toFixed(1)} of ${this.seconds.toFixed(1)} seconds`);
      this.time.textContent = `${now.toFixed(1)} / ${this.seconds.toFixed(1)} s`;
    }

    say(words) {
      this.said.textContent = words;
    }

    // Redraw what sounds in each lane: same scale for all, so that soft looks soft.
    draw() {
      if (!this.peak) return;
      for (const lane of this.lanes) {
        const { canvas } = lane;
        const ratio = window.devicePixelRatio || 1;
        const width = Math.round(canvas.clientWidth * ratio);
        const height = Math.round(canvas.clientHeight * ratio);
        const clip = this.chosen(lane);
        const drawn = [width, height, this.version, this.root.dataset.view].join();
        if (!width || lane.drawn === drawn) continue;
        lane.drawn = drawn;
        canvas.width = width;
        canvas.height = height;
        if (this.root.dataset.view === "spectrogram") drawSpectrogram(canvas, clip.buffer, Number(this.root.dataset.rate), this.loudest());
        else drawWave(canvas, clip.buffer, lane.colour, this.peak);
      }
    }

    // Power of the loudest bin of all clips: 0 dB of every spectrogram.
    loudest() {
      this.power ||= Math.max(...this.clips().map((clip) => spectrum(clip.buffer, 60, 1024).reduce(
        (most, column) => column.reduce((a, b) => Math.max(a, b), most), 1e-12)));
      return this.power;
    }

    // --- what is heard --------------------------------------------------------------------------

    decode() {
      this.decoded ||= Promise.all(this.clips().map(async (clip) => {
        const coded = atob(clip.address.slice(clip.address.indexOf(",") + 1));
        const bytes = Uint8Array.from(coded, (letter) => letter.charCodeAt(0));
        const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(bytes.buffer);
        const length = Math.round(this.seconds * RATE); // the same for all: loops stay together
        clip.buffer = new AudioBuffer({ length, sampleRate: RATE, numberOfChannels: sound.numberOfChannels });
        for (let i = 0; i < sound.numberOfChannels; i++) {
          clip.buffer.copyToChannel(sound.getChannelData(i).subarray(0, length), i);
        }
      })).then(() => {
        const peaks = this.clips().map((clip) => clip.buffer.getChannelData(0).reduce((a, b) => Math.max(a, Math.abs(b)), 0));
        this.peak = Math.max(...peaks, 1e-6);
        this.draw();
      }).catch((error) => {
        for (const part of this.root.querySelectorAll(".mss-bar, .mss-lane, details")) part.hidden = true;
        this.table.hidden = false; // the browser's own players may still know the format
        this.say("This browser cannot decode the clips together; they can be played one by one.");
        throw error;
      });
      return this.decoded;
    }

    position() {
      if (playing !== this) return this.offset;
      const now = this.offset + Math.max(0, context.currentTime - this.at);
      return this.loop ? now % this.seconds : Math.min(now, this.seconds);
    }

    toggle() {
      return playing === this ? this.pause() : this.play();
    }

    async play() {
      context ||= new AudioContext({ sampleRate: RATE });
      await Promise.all([context.resume(), this.decode()]);
      if (playing && playing !== this) playing.pause();
      for (const clip of this.clips()) {
        if (clip.gain) continue;
        clip.gain = new GainNode(context, { gain: 0 });
        clip.gain.connect(context.destination);
      }
      playing = this;
      this.start(this.offset < this.seconds - 0.01 ? this.offset : 0);
      this.say("Playing");
      this.follow();
    }

    // Schedule every clip, heard or not, for one and the same moment of the context's clock.
    start(offset) {
      const at = context.currentTime + LEAD;
      this.silence(at);
      this.offset = offset;
      this.at = at;
      for (const clip of this.clips()) {
        const source = new AudioBufferSourceNode(context, { buffer: clip.buffer, loop: this.loop, loopStart: 0, loopEnd: this.seconds });
        source.connect(clip.gain);
        source.start(at, offset);
        this.sources.push(source);
      }
      const [first] = this.sources;
      first.onended = () => {
        if (playing === this && this.sources[0] === first) this.pause("The end", 0);
      };
      this.setGains();
      this.show();
    }

    silence(at) {
      for (const source of this.sources) {
        source.onended = null;
        source.stop(at);
      }
      this.sources = [];
    }

    setGains() {
      if (!context) return;
      const now = context.currentTime;
      for (const lane of this.lanes) {
        for (const clip of lane.clips) {
          if (!clip || !clip.gain) continue;
          const { gain } = clip.gain;
          gain.cancelScheduledValues(now);
          gain.setValueAtTime(gain.value, now);
          gain.linearRampToValueAtTime(this.audible(lane) && clip === this.chosen(lane) ? 1 : 0, now + FADE);
        }
      }
    }

    pause(words = "Paused", position = this.position()) {
      this.silence(context.currentTime);
      this.offset = position;
      playing = null;
      this.say(words);
      this.show();
    }

    // Move the cursor with the sound, in steps for readers who asked for less motion.
    follow() {
      if (playing !== this) return;
      this.showPosition();
      if (matchMedia("(prefers-reduced-motion: reduce)").matches) setTimeout(() => this.follow(), 500);
      else requestAnimationFrame(() => this.follow());
    }

    // --- what can be asked of it ----------------------------------------------------------------

    seek(position) {
      const to = Math.min(Math.max(position, 0), this.seconds - 0.01);
      if (playing === this) this.start(to);
      else this.offset = to;
      this.showPosition();
    }

    setLoop(on) {
      this.offset = this.position();
      if (playing === this) this.at = Math.max(this.at, context.currentTime);
      this.loop = on;
      for (const source of this.sources) source.loop = on;
      this.changed(on ? "Loop on" : "Loop off");
    }

    setView() {
      if (this.root.dataset.view === "spectrogram") delete this.root.dataset.view;
      else this.root.dataset.view = "spectrogram";
      this.changed(this.root.dataset.view ? "Spectrograms" : "Waveforms");
    }

    setVersion(i) {
      this.version = i;
      this.changed(`Stems: ${this.versions[i]}`);
    }

    setCurrent(i) {
      this.current = i;
      this.show();
    }

    setSolo(i) {
      const lane = this.lanes[i];
      lane.solo = !lane.solo;
      if (lane.solo) for (const other of this.lanes) if (other.whole !== lane.whole) other.solo = false;
      this.changed(`${lane.name}: solo ${lane.solo ? "on" : "off"}`);
    }

    setMute(i) {
      const lane = this.lanes[i];
      if (lane.whole) return;
      lane.mute = !lane.mute;
      this.changed(`${lane.name}: ${lane.mute ? "muted" : "not muted"}`);
    }

    // Hear one lane alone; asked again, or with no lane, all stems.
    only(i) {
      const again = this.mix && i >= 0 && this.lanes.every((lane, j) => lane.solo === (i === j));
      this.lanes.forEach((lane, j) => {
        lane.solo = i === j && !again;
        if (i < 0) lane.mute = false;
      });
      if (i >= 0) this.current = i;
      this.changed(i < 0 || again ? "All stems" : `Only ${this.lanes[i].name}`);
    }

    changed(words) {
      this.setGains();
      this.say(words);
      this.show();
      this.draw();
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const on = event.target;
      const { key } = event;
      if (on instanceof HTMLInputElement && (key.startsWith("Arrow") || key === "Home" || key === "End")) return;
      if ((on instanceof HTMLButtonElement || on.tagName === "SUMMARY") && (key === " " || key === "Enter")) return;
      const letter = key.toLowerCase();
      const stay = (this.current + this.lanes.length) % this.lanes.length;
      const actions = {
        " ": () => this.toggle(),
        ArrowLeft: () => this.seek(this.position() - 1),
        ArrowRight: () => this.seek(this.position() + 1),
        Home: () => this.seek(0),
        l: () => this.setLoop(!this.loop),
      };
      if (this.lanes.length > 1) {
        actions.ArrowUp = () => this.move(-1);
        actions.ArrowDown = () => this.move(1);
        const lane = Number(key) - 1;
        if (/^[1-9]$/.test(key) && lane < this.lanes.length) actions[key] = () => this.only(lane);
      }
      if (this.mix) {
        actions[0] = () => this.only(-1);
        actions.s = () => this.setSolo(stay);
        actions.m = () => this.setMute(stay);
      }
      if (this.versions.length > 1) actions.v = () => this.setVersion((this.version + 1) % this.versions.length);
      const act = actions[key] || actions[letter];
      if (!act) return;
      event.preventDefault();
      event.stopPropagation();
      act();
    }

    move(by) {
      this.setCurrent((this.current + by + this.lanes.length) % this.lanes.length);
      const lane = this.lanes[this.current];
      if (this.mix) this.say(lane.name);
      else this.only(this.current);
    }
  }

  // --- pictures of sound ------------------------------------------------------------------------

  const drawWave = (canvas, buffer, colour, peak) => {
    const pen = canvas.getContext("2d");
    const samples = buffer.getChannelData(0);
    const { width, height } = canvas;
    pen.fillStyle = colour;
    for (let x = 0; x < width; x++) {
      let low = 0, high = 0;
      for (let i = Math.floor((x / width) * samples.length), end = ((x + 1) / width) * samples.length; i < end; i++) {
        if (samples[i] < low) low = samples[i];
        else if (samples[i] > high) high = samples[i];
      }
      const top = (0.5 - (0.48 * high) / peak) * height;
      pen.fillRect(x, top, 1, Math.max(1, (0.48 * (high - low) * height) / peak));
    }
  };

  // In place, radix 2, decimation in time: re + i·im becomes its transform.
  const transform = (re, im) => {
    const n = re.length;
    for (let i = 1, j = 0; i < n; i++) {
      let bit = n >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) [re[i], re[j], im[i], im[j]] = [re[j], re[i], im[j], im[i]];
    }
    for (let size = 2; size <= n; size *= 2) {
      for (let k = 0; k < size / 2; k++) {
        const c = Math.cos((2 * Math.PI * k) / size), s = -Math.sin((2 * Math.PI * k) / size);
        for (let i = k; i < n; i += size) {
          const j = i + size / 2;
          const x = re[j] * c - im[j] * s, y = re[j] * s + im[j] * c;
          re[j] = re[i] - x; im[j] = im[i] - y;
          re[i] += x; im[i] += y;
        }
      }
    }
  };

  // Power spectra of `columns` Hann windows of `size` samples, evenly spaced over the clip.
  const spectrum = (buffer, columns, size) => {
    const samples = buffer.getChannelData(0);
    const hann = Float32Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
    return Array.from({ length: columns }, (_, column) => {
      const start = Math.round(((column + 0.5) / columns) * samples.length) - size / 2;
      const re = new Float64Array(size), im = new Float64Array(size);
      for (let i = 0; i < size; i++) re[i] = hann[i] * (samples[start + i] || 0);
      transform(re, im);
      return Float32Array.from({ length: size / 2 }, (_, k) => re[k] * re[k] + im[k] * im[k]);
    });
  };

  const MAGMA = [[0, 0, 4], [40, 17, 89], [114, 31, 129], [183, 55, 121], [241, 96, 93], [254, 176, 120], [252, 253, 191]];
  const colourOf = (level) => {
    const place = Math.min(Math.max(level, 0), 1) * (MAGMA.length - 1.001);
    const low = MAGMA[Math.floor(place)], high = MAGMA[Math.floor(place) + 1], rest = place % 1;
    return low.map((value, i) => value + (high[i] - value) * rest);
  };

  // Up to half the clip's own rate, whose bins are a part of those at the rate of the context.
  const drawSpectrogram = (canvas, buffer, rate, loudest) => {
    const pen = canvas.getContext("2d");
    const { width, height } = canvas;
    const columns = spectrum(buffer, Math.min(width, 600), 1024);
    const bins = Math.min(512, Math.floor((512 * rate) / RATE));
    const picture = new ImageData(columns.length, bins);
    columns.forEach((powers, x) => {
      for (let k = 0; k < bins; k++) {
        const level = 1 + (10 * Math.log10(powers[k] / loudest + 1e-30)) / RANGE;
        picture.data.set([...colourOf(level), 255], 4 * ((bins - 1 - k) * columns.length + x));
      }
    });
    const whole = new OffscreenCanvas(columns.length, bins);
    whole.getContext("2d").putImageData(picture, 0, 0);
    pen.drawImage(whole, 0, 0, width, height);
  };

  const enhance = () => {
    for (const root of document.querySelectorAll(".mss-player:not([data-ready])")) {
      root.dataset.ready = "";
      new Player(root);
    }
  };
  window.mssPlayer = { enhance };
  enhance();
  document.addEventListener("DOMContentLoaded", enhance);
})();

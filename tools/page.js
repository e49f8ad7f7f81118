// What the pages do: light and dark, search, tables that sort. Nothing here is needed to read them.
(() => {
  "use strict";
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // --- light and dark ---------------------------------------------------------------------------

  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* it lasts as long as the page */ }
  });

  // --- search: the words of every section lie in assets/search.js, read when they are first asked for ---

  const words = document.getElementById("words");
  const found = document.getElementById("found");
  const list = document.getElementById("results");
  let sections = null;
  const read = () => {
    sections ||= new Promise((done, fail) => {
      const script = make("script", { src: "assets/search.js", onload: () => done(window.SECTIONS), onerror: fail });
      document.head.append(script);
    });
    return sections;
  };
  // The text around the first match, with the words marked.
  const excerpt = (text, asked) => {
    const at = Math.max(0, text.toLowerCase().indexOf(asked[0]) - 40);
    const shown = (at ? "…" : "") + text.slice(at, at + 140) + (at + 140 < text.length ? "…" : "");
    const pattern = new RegExp(`(${asked.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "gi");
    return shown.split(pattern).map((piece, i) => (i % 2 ? make("mark", { textContent: piece }) : piece));
  };
  const search = async () => {
    const asked = words.value.toLowerCase().split(/\s+/).filter((word) => word.length > 1);
    if (!asked.length) {
      list.hidden = true;
      found.textContent = "";
      return;
    }
    const hits = [];
    for (const section of await read()) {
      const heading = section.heading.toLowerCase();
      const text = section.text.toLowerCase();
      const title = section.title.toLowerCase();
      const points = asked.map((word) => 20 * heading.includes(word) + 5 * title.includes(word) + Math.min(5, text.split(word).length - 1));
      if (points.every(Boolean)) hits.push([points.reduce((a, b) => a + b), section]);
    }
    hits.sort((a, b) => b[0] - a[0]);
    list.replaceChildren(...hits.slice(0, 15).map(([, { page, anchor, title, heading, text }]) => make("li", {},
      make("a", { href: page + (anchor && `#${anchor}`) }, make("strong", { textContent: heading }), ` ${heading === title ? "" : title}`),
      make("p", {}, ...excerpt(text, asked)))));
    list.hidden = !hits.length;
    found.textContent = hits.length ? `${hits.length} sections found` : "Nothing found";
    found.classList.toggle("unseen", hits.length > 0);
  };
  words.addEventListener("input", search);
  words.addEventListener("focus", read, { once: true });
  document.getElementById("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const first = list.querySelector("a");
    if (first && !list.hidden) first.click();
  });
  list.addEventListener("click", () => { list.hidden = true; });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) {
      event.preventDefault();
      words.focus();
    } else if (event.key === "Escape") {
      list.hidden = true;
    }
  });

  // --- tables -----------------------------------------------------------------------------------

  const numberIn = (cell) => {
    const text = cell.textContent.trim().replace("−", "-").replaceAll(",", "");
    return /^[-+]?[\d.]/.test(text) ? parseFloat(text) : null;
  };
  const sortBy = (table, column, heading) => {
    const up = heading.getAttribute("aria-sort") === "descending";
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const numeric = rows.some((row) => numberIn(row.cells[column]) !== null);
    const key = (row) => (numeric ? numberIn(row.cells[column]) : row.cells[column].textContent);
    rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === null || y === null) return (x === null) - (y === null); // a missing value is last, either way
      return (numeric ? x - y : x.localeCompare(y)) * (up ? 1 : -1);
    });
    body.append(...rows);
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  };
  for (const table of document.querySelectorAll("main .scroll > table")) {
    const head = table.tHead && table.tHead.rows.length === 1 && table.tHead.rows[0].cells;
    const body = table.tBodies[0];
    if (!head || !body || body.rows.length < 3 || table.querySelector("[colspan], [rowspan], audio")) continue;
    if ([...body.rows].some((row) => row.cells.length !== head.length)) continue;
    [...head].forEach((heading, column) => {
      if (!heading.textContent.trim()) return;
      const button = make("button", { type: "button", title: "Sort" }, ...heading.childNodes);
      button.addEventListener("click", () => sortBy(table, column, heading));
      heading.append(button);
    });
  }

  // A table of sounds: one small button in each cell, instead of the browser's wide player.
  for (const audio of document.querySelectorAll("main .scroll > table td > audio[aria-label]")) {
    if (audio.closest(".mss-player")) continue;
    const button = make("button", { type: "button", className: "sound", ariaLabel: `Play ${audio.ariaLabel}` }, "▶");
    const show = () => {
      button.textContent = audio.paused ? "▶" : "❚❚";
      button.ariaLabel = `${audio.paused ? "Play" : "Pause"} ${audio.ariaLabel}`;
    };
    button.addEventListener("click", () => {
      if (!audio.paused) return audio.pause();
      for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
      audio.currentTime = 0;
      return audio.play();
    });
    for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, show);
    audio.hidden = true;
    audio.style.display = "none";
    audio.after(button);
  }

  // --- what scrolls sideways can be scrolled by keys --------------------------------------------

  const reachable = () => {
    for (const box of document.querySelectorAll("main .scroll, main pre, main .output_area, main mjx-container[display]")) {
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  addEventListener("load", reachable);
  addEventListener("resize", reachable);

  // --- where the reader is ----------------------------------------------------------------------

  const links = new Map([...document.querySelectorAll(".contents a")].map((a) => [decodeURIComponent(a.hash.slice(1)), a]));
  const headings = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  const mark = () => {
    const passed = headings.filter((heading) => heading.getBoundingClientRect().top < 120);
    const now = passed.length ? links.get(passed.at(-1).id) : null;
    for (const link of links.values()) link.toggleAttribute("data-here", link === now);
  };
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => { waiting = false; mark(); }, 150);
  }, { passive: true });
  mark();
})();

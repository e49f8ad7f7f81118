"""Headless Chromium, driven over a pipe by the DevTools protocol; nothing but the browser itself is needed."""

import json
import os
import select
import shutil
import subprocess
import tempfile
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-extensions --disable-dev-shm-usage --mute-audio
--disable-background-timer-throttling --disable-renderer-backgrounding --remote-debugging-pipe""".split()

CODES = {" ": 32, "Tab": 9, "Enter": 13, "Home": 36}
CODES |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
"""Numbers of keys that have no character of their own."""


class Browser:
    """One Chromium with an empty profile; close it when done."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        here_in, there_out = os.pipe()
        there_in, here_out = os.pipe()

        def connect():  # it reads commands from descriptor 3 and writes answers to 4
            copies = os.dup(there_in), os.dup(there_out)
            os.dup2(copies[0], 3)
            os.dup2(copies[1], 4)

        self.process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"],
            preexec_fn=connect, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(there_in)
        os.close(there_out)
        self.reads, self.writes = here_in, here_out
        self.count, self.unread, self.events, self.pages = 0, b"", [], []

    def send(self, method, session=None, timeout=60, **parameters):
        """Give a command and return its answer; events that come before it are kept."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.writes, data) :]
        until = time.monotonic() + timeout
        while True:
            answer = self._next(until)
            if answer is None:
                raise TimeoutError(f"{method}: no answer within {timeout} s")
            if answer.get("id") != self.count:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']['message']}")
            else:
                return answer["result"]

    def listen(self, seconds=0.0):
        """Take in what has happened."""
        until = time.monotonic() + seconds
        while (event := self._next(until)) is not None:
            self.events.append(event)

    def _next(self, until):
        while b"\0" not in self.unread:
            if not select.select([self.reads], [], [], max(0.0, until - time.monotonic()))[0]:
                return None
            piece = os.read(self.reads, 2**20)
            if not piece:
                raise RuntimeError("Chromium has ended")
            self.unread += piece
        message, self.unread = self.unread.split(b"\0", 1)
        return json.loads(message)

    def page(self, path, **options):
        """A tab with this file, see `Page`; it is loaded."""
        self.pages.append(Page(self, **options))
        self.pages[-1].open(path.as_uri())
        return self.pages[-1]

    def close_pages(self):
        while self.pages:
            self.send("Target.closeTarget", targetId=self.pages.pop().target)

    def close(self):
        try:
            self.send("Browser.close", timeout=5)
            self.process.wait(10)
        except (OSError, RuntimeError, TimeoutError, subprocess.TimeoutExpired):
            self.process.kill()
        os.close(self.reads)
        os.close(self.writes)
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    """A tab of a given size.

    Parameters
    ----------
    before : str
        a script that runs in every document before its own.
    """

    def __init__(self, browser, width=1280, height=900, dark=False, still=False, before=""):
        self.browser = browser
        self.target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.send("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send("Performance.enable", timeDomain="threadTicks")
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        self.send("Emulation.setEmulatedMedia", features=features)
        self.send("Emulation.setFocusEmulationEnabled", enabled=True)
        if before:
            self.send("Page.addScriptToEvaluateOnNewDocument", source=before)

    def send(self, method, **parameters):
        return self.browser.send(method, self.session, **parameters)

    def open(self, address, timeout=60):
        """Go to an address and wait until it is loaded; returns the seconds that took."""
        self.browser.listen()
        self.browser.events.clear()
        start = time.monotonic()
        self.send("Page.navigate", url=address)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events()):
            if time.monotonic() > start + timeout:
                raise TimeoutError(f"{address} did not load within {timeout} s")
            self.browser.listen(0.02)
        return time.monotonic() - start

    def events(self):
        return [event for event in self.browser.events if event.get("sessionId") == self.session]

    def js(self, expression, timeout=90):
        """The value of an expression; a promise is waited for."""
        result = self.browser.send(
            "Runtime.evaluate", self.session, timeout, expression=expression, awaitPromise=True, returnByValue=True,
            userGesture=True,
        )  # fmt: skip
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def until(self, expression, timeout=20):
        """Wait until an expression is true."""
        start = time.monotonic()
        while not (value := self.js(expression)):
            if time.monotonic() > start + timeout:
                raise TimeoutError(f"not true within {timeout} s: {expression}")
            self.browser.listen(0.03)
        return value

    def press(self, *keys):
        """Press and release keys, one after the other: characters, or names such as ArrowLeft."""
        for key in keys:
            parameters = {"key": key, "windowsVirtualKeyCode": CODES.get(key, ord(key[0].upper()))}
            text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
            self.send("Input.dispatchKeyEvent", type="keyDown", **parameters, **text)
            self.send("Input.dispatchKeyEvent", type="keyUp", **parameters)

    def click(self, selector, x=0.5, y=0.5):
        """Click at a place of an element, as shares of its width and height."""
        at = self.js(
            f"""(() => {{
                const element = document.querySelector({json.dumps(selector)});
                element.scrollIntoView({{block: "center", behavior: "instant"}});
                const box = element.getBoundingClientRect();
                return [box.left + {x} * box.width, box.top + {y} * box.height];
            }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    def busy(self):
        """Seconds of processor time that the page's main thread has spent since it was opened."""
        metrics = {each["name"]: each["value"] for each in self.send("Performance.getMetrics")["metrics"]}
        return metrics["TaskDuration"]

    def console_errors(self):
        """What the console showed of errors: exceptions, console.error, and the browser's own, with warnings."""
        self.browser.listen(0.05)
        errors = []
        for method, event in ((event["method"], event["params"]) for event in self.events()):
            if method == "Runtime.exceptionThrown":
                errors.append(event["exceptionDetails"].get("exception", {}).get("description", "exception"))
            elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
                errors.append(" ".join(str(each.get("value", each.get("description"))) for each in event["args"]))
            elif method == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
                errors.append(event["entry"]["text"])
        return errors

    def requests(self):
        """Addresses that the page asked for, but those that lie in itself."""
        self.browser.listen(0.05)
        asked = [e["params"]["request"]["url"] for e in self.events() if e["method"] == "Network.requestWillBeSent"]
        return [address for address in asked if not address.startswith(("data:", "blob:", "about:"))]

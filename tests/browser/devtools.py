"""A headless Chromium, driven over the DevTools protocol through a pair of pipes. Standard library only.

https://chromedevtools.github.io/devtools-protocol/ describes the methods. Messages are JSON, each ended by a zero byte.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time

FLAGS = """
--headless=new --remote-debugging-pipe --no-sandbox --disable-gpu --no-first-run --hide-scrollbars --force-color-profile=srgb
--disable-features=IsolateSandboxedIframes
--disable-background-networking --disable-component-update --disable-sync --mute-audio
""".split()
PATIENCE = 60  # seconds


def find_chromium():
    """Return the path of Chromium; raises FileNotFoundError if it is not installed."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise FileNotFoundError("these tests need Chromium: apt-get install chromium")
    return found


class Browser:
    """One Chromium process. `page()` opens a tab."""

    def __init__(self, profile):
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        def pipes():  # the browser reads from file descriptor 3 and writes to 4
            read_end, write_end = os.dup(to_browser), os.dup(from_browser)
            os.dup2(read_end, 3)
            os.dup2(write_end, 4)

        self.process = subprocess.Popen(
            [find_chromium(), *FLAGS, f"--user-data-dir={profile}"],
            preexec_fn=pipes,
            close_fds=False,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._number, self.events = b"", 0, []

    def close(self):
        """End the process."""
        with contextlib.suppress(OSError):
            os.write(self._write, b'{"id": 0, "method": "Browser.close"}\0')
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._write)
        os.close(self._read)

    def call(self, method, session=None, **params):
        """Call a method of the protocol and return its result."""
        self._number += 1
        number, message = self._number, {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for answer in self._receive(1.0):
                if answer.get("id") == number:
                    if "error" in answer:
                        raise RuntimeError(f"{method}: {answer['error']}")
                    return answer["result"]
        raise TimeoutError(method)

    def _receive(self, seconds):
        """Yield the messages that have arrived; events are kept in `events` too."""
        if select.select([self._read], [], [], seconds)[0]:
            self._buffer += os.read(self._read, 2**20)
        *messages, self._buffer = self._buffer.split(b"\0")
        for message in map(json.loads, messages):
            if "method" in message:
                self.events.append(message)
            yield message

    def listen(self, seconds):
        """Collect events for some time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for _ in self._receive(0.05):
                pass

    def page(self, width=1280, height=900, scheme="light", touch=False):
        """Open an empty tab of this size."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, target, session, width, height, scheme)


class Page:
    """One tab."""

    def __init__(self, browser, target, session, width, height, scheme):
        self.browser, self.target, self.session = browser, target, session
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility", "DOM"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.media(scheme)

    def call(self, method, **params):
        """Call a method of the protocol for this tab."""
        return self.browser.call(method, self.session, **params)

    def media(self, scheme="light", **features):
        """Set the media features of the page: prefers-color-scheme and others."""
        features = {"prefers-color-scheme": scheme} | {name.replace("_", "-"): value for name, value in features.items()}
        self.call("Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in features.items()])

    def open(self, url, settle=0.5):
        """Load an address and wait until the page is complete."""
        self.browser.events.clear()
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")
        self.browser.listen(settle)

    def evaluate(self, expression):
        """Return the value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", "exception"))
        return answer["result"].get("value")

    def wait_for(self, condition, seconds=PATIENCE):
        """Wait until a JavaScript condition holds."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(condition)
            self.browser.listen(0.1)

    def events(self, method):
        """Return the parameters of all events of a kind since the page was opened."""
        return [
            event["params"]
            for event in self.browser.events
            if event["method"] == method and event.get("sessionId") == self.session
        ]

    def press(self, *keys):
        """Press and release keys by their names, such as "ArrowLeft", "Tab", "Enter"."""
        codes = {
            "Tab": 9,
            "Enter": 13,
            "Escape": 27,
            "End": 35,
            "Home": 36,
            "ArrowLeft": 37,
            "ArrowUp": 38,
            "ArrowRight": 39,
            "ArrowDown": 40,
        }
        for key in keys:
            text = {"text": "\r"} if key == "Enter" else {}
            for kind in ("keyDown", "keyUp"):
                extra = text if kind == "keyDown" else {}
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **extra)

    def click(self, x, y):
        """Click at a point of the window."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left" if kind != "mouseMoved" else "none", clickCount=1
            )

    def move(self, x, y):
        """Move the mouse to a point of the window."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, path, whole=True):
        """Write a picture of the page, or only of the window."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def pdf(self):
        """Return the page as it prints, as a PDF."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def close(self):
        """Close the tab."""
        self.browser.call("Target.closeTarget", targetId=self.target)

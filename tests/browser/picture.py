"""Write neo_np/explain/page.png, the picture in the README: `python tests/browser/picture.py` in the root of the repository."""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browser.devtools import Browser  # noqa: E402

import neo_np  # noqa: E402
from neo_np.explain import explain  # noqa: E402

PROMPT = "Once upon a time there was a little boy who had a dog. The dog"
SIZE = 1000, 760
BELOW_THE_CONTROLS = (
    "document.querySelector('#heads').getBoundingClientRect().top - document.getElementById('controls').offsetHeight - 8"
)


def main():
    """Explain a run with the shipped model, open it at the attention, and take the picture."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.html"
        explain(neo_np.load(), PROMPT, out=file, theme="light", open="attention")
        browser = Browser(Path(folder) / "profile")
        try:
            page = browser.page(*SIZE)
            page.open(file.as_uri())
            page.evaluate(f"window.scrollBy(0, {BELOW_THE_CONTROLS})")
            browser.listen(0.5)
            page.screenshot(ROOT / "neo_np" / "explain" / "page.png", whole=False)
        finally:
            browser.close()


if __name__ == "__main__":
    main()

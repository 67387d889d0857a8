"""A run in JupyterLab: in a trusted notebook the page works, in an untrusted one the line and the table are there."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from nbformat.sign import NotebookNotary


def notebook(run, name):
    """Return a notebook with one cell, and as its output what the run shows. Jupyter trusts contents, so they must differ."""
    output = nbformat.v4.new_output("display_data", {"text/html": run._repr_html_(), "text/plain": repr(run)})
    cell = nbformat.v4.new_code_cell(f"explain(model, prompt)  # {name}", outputs=[output])
    return nbformat.v4.new_notebook(cells=[cell])


@pytest.fixture(scope="module")
def lab(tmp_path_factory, story):
    """The address of a JupyterLab with two notebooks: trusted.ipynb and untrusted.ipynb."""
    folder, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("home")
    variables = {"HOME": str(home), "JUPYTER_DATA_DIR": str(home / "data"), "JUPYTER_CONFIG_DIR": str(home / "config")}
    (home / "data").mkdir()
    for name in ("trusted", "untrusted"):
        nbformat.write(notebook(story[0], name), folder / f"{name}.ipynb")
    NotebookNotary(data_dir=str(home / "data")).sign(nbformat.read(folder / "trusted.ipynb", 4))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [
        "lab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--IdentityProvider.token=",
        "--ServerApp.password=",
    ]
    arguments += [
        f"--ServerApp.root_dir={folder}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", *arguments],
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for_server(address)
        yield address
    finally:
        server.terminate()
        server.wait()


def wait_for_server(address, seconds=90):
    """Wait until the server answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{address}/api", timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@pytest.mark.parametrize("trust", ["trusted", "untrusted"])
def test_notebook_shows_the_line_the_table_and_if_trusted_the_page(lab, story, open_page, tmp_path, trust):
    run, _ = story
    page = open_page(f"{lab}/lab/workspaces/{trust}/tree/{trust}.ipynb", 1280, 1000)
    page.wait_for("document.querySelector('.jp-OutputArea-output details') !== null")
    page.browser.listen(3)
    text = page.evaluate("document.querySelector('.jp-OutputArea-output').textContent")
    assert "Model(GPT-Neo" in text
    rows = page.evaluate("document.querySelector('.jp-OutputArea-output details table').rows.length")
    assert rows == 1 + len(run.data["ids"])
    frames = page.call("Page.getFrameTree")["frameTree"].get("childFrames", [])
    shown = []
    for frame in frames:
        world = page.call("Page.createIsolatedWorld", frameId=frame["frame"]["id"])["executionContextId"]
        found = page.call("Runtime.evaluate", expression="document.getElementById('where')?.textContent", contextId=world)
        shown.append(found["result"].get("value"))
    sentences = [text for text in shown if text and re.match(r"Standing at .*, predicting what follows", text)]
    assert len(sentences) == (1 if trust == "trusted" else 0)
    page.evaluate("document.querySelectorAll('.jp-Dialog').forEach((dialog) => dialog.remove())")
    page.screenshot(tmp_path / f"{trust}.png", whole=False)

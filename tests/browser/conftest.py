"""The browser, and the pages that the tests open."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from browser.devtools import Browser
from explain_helpers import hostile_ids, hostile_model

import neo_np
from neo_np.explain import explain


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def open_page(browser):
    """A function that opens a file or an address in a new tab of a given size."""
    pages = []

    def opened(address, width=1280, height=900, scheme="light", prepare=lambda page: None):
        pages.append(browser.page(width, height, scheme))
        prepare(pages[-1])
        pages[-1].open(address if isinstance(address, str) else address.as_uri())
        return pages[-1]

    yield opened
    for page in pages:
        page.close()


def saved(tmp_path_factory, run):
    """Return (run, the file with its page)."""
    file = tmp_path_factory.mktemp("page") / "run.html"
    run.save(file)
    return run, file


@pytest.fixture(scope="session")
def tales():
    return neo_np.load()


@pytest.fixture(scope="session")
def story(tmp_path_factory, tales):
    """The default run of the shipped model, long enough for the local window."""
    return saved(
        tmp_path_factory, explain(tales, "Once upon a time there was a little boy who had a dog. The dog", eos_token_id=[])
    )


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    model = hostile_model()
    return saved(tmp_path_factory, explain(model, hostile_ids(model), max_new_tokens=6, eos_token_id=[]))

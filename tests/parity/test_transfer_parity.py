"""The stored results of the transfer exercises are those of PyTorch and transformers."""

import json

import make_transfer
import pytest


@pytest.mark.parametrize("name", make_transfer.stored())
def test_stored_results_are_those_of_pytorch_and_transformers(name):
    assert json.loads(make_transfer.FILE.read_text(encoding="utf-8"))[name] == make_transfer.stored()[name]


def test_stored_file_has_the_form_in_which_it_is_made():
    assert make_transfer.FILE.read_text(encoding="utf-8") == make_transfer.as_text(make_transfer.stored())

"""The three lines of the README's "When you outgrow NumPy", as they are written there, on a folder that neo_np saved."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from transformers import AutoModelForCausalLM, AutoTokenizer

import neo_np

SECTION = (ROOT / "README.md").read_text(encoding="utf-8").split("## When you outgrow NumPy")[1].split("\n## ")[0]
LINES = [line.split("  #")[0].strip() for line in SECTION.splitlines() if line.startswith("    ")]
IN_TRANSFORMERS, TRAINING, EVALUATION = LINES
SCRIPT = """
import torch
from accelerate import Accelerator
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("weights/mine")
tokenizer = AutoTokenizer.from_pretrained("weights/mine")
accelerator = Accelerator(cpu=True)
model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=1e-4))
ids = tokenizer("Once upon a time there was a king.", return_tensors="pt").input_ids
for _ in range(3):
    accelerator.backward(model(input_ids=ids, labels=ids).loss)
    optimizer.step()
    optimizer.zero_grad()
accelerator.unwrap_model(model).save_pretrained("weights/trained")
tokenizer.save_pretrained("weights/trained")
"""
TASK = """
task: small_task
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: loglikelihood
doc_to_text: "{{{{context}}}}"
doc_to_target: "{{{{continuation}}}}"
metric_list:
  - metric: acc
"""
TEXT = "Once upon a time there was a king."


@pytest.fixture
def user_folder(tmp_path, monkeypatch, tales):
    """Work in a folder with weights/mine, as a user who saved a model there."""
    monkeypatch.chdir(tmp_path)
    neo_np.save(tales, "weights/mine")
    return tmp_path


def run(line, folder):
    """Run a command line of the README in a folder, without network, with the programs of this environment."""
    settings = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HOME": str(folder / "cache")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        shlex.split(line), cwd=folder, env=os.environ | settings | {"PATH": path}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_saved_folder_in_transformers_gives_the_same_logits(user_folder, tales):
    names = {"AutoModelForCausalLM": AutoModelForCausalLM}
    exec(IN_TRANSFORMERS, names)
    ids = AutoTokenizer.from_pretrained("weights/mine")(TEXT, return_tensors="pt").input_ids
    theirs = names["model"](ids).logits.detach().numpy()[0]
    np.testing.assert_allclose(tales.logits(tales.tokenizer.encode(TEXT)), theirs, atol=1e-3)


def test_saved_folder_trained_with_accelerate_loads_again_and_is_better(user_folder, tales):
    (user_folder / "your_training_script.py").write_text(SCRIPT)
    run(TRAINING, user_folder)
    ids = tales.tokenizer.encode(TEXT)
    assert neo_np.load("weights/trained").loss(ids) < tales.loss(ids)


def test_saved_folder_evaluated_with_the_harness_gives_the_accuracy_of_the_model(user_folder, tales):
    ids = tales.tokenizer.encode(TEXT)
    likeliest = [int(row.argmax()) for row in tales.logits(ids)]
    right = [i for i in range(3, len(ids)) if likeliest[i - 1] == ids[i]]
    words = [tales.tokenizer.decode([id]) for id in ids]
    documents = [{"context": "".join(words[:i]).rstrip(), "continuation": words[i]} for i in range(3, len(ids))]
    (user_folder / "task").mkdir()
    data = user_folder / "documents.jsonl"
    data.write_text("".join(json.dumps(document) + "\n" for document in documents))
    (user_folder / "task" / "small_task.yaml").write_text(TASK.format(data=data))
    line = EVALUATION.replace("lambada_openai", "small_task --include_path task --device cpu --output_path result.json")
    run(line, user_folder)
    result = json.loads(next(user_folder.glob("result*.json")).read_text())["results"]["small_task"]
    assert result["acc,none"] == pytest.approx(len(right) / len(documents), abs=1e-6)

"""What `python -m minijax.doctor` reports, and the line that mends each problem."""

import json

import pytest

from minijax import doctor
from minijax.base import jaxlib


def facts(**changes):
    found = {"python": "3.11.7", "machine": "Linux", "minijax": "0.1.0", "emulates": "0.10.2",
             "packages": doctor.packages(), "plugins": [], "driver": None, "tpu": False,
             "other_plugins": [], "jax_installed": None, "errors": {},
             "devices": [{"id": 0, "platform": "cpu", "kind": "cpu", "process": 0,
                          "memory": None}], **changes}
    found["problems"] = doctor.problems(found)
    return found


CUDA = {"name": "jax-cuda12-plugin", "found": "0.9.0", "wanted": jaxlib.version_text,
        "fits": False, "libraries": [{"name": "nvidia-cudnn-cu12", "found": "9.1.0",
                                      "wanted": ">=9.8,<10", "fits": False}]}


def test_this_machine(capsys):
    status = doctor.main([])
    text = capsys.readouterr().out
    assert f"jaxlib {jaxlib.version_text}" in text
    assert "cpu" in text.split("devices: ")[1]
    assert (status == 0) == ("nothing to mend" in text)


def test_json(capsys):
    doctor.main(["--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["emulates"] == "0.10.2"
    assert {p["name"] for p in found["packages"]} == {"jaxlib", "numpy", "ml_dtypes", "scipy",
                                                      "opt_einsum"}
    assert any(d["platform"] == "cpu" for d in found["devices"])


def test_nothing_to_mend():
    assert facts()["problems"] == []


@pytest.mark.parametrize("changes, what, fix", [
    (dict(python="3.9.1"), "Python 3.9.1 is not supported", "use Python 3.11, 3.12 or 3.13"),
    (dict(packages=[{"name": "numpy", "found": "1.26.0", "wanted": ">=2.0", "fits": False}]),
     "numpy 1.26.0: needs >=2.0", 'pip install "numpy>=2.0"'),
    (dict(packages=[{"name": "scipy", "found": None, "wanted": ">=1.13", "fits": False}]),
     "scipy is missing: needs >=1.13", 'pip install "scipy>=1.13"'),
    (dict(driver="550.54.15"), "an NVIDIA GPU is here, but no plugin for it",
     f'pip install "jax-cuda12-plugin[with-cuda]=={jaxlib.version_text}"'),
    (dict(driver="580.1"), "an NVIDIA GPU is here, but no plugin for it",
     f'pip install "jax-cuda13-plugin[with-cuda]=={jaxlib.version_text}"'),
    (dict(driver="470.2"), "the NVIDIA driver 470.2 is older than any CUDA plugin runs on",
     "install a driver of version 525 or later"),
    (dict(plugins=[{**CUDA, "libraries": []}], driver="550.1"),
     f"jax-cuda12-plugin 0.9.0 does not match jaxlib {jaxlib.version_text}",
     f'pip install "jax-cuda12-plugin[with-cuda]=={jaxlib.version_text}"'),
    (dict(plugins=[{**CUDA, "fits": True}], driver="550.1"),
     "nvidia-cudnn-cu12 9.1.0: jax-cuda12-plugin wants >=9.8,<10",
     'pip install "nvidia-cudnn-cu12>=9.8,<10"'),
    (dict(plugins=[{**CUDA, "fits": True, "libraries": []}]),
     "a CUDA plugin is installed, but there is no NVIDIA driver",
     "install the driver, or run with JAX_PLATFORMS=cpu"),
    (dict(tpu=True), "a TPU is here, but libtpu is not installed", "pip install libtpu"),
    (dict(errors={"cuda": "no device\nmore"}, driver="550.1", plugins=[
        {**CUDA, "fits": True, "libraries": []}]),
     "platform cuda did not start: no device", "JAX_PLATFORMS=cpu runs without cuda"),
])
def test_problems(changes, what, fix):
    found = facts(**changes)
    assert {"what": what, "fix": fix} in found["problems"]
    assert f"! {what}\n  fix: {fix}" in doctor.show(found)
    assert len(found["problems"]) == 1


@pytest.mark.parametrize("version, wanted, fits", [
    ("9.8.0.87", ">=9.8,<10", True), ("10.0", ">=9.8,<10.0", False), ("9.1", ">=9.8", False),
    ("12.1.1", ">=12.1.105", False), ("12.4.127", "!=12.4.127", False), ("3", "", True),
    ("2.1", "~=2.0", True), ("3.1", "~=2.0", False), ("1.2", "==1.2", True)])
def test_versions(version, wanted, fits):
    assert doctor._satisfies(version, wanted) == fits


def test_a_platform_that_cannot_start_is_named(monkeypatch):
    def fail():
        raise RuntimeError("Unable to initialize backend 'tpu'")
    monkeypatch.setattr(doctor.backend, "clients", fail)
    found = facts(**doctor.devices())
    assert found["problems"] == [{
        "what": "platform cpu did not start: Unable to initialize backend 'tpu'",
        "fix": "unset JAX_PLATFORMS"}]

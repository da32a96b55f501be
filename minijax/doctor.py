"""`python -m minijax.doctor`: what this machine has, what does not fit, and what mends it.

    $ python -m minijax.doctor
    minijax 0.1.0 (behaves like JAX 0.10.2)
    ...
    ! an NVIDIA GPU is here, but no plugin for it
      fix: pip install "jax-cuda12-plugin[with-cuda]==0.10.2"

`--json` prints the same facts for programs.  The exit status is 1 when something does not fit.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from minijax.base import jaxlib
from minijax.runtime import backend
from minijax.version import __version__, minijax_version

_NEEDED = {"jaxlib": ((0, 10), (0, 13)), "numpy": ((2, 0), None), "ml_dtypes": ((0, 5), None),
           "scipy": ((1, 13), None), "opt_einsum": ((3, 3), None)}
_PYTHON = ((3, 11), (3, 14))
# The oldest driver that the CUDA of each plugin runs on.
_DRIVERS = {"cuda13": 580, "cuda12": 525}


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers, up to its first part that is none."""
    return tuple(int(part) for part in re.match(r"[\d.]*", version)[0].split(".") if part)


def installed(name: str) -> str | None:
    """The version of a distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def packages() -> list[dict[str, Any]]:
    """What minijax depends on: found, wanted, and whether they fit."""
    found = []
    for name, (low, beyond) in _NEEDED.items():
        version = installed(name)
        wanted = f">={_text(low)}" + (f",<{_text(beyond)}" if beyond else "")
        fits = version is not None and low <= numbers(version) and (
            beyond is None or numbers(version) < beyond)
        found.append({"name": name, "found": version, "wanted": wanted, "fits": fits})
    return found


def plugins() -> list[dict[str, Any]]:
    """Installed accelerator plugins, each with the libraries that it wants and those found."""
    found = []
    for name in ("jax-cuda12-plugin", "jax-cuda13-plugin", "libtpu"):
        version = installed(name)
        if version is None:
            continue
        plugin: dict[str, Any] = {"name": name, "found": version, "libraries": []}
        if name != "libtpu":
            plugin["wanted"] = jaxlib.version_text
            plugin["fits"] = numbers(version)[:3] == jaxlib.version  # they share C++ types
            plugin["libraries"] = _libraries(name)
        found.append(plugin)
    return found


def _libraries(plugin: str) -> list[dict[str, Any]]:
    """The NVIDIA packages that a plugin names in its metadata: cuDNN, cuBLAS, NCCL, ..."""
    found = []
    for line in importlib.metadata.requires(plugin) or ():
        match = re.match(r"(nvidia[\w-]+)\s*\(?([^;)]*)", line)
        if match:
            name, wanted = match[1], match[2].strip()
            version = installed(name)
            found.append({"name": name, "found": version, "wanted": wanted,
                          "fits": version is None or _satisfies(version, wanted)})
    return found


def _satisfies(version: str, wanted: str) -> bool:
    """Whether a version meets a list such as ">=9.8,<10"."""
    have = numbers(version)
    tests = {">=": have.__ge__, "<=": have.__le__, "==": have.__eq__, "!=": have.__ne__,
             "<": have.__lt__, ">": have.__gt__}
    for clause in filter(None, (part.strip() for part in wanted.split(","))):
        operator, text = re.match(r"([<>=!~]+)\s*(.*)", clause).groups()
        if operator == "~=" and not (have >= numbers(text)
                                     and have[:-1][:1] == numbers(text)[:1]):
            return False
        if operator in tests and "*" not in text and not tests[operator](numbers(text)):
            return False
    return True


def driver() -> str | None:
    """The version of the NVIDIA driver, or None without one."""
    file = Path("/proc/driver/nvidia/version")
    if file.exists():
        match = re.search(r"Module\S*\s+(?:for \S+\s+)?([\d.]+)", file.read_text())
        if match:
            return match[1]
    try:
        out = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return out.stdout.split("\n")[0].strip() or None


def tpu_attached() -> bool:
    """Whether this machine has the device files of a TPU."""
    vendors = Path("/sys/bus/pci/devices").glob("*/vendor")
    return bool(list(Path("/dev").glob("accel*"))) or any(
        file.read_text().strip() == "0x1ae0" for file in vendors)


def devices() -> dict[str, Any]:
    """The devices that programs would see, and why a platform did not start."""
    try:
        backend.clients()
    except RuntimeError as error:
        return {"devices": [], "errors": {"": str(error)}}
    listed = [{"id": d.id, "platform": d.platform, "kind": d.device_kind,
               "process": d.process_index, "memory": (d.memory_stats() or {}).get("bytes_limit")}
              for client in backend.clients().values() for d in client.devices()]
    return {"devices": listed, "errors": dict(backend.start_errors())}


def examine() -> dict[str, Any]:
    """All facts, and under "problems" what does not fit: a text and the line that mends it."""
    spec = importlib.util.find_spec("jax_plugins")
    facts: dict[str, Any] = {
        "python": platform.python_version(), "machine": platform.platform(),
        "minijax": minijax_version, "emulates": __version__, "packages": packages(),
        "plugins": plugins(), "driver": driver(), "tpu": tpu_attached(),
        "other_plugins": sorted(p.name for root in (spec.submodule_search_locations if spec else ())
                                for p in Path(root).iterdir() if not p.name.startswith("_")),
        "jax_installed": installed("jax"), **devices()}
    facts["problems"] = problems(facts)
    return facts


def problems(facts: dict[str, Any]) -> list[dict[str, str]]:
    """What does not fit, most basic first."""
    found = []

    def report(what: str, fix: str) -> None:
        found.append({"what": what, "fix": fix})

    if not _PYTHON[0] <= numbers(facts["python"])[:2] < _PYTHON[1]:
        report(f"Python {facts['python']} is not supported", "use Python 3.11, 3.12 or 3.13")
    for item in facts["packages"]:
        if not item["fits"]:
            report(f"{item['name']} {item['found'] or 'is missing'}: needs {item['wanted']}",
                   f'pip install "{item["name"]}{item["wanted"]}"')
    for plugin in facts["plugins"]:
        if not plugin.get("fits", True):
            report(f"{plugin['name']} {plugin['found']} does not match jaxlib {plugin['wanted']}",
                   f'pip install "{plugin["name"]}[with-cuda]=={plugin["wanted"]}"')
        for item in plugin["libraries"]:
            if not item["fits"]:
                report(f"{item['name']} {item['found']}: {plugin['name']} wants {item['wanted']}",
                       f'pip install "{item["name"]}{item["wanted"]}"')
    platforms = {device["platform"] for device in facts["devices"]}
    _accelerators(facts, platforms, report)
    for name, text in facts["errors"].items():
        if name not in ("tpu", "cuda") or facts["driver"] or facts["tpu"]:
            report(f"platform {name or 'cpu'} did not start: {text.splitlines()[0]}",
                   "unset JAX_PLATFORMS" if not name else f"JAX_PLATFORMS=cpu runs without {name}")
    return found


def _accelerators(facts: dict[str, Any], platforms: set[str], report: Any) -> None:
    """Hardware that is there and not used."""
    names = {plugin["name"] for plugin in facts["plugins"]}
    if facts["driver"] and not names & {"jax-cuda12-plugin", "jax-cuda13-plugin"}:
        major = numbers(facts["driver"])[0]
        kind = next((k for k, oldest in _DRIVERS.items() if major >= oldest), None)
        if kind is None:
            report(f"the NVIDIA driver {facts['driver']} is older than any CUDA plugin runs on",
                   f"install a driver of version {_DRIVERS['cuda12']} or later")
        else:
            report("an NVIDIA GPU is here, but no plugin for it",
                   f'pip install "jax-{kind}-plugin[with-cuda]=={jaxlib.version_text}"')
    elif names & {"jax-cuda12-plugin", "jax-cuda13-plugin"} and not facts["driver"]:
        report("a CUDA plugin is installed, but there is no NVIDIA driver",
               "install the driver, or run with JAX_PLATFORMS=cpu")
    if facts["tpu"] and "libtpu" not in names and "tpu" not in platforms:
        report("a TPU is here, but libtpu is not installed", "pip install libtpu")


def show(facts: dict[str, Any]) -> str:
    """The facts as text."""
    versions = ", ".join(f"{p['name']} {p['found']}" for p in facts["packages"])
    counts: dict[str, int] = {}
    for device in facts["devices"]:
        name = f"{device['platform']} ({device['kind']})"
        counts[name] = counts.get(name, 0) + 1
    lines = [f"minijax {facts['minijax']} (behaves like JAX {facts['emulates']})",
             f"python {facts['python']} on {facts['machine']}", versions]
    for plugin in facts["plugins"]:
        fits = f", jaxlib is {plugin['wanted']}" if "wanted" in plugin else ""
        lines.append(f"plugin {plugin['name']} {plugin['found']}{fits}")
        lines += [f"  {lib['name']} {lib['found'] or 'not from pip'}, wants {lib['wanted']}"
                  for lib in plugin["libraries"]]
    if facts["other_plugins"]:
        lines.append(f"plugin folders: {', '.join(facts['other_plugins'])}")
    if facts["driver"]:
        lines.append(f"NVIDIA driver {facts['driver']}")
    if facts["jax_installed"]:
        lines.append(f"the package jax {facts['jax_installed']} is installed too; it is never "
                     "loaded in a process of minijax")
    lines.append("devices: " + (", ".join(f"{n} {name}" for name, n in counts.items()) or "none"))
    for problem in facts["problems"]:
        lines += [f"! {problem['what']}", f"  fix: {problem['fix']}"]
    if not facts["problems"]:
        lines.append("nothing to mend")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the report; 1 if something does not fit."""
    parser = argparse.ArgumentParser(prog="python -m minijax.doctor", description=__doc__.split(
        "\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="facts for programs")
    options = parser.parse_args(arguments)
    facts = examine()
    print(json.dumps(facts, indent=1) if options.json else show(facts))
    return 1 if facts["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())

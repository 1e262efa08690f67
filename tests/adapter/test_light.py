"""The daemon imports this whole package, so none of it may pull in a heavy library."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import sleepd.adapter

HEAVY = {"torch", "numpy", "scipy", "transformers", "peft", "safetensors", "pydantic"}


def test_the_adapter_package_needs_the_standard_library_only() -> None:
    names = [f"sleepd.adapter.{module.name}" for module in pkgutil.iter_modules(sleepd.adapter.__path__)]
    assert "sleepd.adapter.gate" in names
    program = f"import sys, {', '.join(names)}; print(sorted({{name.split('.')[0] for name in sys.modules}} & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"

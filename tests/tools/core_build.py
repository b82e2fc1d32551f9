# SPDX-License-Identifier: BSL-1.0
"""Builds and runs the model test of the pool core by itself, for core_coverage and core_mutants."""

import os

from compilation import ROOT, quietly

INCLUDE = ROOT / "include"
# Not core.hpp, which only gathers them, nor the parking, which no model walks through: tests/carry and
# its safeguards try that.
CORE = [INCLUDE / "loopsafe" / "detail" / "intrusive_list.hpp",
        *(each for each in sorted((INCLUDE / "loopsafe" / "pool" / "core").glob("*.hpp"))
          if each.stem not in ("core", "parking"))]
DEPTH = 8  # the least at which the test sees all that it must see
CXX = [os.environ.get("CXX") or "g++", "-std=c++20", "-O1"]


def checked(command, **options):
    done = quietly(command, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def environment(depth):
    kept = {name: value for name, value in os.environ.items() if name != "LOOPSAFE_MODEL_DEPTH"}
    return kept if depth is None else {**kept, "LOOPSAFE_MODEL_DEPTH": str(depth)}


def compile_main(directory):
    directory.mkdir(parents=True, exist_ok=True)
    checked([*CXX, "-c", ROOT / "tests" / "support" / "main.cpp", "-o", directory / "main.o"])
    return directory / "main.o"


def compile_model(output, *flags):
    return quietly([*CXX, *flags, f"-I{INCLUDE}", "-c", ROOT / "tests" / "model" / "pool_core.cpp", "-o", output])

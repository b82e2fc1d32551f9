# SPDX-License-Identifier: BSL-1.0
"""Builds the model test of the pool core by itself, for core_coverage and core_mutants."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORE = [f"include/loopsafe/detail/{name}" for name in ("pool_core.hpp", "pool_core_impl.hpp")]
SOURCE = ROOT / "tests" / "model" / "pool_core.cpp"
FLAGS = ["-std=c++20", "-Wall", "-Wextra"]


def quietly(command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", **options)


def checked(command, **options):
    done = quietly(command, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def compiler():
    return os.environ.get("CXX") or "g++"


def doctest_main(directory):
    directory.mkdir(parents=True, exist_ok=True)
    output = directory / "main.o"
    checked([compiler(), *FLAGS, "-c", ROOT / "tests" / "support" / "main.cpp", "-o", output])
    return output


def environment(depth):
    return {**os.environ, **({"LOOPSAFE_MODEL_DEPTH": str(depth)} if depth else {})}

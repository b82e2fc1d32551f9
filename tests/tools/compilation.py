# SPDX-License-Identifier: BSL-1.0
"""How a build directory compiles its files, read from compile_commands.json."""

import json
import pathlib
import shlex
import subprocess

LAUNCHER = "ccache "  # as configure() in common.sh sets it
ROOT = pathlib.Path(__file__).resolve().parents[2]


def quietly(command, **options):
    return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", **options)


def command(build, source, tree=ROOT):
    """The command line that compiles `source`, without -c, -o and the source itself.

    With another `tree`, a copy of this one, the headers of that copy are used.
    """
    source = str(pathlib.Path(source))
    for entry in json.loads((pathlib.Path(build) / "compile_commands.json").read_text()):
        if entry["file"] == source:
            break
    else:
        raise SystemExit(f"{build} does not compile {source}")
    kept = []
    words = iter(shlex.split(entry["command"].removeprefix(LAUNCHER)))
    for word in words:
        if word in ("-o", "-MF", "-MT"):
            next(words)
        elif word not in ("-c", "-MD", source):
            for folder in ("include", "tests"):
                word = word.replace(f"{ROOT}/{folder}", f"{tree}/{folder}")
            kept.append(word)
    return kept

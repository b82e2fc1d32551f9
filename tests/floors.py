#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSL-1.0
"""floors.py BUILD: the folders below include/loopsafe are the floors of the house, and this keeps them so.

    * no header includes a room that stands later in ROOMS, and none includes a face
    * no headers include each other in a circle
    * the body of a header, in impl/, is included by that header alone, and no two headers share a guard
    * pool/core includes no Asio, <loopsafe.hpp> reaches neither TCP, Beast, TLS nor libpq, and
      <loopsafe/lambda.hpp> neither Beast, TLS nor libpq
    * zlib, Brotli and zstd are reached by the header of each of their codings, and by no other
"""

import collections
import pathlib
import re
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parent
INCLUDE = TESTS.parent / "include"
sys.path.insert(0, str(TESTS / "tools"))
import compilation

# From the ground up. A room is a folder; "." is the headers that stand beside the rooms.
ROOMS = ["detail", ".", "context", "async", "pool", "offload", "tcp", "tls", "http", "postgres", "run", "lambda", "testing"]
# Folders of one room, from the ground up.
WITHIN = {
    "pool": ["core", "detail"],
    "http": ["detail/wire", "detail/connection", "detail/client", "detail/coding", "layers"],
}
GROUND = {"config.hpp", "fwd.hpp", "never.hpp", "error.hpp", "impl/error.hpp"}
UMBRELLA = {"context", "pool", "offload", "run"}  # what <loopsafe.hpp> gathers

# Headers that include each other, with the reason.
CIRCLES = {}

HEAVY = re.compile(r"/boost/(asio/ip/tcp\.hpp|asio/ssl\.hpp|asio/ssl/|beast/|beast\.hpp)|/libpq-fe\.h|/openssl/")
LIBRARIES = re.compile(r"/boost/(asio/ssl\.hpp|asio/ssl/|beast/|beast\.hpp)|/libpq-fe\.h|/openssl/")
CODINGS = {"gzip": r"/zlib\.h$", "brotli": r"/brotli/", "zstd": r"/zstd\w*\.h$"}
ASIO = re.compile(r"/boost/asio[./]")


def room_of(header):
    """The room of a header of ours, or None for a face."""
    path = header.removeprefix("loopsafe/")
    if "/" not in path or path.startswith("impl/"):
        return "." if path in GROUND else None
    if path.split("/")[0] in ROOMS:
        return path.split("/")[0]
    raise SystemExit(f"{header} is in no room: name its folder in ROOMS, in tests/floors.py")


def all_headers():
    return sorted(str(p.relative_to(INCLUDE)) for p in (INCLUDE / "loopsafe").rglob("*.hpp"))


def includes(header):
    return re.findall(r"^\s*#\s*include\s*[<\"](loopsafe[/.][^>\"]+)", (INCLUDE / header).read_text(), re.M)


def is_public(header):
    return not re.search("/(core|detail|impl)/", header)


def floor_within(room, header):
    for number, folder in enumerate(WITHIN.get(room, [])):
        if header.startswith(f"loopsafe/{room}/{folder}/"):
            return number
    return None


def upward(graph):
    floor = {room: number for number, room in enumerate(ROOMS)}
    for header, included in graph.items():
        here = room_of(header)
        for other in included:
            there = room_of(other) if other != "loopsafe.hpp" else None
            if there is None:
                if here is not None:
                    yield f"{header} includes the face <{other}>: include the header of its room"
                elif other == "loopsafe.hpp":
                    yield f"{header} includes <loopsafe.hpp>"
            elif here is not None and floor[there] > floor[here]:
                yield f"{header} includes {other}: {there} stands above {here}"
            elif here == there and None not in (below := (floor_within(here, header), floor_within(here, other))):
                if below[1] > below[0]:
                    yield f"{header} includes {other}: {WITHIN[here][below[1]]} stands above {WITHIN[here][below[0]]}"
    for face in includes("loopsafe.hpp"):
        for room in {room_of(header) for header in graph[face]} - UMBRELLA:
            yield f"loopsafe.hpp includes {face}, of the room {room}"


def circles(graph):
    """Each group of headers from which one leads back to oneself (Tarjan)."""
    index, low, on_stack, stack, found = {}, {}, set(), [], []

    def visit(header):
        index[header] = low[header] = len(index)
        stack.append(header)
        on_stack.add(header)
        for other in graph.get(header, ()):
            if other not in index:
                visit(other)
                low[header] = min(low[header], low[other])
            elif other in on_stack:
                low[header] = min(low[header], index[other])
        if low[header] == index[header]:
            group = []
            while not group or group[-1] != header:
                group.append(stack.pop())
                on_stack.discard(group[-1])
            if len(group) > 1 or header in graph.get(header, ()):
                found.append(frozenset(group))

    for header in graph:
        if header not in index:
            visit(header)
    for group in found:
        if group not in CIRCLES:
            yield "headers include each other: " + " ".join(sorted(group))
    for group in CIRCLES.keys() - set(found):
        yield "no circle any more, though tests/floors.py names it: " + " ".join(sorted(group))


def bodies(graph):
    by = collections.defaultdict(list)
    for header, included in graph.items():
        for other in included:
            by[other].append(header)
    for header in graph:
        if "/impl/" in header and len(by[header]) > 1:
            yield f"{header} is a body, and yet several headers include it: {', '.join(by[header])}"


def guards(graph):
    by = collections.defaultdict(list)
    for header in graph:
        by[re.search(r"^#ifndef (\w+)", (INCLUDE / header).read_text(), re.M).group(1)].append(header)
    for guard, headers in by.items():
        if len(headers) > 1:
            yield f"{guard} guards {' and '.join(headers)}: the second of them is never read"


def reached(compiler, headers):
    """Every file that a translation unit with these headers reads."""
    text = "".join(f"#include <{header}>\n" for header in headers)
    run = subprocess.run([*compiler, "-M", "-x", "c++", "-"], input=text, capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(run.stderr)
    return run.stdout.replace("\\\n", " ").split()


def beyond(compiler):
    core = ["loopsafe/pool/core/core.hpp", "loopsafe/pool/core/parking.hpp"]
    for headers, pattern in ((["loopsafe.hpp"], HEAVY), (core, ASIO), (["loopsafe/lambda.hpp"], LIBRARIES)):
        for file in sorted(set(filter(pattern.search, reached(compiler, headers)))):
            yield f"{', '.join(headers)} reaches {file}"
    faces = ["loopsafe/http.hpp", "loopsafe/http/layers/decoding.hpp"]
    for headers, allowed in [(faces, ""), *(([f"loopsafe/http/layers/{coding}.hpp"], coding) for coding in CODINGS)]:
        pattern = re.compile("|".join(library for coding, library in CODINGS.items() if coding != allowed))
        for file in sorted(set(filter(pattern.search, reached(compiler, headers)))):
            yield f"{', '.join(headers)} reaches {file}"


def main(build):
    graph = {header: includes(header) for header in all_headers()}
    errors = [*upward(graph), *circles(graph), *bodies(graph), *guards(graph)]
    if not errors:
        errors = list(beyond(compilation.command(build, TESTS / "odr" / "a.cpp")))
    print("\n".join(errors) or f"{len(graph)} headers in {len(ROOMS)} rooms, none includes a later one, no circles")
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

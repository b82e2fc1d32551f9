#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSL-1.0
"""floors.py BUILD: no header includes a higher floor, and the core stays free of what it must not need."""

import pathlib
import re
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parent
INCLUDE = TESTS.parent / "include"
sys.path.insert(0, str(TESTS / "tools"))
import compilation

# The one table. Every header below include/loopsafe stands here once, by name or with its folder.
FLOORS = {
    0: """
        config.hpp fwd.hpp never.hpp error.hpp impl/error.hpp
        detail/c_deleter.hpp detail/intrusive_list.hpp detail/safe_as_temporary.hpp detail/share_new.hpp
    """,
    1: """
        context.hpp impl/context.hpp
        detail/context_state.hpp detail/find_context.hpp detail/identity.hpp
        detail/located_executor.hpp detail/refusal.hpp
    """,
    2: """
        residents.hpp context_bound.hpp context_local.hpp
    """,
    3: """
        clock_reading.hpp close_reason.hpp connector.hpp pool_clock.hpp pool_error.hpp
        execution.hpp pool_mutex.hpp pool_policy.hpp pool_stats.hpp
        carry_over_pool.hpp keep_alive_pool.hpp null_pool.hpp per_context_pool.hpp
        detail/pool_core.hpp detail/pool_core_acquire.hpp detail/pool_core_release.hpp
        detail/pool_core_whole.hpp detail/pool_parking.hpp
        worker_options.hpp worker_threads.hpp impl/worker_threads.hpp thread_offload.hpp impl/thread_offload.hpp
        detail/blocked_signals.hpp detail/completion.hpp detail/offloaded_call.hpp
        detail/fork_generation.hpp detail/thread_end.hpp
        detail/worker_call.hpp detail/worker_core.hpp detail/worker_registry.hpp
    """,
    4: """
        lease.hpp connection_pool.hpp impl/connection_pool.hpp
        blocking_connection.hpp offloaded_connection_pool.hpp
        detail/offloaded_connector.hpp detail/offloaded_lease.hpp
        detail/deadline.hpp detail/serial_executor.hpp
        detail/unwinding.hpp
        detail/pool_acquire.hpp detail/pool_carry.hpp detail/pool_release.hpp detail/pool_shelves.hpp
        detail/pool_state.hpp detail/pool_ticket.hpp detail/pool_whole.hpp
    """,
    5: """
        tcp.hpp impl/tcp.hpp detail/stream_op.hpp detail/tcp_probe.hpp
        detail/mute_descriptor.hpp detail/parked_socket.hpp
        tls.hpp tls/*
        http.hpp http/*
        postgres.hpp postgres/*
    """,
    6: """
        spawn.hpp runner.hpp impl/runner.hpp
    """,
    7: """
        testing/*
    """,
}
UMBRELLA = {0, 1, 2, 3, 4, 6}  # the floors that <loopsafe.hpp> may include

# What a program gets only by including floor 5 or above.
HEAVY = re.compile(r"/boost/(asio/ip/tcp\.hpp|asio/ssl\.hpp|asio/ssl/|beast/|beast\.hpp)|/libpq-fe\.h|/openssl/")
ASIO = re.compile(r"/boost/asio[./]")
WITHOUT_ASIO = ["loopsafe/detail/pool_core.hpp"]


def floors():
    """The floor of every header that is listed."""
    listed = {}
    for floor, names in FLOORS.items():
        for name in names.split():
            if name.endswith("/*"):
                folder = INCLUDE / "loopsafe" / name[:-2]
                listed |= {str(p.relative_to(INCLUDE)): floor for p in folder.rglob("*.hpp")}
            else:
                listed[f"loopsafe/{name}"] = floor
    return listed


def includes(header):
    return re.findall(r"^\s*#\s*include\s*[<\"](loopsafe[/.][^>\"]+)", (INCLUDE / header).read_text(), re.M)


def is_body(header):
    """Bodies are included at the end of the header that declares them, never by themselves."""
    return "/impl/" in header or header.endswith("_impl.hpp")


def direct(floor_of):
    present = {str(p.relative_to(INCLUDE)) for p in (INCLUDE / "loopsafe").rglob("*.hpp")}
    for header in sorted(present - floor_of.keys()):
        yield f"{header} stands on no floor: add it to the table in tests/floors.py"
    for header in sorted(floor_of.keys() - present):
        yield f"{header} is in the table of tests/floors.py, but there is no such header"
    for header in sorted(present & floor_of.keys()):
        for other in includes(header):
            if other == "loopsafe.hpp":
                yield f"{header} includes <loopsafe.hpp>"
            elif floor_of.get(other, -1) > floor_of[header]:
                yield f"{header} (floor {floor_of[header]}) includes {other} (floor {floor_of[other]})"
    for other in includes("loopsafe.hpp"):
        if floor_of.get(other, -1) not in UMBRELLA:
            yield f"loopsafe.hpp includes {other} (floor {floor_of.get(other)})"


def reached(compiler, headers):
    """Every file that a translation unit with these headers reads."""
    text = "".join(f"#include <{header}>\n" for header in headers)
    run = subprocess.run([*compiler, "-M", "-x", "c++", "-"], input=text, capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(run.stderr)
    return run.stdout.replace("\\\n", " ").split()


def transitive(floor_of, compiler):
    def offenders(headers, pattern):
        if any(map(pattern.search, reached(compiler, headers))):
            for header in headers:
                for file in sorted(set(filter(pattern.search, reached(compiler, [header])))):
                    yield f"{header} reaches {file}"

    core = [header for header, floor in floor_of.items() if floor <= 4 and not is_body(header)]
    yield from offenders(["loopsafe.hpp", *core], HEAVY)
    yield from offenders(WITHOUT_ASIO, ASIO)


def main(build):
    floor_of = floors()
    errors = list(direct(floor_of))
    if not errors:
        errors = list(transitive(floor_of, compilation.command(build, TESTS / "odr" / "a.cpp")))
    print("\n".join(errors) or f"{len(floor_of)} headers, each on its floor")
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

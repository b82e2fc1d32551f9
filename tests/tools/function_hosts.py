# SPDX-License-Identifier: BSL-1.0
"""The same function, an unchanged binary, on every host: each case of it is to answer the same."""

import base64
import io
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
import zipfile

SECONDS = 2  # of an invocation, where a host lets that be said
TENANT = "blue"
CONTEXT = '{"custom":{"a":1}}'
RUNTIME_API = "AWS_LAMBDA_RUNTIME_API"


def error(kind, text):
    return "! " + json.dumps({"errorType": kind, "errorMessage": text, "stackTrace": []}, separators=(",", ":"))


NESTED = ('! {"errorType":"Function.OrderRefused","errorMessage":"no such order","stackTrace":[],'
          '"cause":{"errorType":"std::out_of_range","errorMessage":"line 7","stackTrace":[]}}')
TIMEOUT = error("Runtime.HandlerTimeout", "the handler did not end before the deadline of its invocation")
EXIT = ('! {"errorType":"Runtime.ExitError",'
        '"errorMessage":"RequestId: <id> Error: Runtime exited with error: exit status 3"}')
NO_START = error("std::runtime_error", "no database")
LARGE = '"' + "x" * 7_000_000 + '"'
TOO_LARGE = ('! {"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum '
             'allowed payload size (6291556 bytes)."}')

# name, handler, event, what is answered; "! " is before errors
CASES = [
    ("echo", "kept", '{"order":7}', '{"order":7}'),
    ("not ASCII", "kept", '"\\u00fc ü ☃"', '"\\u00fc ü ☃"'),
    ("20 in turn", "kept", [str(i) for i in range(20)], " ".join(map(str, range(20)))),
    ("large event", "kept", '"' + "y" * 1_000_000 + '"', '"' + "y" * 1_000_000 + '"'),
    ("event no JSON", "kept", "not JSON", "not JSON"),
    ("answer no JSON", "kept", '"text"', "this is no JSON"),
    ("empty answer", "kept", '"nothing"', ""),
    ("id, ARN, deadline", "kept", '"facts"', '{"same":true,"has_arn":true,"has_deadline":true}'),
    ("time left", "kept", '"time"', "true"),
    ("tenant", "kept", '"tenant"', f'"{TENANT}"'),
    ("client context", "kept", '"client"', CONTEXT),
    ("trace", "kept", '"trace"', "true"),
    ("throw", "kept", '"throw"', error("std::runtime_error", "boom")),
    ("throw, nested", "kept", '"nested"', NESTED),
    ("answer of 7 MB", "kept", '"large"', TOO_LARGE),
    ("exit", "kept", '"exit"', EXIT),
    ("after exit", "kept", "1", "1"),
    ("hang", "kept", '"hang"', TIMEOUT),
    ("after hang", "kept", "2", "2"),
    ("fresh: echo", "fresh", '{"order":7}', '{"order":7}'),
    ("fresh: throw", "fresh", '"throw"', error("std::runtime_error", "boom")),
    ("fresh: hang", "fresh", '"hang"', TIMEOUT),
    ("fresh: after hang", "fresh", "2", "2"),
    ("concurrent: echo", "concurrent", '{"order":7}', '{"order":7}'),
    ("concurrent: hang", "concurrent", '"hang"', TIMEOUT),
    ("stream", "stream", '{"order":7}', '{"order":7}'),
    ("stream, throw", "stream", '"throw"', '! "throw"'),
    ("stream, after", "stream", "3", "3"),
    ("start fails", "bad_start", "1", NO_START),
    ("start fails again", "bad_start", "1", NO_START),
]

# What a host does otherwise, and why that is the host's.
NO_TRAILERS = "buffers what is streamed, and drops its trailers"
NO_TENANTS = "has no tenants"
TEN_MINUTES = "gives every invocation a deadline of ten minutes, and its caller 408 after its own time"
BLIND = "does not see its function's process, and gives the caller 408"
NO_STREAMS = '! {"type":"https://httpstatuses.com/500","status":500,"title":"Internal Server Error"}'
STREAMLESS = "takes no streamed answer, of AWS's client for Go neither"
OTHERWISE = {
    "RIE": {
        "trace": ("false", "sends no trace where X-Ray has none"),
        "stream, throw": ('"throw"', NO_TRAILERS),
    },
    "ministack": {
        "event no JSON": ("{}", "takes an event that is no JSON for {}"),
        "answer no JSON": ('"this is no JSON"', "makes JSON of every answer"),
        "empty answer": ('""', "makes JSON of every answer"),
        "tenant": ('""', NO_TENANTS),
        "client context": ("null", "hands no client context on"),
        "trace": ("false", "sends no trace unless X-Ray is active"),
        "answer of 7 MB": (LARGE, "takes answers of any size"),
        "exit": ('! {"errorMessage":"Runtime exited before returning a response","errorType":"Runtime.ExitError"}',
                 "does not say how the process ended"),
        "stream, throw": ('"throw"', NO_TRAILERS),
        "start fails": ("! Runtime.Unknown: no database", "puts the report of the start into a text of its own"),
        "start fails again": ("! Runtime.Unknown: no database", "puts the report of the start into a text of its own"),
    },
    "cargo-lambda": {
        "tenant": ('""', NO_TENANTS),
        "client context": ("null", "hands no client context on"),
        "answer of 7 MB": (LARGE, "takes answers of any size"),
        "exit": ("! 408", BLIND),
        "hang": ("! 408", TEN_MINUTES),
        "fresh: hang": ("! 408", TEN_MINUTES),
        "concurrent: hang": ("! 408", TEN_MINUTES),
        "stream": (NO_STREAMS, STREAMLESS),
        "stream, throw": (NO_STREAMS, STREAMLESS),
        "stream, after": (NO_STREAMS, STREAMLESS),
        "start fails": ("! 408", BLIND),
        "start fails again": ("! 408", BLIND),
    },
}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    return [each.getsockname()[1] for each in sockets]


def stop(process):
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def await_port(port, process):
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if process.poll() is not None:
                raise SystemExit(f"{process.args[0]} has ended: see build/lambda_hosts/*.log")
            time.sleep(0.05)


class Host:
    """Serves the program by each handler. `invoke` gives the answer as CASES have it."""

    rewrites_json = False

    def __init__(self, build, program):
        self.build, self.program, self.running = build, program, []

    def popen(self, words, log, **more):
        out = (self.build / log).open("w")
        process = subprocess.Popen([str(word) for word in words],
                                   **{"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out, **more})
        self.running.append(process)
        return process

    def close(self):
        for process in self.running:
            stop(process)

    @staticmethod
    def post(url, body, fields=None):
        request = urllib.request.Request(url, body.encode(), {
            "Content-Type": "application/json", "X-Amz-Tenant-Id": TENANT,
            "X-Amz-Client-Context": base64.b64encode(CONTEXT.encode()).decode(), **(fields or {})})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, reply.headers, reply.read().decode()
        except urllib.error.HTTPError as failed:
            return failed.code, failed.headers, failed.read().decode()


class Ours(Host):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.fronts = {}

    def invoke(self, handler, event):
        if handler not in self.fronts:
            self.fronts[handler] = self.popen([self.build / "service", self.program, handler, SECONDS * 1000],
                                              f"service_{handler}.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        front = self.fronts[handler]
        front.stdin.write(f"{TENANT}\t{CONTEXT}\t{event}\n".encode())
        front.stdin.flush()
        how, _, size = front.stdout.readline().decode().rstrip("\n").split("\t")
        return ("" if how == "response" else "! ") + front.stdout.read(int(size)).decode()

    def close(self):
        for front in self.fronts.values():
            front.stdin.close()
            if front.wait() != 0:
                raise SystemExit("against the protocol: see build/lambda_hosts/service_*.log")


class Emulator(Host):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.fronts = {}

    def start(self, handler):
        front, api = free_ports(2)
        emulator = self.popen(
            [self.build / "aws-lambda-rie", "--runtime-interface-emulator-address", f"127.0.0.1:{front}",
             "--runtime-api-address", f"127.0.0.1:{api}", self.program, handler], f"rie_{handler}.log",
            env={**os.environ, "AWS_LAMBDA_FUNCTION_TIMEOUT": str(SECONDS)})
        await_port(front, emulator)
        return f"http://127.0.0.1:{front}/2015-03-31/functions/function/invocations"

    def invoke(self, handler, event):
        if handler not in self.fronts:
            self.fronts[handler] = self.start(handler)
        status, _, text = self.post(self.fronts[handler], event)
        return ("! " if status != 200 or text.startswith('{"errorType"') else "") + text


class Ministack(Host):
    rewrites_json = True

    def __init__(self, *arguments):
        super().__init__(*arguments)
        (port,) = free_ports(1)
        state = self.build / "ministack"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        server = self.popen([self.build / "venv" / "bin" / "ministack"], "ministack.log", cwd=state,
                            env={**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port),
                                 "STATE_DIR": str(state), "TMPDIR": str(state)})
        await_port(port, server)
        self.functions = f"http://127.0.0.1:{port}/2015-03-31/functions"
        self.made = set()

    def make(self, handler):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, self.program.read_bytes())
        about = {"FunctionName": handler, "Runtime": "provided.al2023", "Handler": handler, "Timeout": SECONDS,
                 "Role": "arn:aws:iam::000000000000:role/function",
                 "Code": {"ZipFile": base64.b64encode(packed.getvalue()).decode()}}
        status, _, text = self.post(self.functions, json.dumps(about))
        if status != 201:
            raise SystemExit(f"ministack makes no function: {text}")
        self.made.add(handler)

    def invoke(self, handler, event):
        if handler not in self.made:
            self.make(handler)
        _, fields, text = self.post(f"{self.functions}/{handler}/invocations", event)
        if "init error" in text and "'std::runtime_error'" in text:
            return "! Runtime.Unknown: no database" if "no database" in text and "Runtime.Unknown" in text else text
        return ("! " if fields.get("X-Amz-Function-Error") else "") + text


class CargoLambda(Host):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.closing, self.functions = False, {}
        (self.port,) = free_ports(1)
        package = self.build / "cargo"
        package.mkdir(exist_ok=True)
        names = {handler for _, handler, _, _ in CASES}  # each is to be a binary of the package
        (package / "Cargo.toml").write_text(
            '[package]\nname = "function"\nversion = "0.1.0"\nedition = "2021"\n' +
            "".join(f'[[bin]]\nname = "{name}"\npath = "src/main.rs"\n' for name in sorted(names)))
        server = self.popen([self.build / "venv" / "bin" / "cargo-lambda", "lambda", "watch", "--only-lambda-apis", "-A",
                             "127.0.0.1", "-P", self.port, "--timeout", SECONDS + 1], "cargo_lambda.log", cwd=package)
        await_port(self.port, server)

    def keep(self, handler):
        """It starts no function by itself."""
        while not self.closing:
            with (self.build / f"cargo_{handler}.log").open("a") as log:
                function = subprocess.Popen([self.program, handler], stdout=log, stderr=subprocess.STDOUT,
                                            env={**os.environ, RUNTIME_API: f"127.0.0.1:{self.port}/.rt/{handler}"})
                self.functions[handler] = function
                function.wait()
            time.sleep(0.05)

    def invoke(self, handler, event):
        if handler not in self.functions:
            self.functions[handler] = None
            threading.Thread(target=self.keep, args=[handler], daemon=True).start()
        status, _, text = self.post(f"http://127.0.0.1:{self.port}/2015-03-31/functions/{handler}/invocations", event)
        if status == 408:  # what is at work is to end, as on AWS
            self.functions[handler].kill()
            return "! 408"
        return ("" if status == 200 else "! ") + text

    def close(self):
        self.closing = True
        super().close()
        for function in self.functions.values():
            if function is not None:
                stop(function)


HOSTS = {"ours": Ours, "RIE": Emulator, "ministack": Ministack, "cargo-lambda": CargoLambda}


def normal(answer, rewrites_json):
    answer = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>", answer)
    if not rewrites_json:
        return answer
    mark, text = ("! ", answer[2:]) if answer.startswith("! ") else ("", answer)
    try:
        return mark + json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return answer


def short(text):
    return text if len(text) <= 100 else f"{text[:60]}... ({len(text)} characters)"


def table(build, program):
    """Prints it; gives how many cells are as they should be, and how many are not."""
    hosts = {name: make(build, program) for name, make in HOSTS.items()}
    passed, wrong, reasons = 0, [], {}
    print(f"{'':20}" + "".join(f"{name:14}" for name in hosts))
    try:
        for case, handler, events, expected in CASES:
            cells = []
            for name, host in hosts.items():
                due, reason = OTHERWISE.get(name, {}).get(case, (expected, None))
                each = events if isinstance(events, list) else [events]
                seen = " ".join(host.invoke(handler, event) for event in each)
                good = normal(seen, host.rewrites_json) == normal(due, host.rewrites_json)
                passed += good
                if not good:
                    wrong.append(f"{case}, {name}\n  expected {short(due)}\n  seen     {short(seen)}")
                if reason:
                    mark = reasons.setdefault((name, reason), len(reasons) + 1)
                cells.append("WRONG" if not good else f"otherwise [{mark}]" if reason else "same")
            print(f"{case:20}" + "".join(f"{cell:14}" for cell in cells), flush=True)
    finally:
        for host in hosts.values():
            host.close()
    for (name, reason), mark in reasons.items():
        print(f"[{mark}] {name} {reason}")
    for each in wrong:
        print(each)
    return passed, len(wrong)

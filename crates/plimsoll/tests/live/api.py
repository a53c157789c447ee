#!/usr/bin/env python3
"""Holds the admin API of a live Plimsoll against its own description, by schemathesis.

    api.py PROGRAM [--seed N]

Starts servers and the program in front of them on free ports of this machine, sends a little traffic through it, and lets
schemathesis ask the admin API whatever its OpenAPI document allows and much that it does not. Every answer must be one
that is described; what is not allowed must be refused; the program must be alive and its count true at the end. The seed is
printed and repeats a run. Needs what requirements.txt beside this file names.
"""

import argparse
import http.server
import json
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

# Fewer find little, more take longer than the whole of the other tests.
EXAMPLES = 60

# Waiting for something takes longer only if it never comes.
PATIENCE = 30

CONFIG = """
[listen.web]
bind = "127.0.0.1:{web}"
pool = "app"

[pool.app]
servers = [{servers}]
probe = {{ http = "/", interval = "200ms", timeout = "1s" }}

[admin]
bind = "127.0.0.1:{admin}"
"""

SCHEMATHESIS = """
# A stream has no end.
max-stream-events = 3

# What is sent must meet some pools and servers that are there.
[dictionaries.pools]
values = ["app"]

[dictionaries.servers]
values = ["one", "two", "three"]

[parameters]
"path.pool" = { dictionary = "pools", probability = 0.8 }
"path.server" = { dictionary = "servers", probability = 0.7 }

[checks.positive_data_acceptance]
# Right by the description, and yet not to be done: an address that no machine has, a name that is taken.
expected-statuses = ["2xx", 404, 409, 422]

[checks.negative_data_rejection]
expected-statuses = [400, 403, 404, 405, 408, 409, 413, 415, 421, 422]
"""


class Quiet(http.server.BaseHTTPRequestHandler):
    """A server that answers everything with one line."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Answers."""
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        """Says nothing."""


def free_port():
    """A port that nobody listened on a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def serve():
    """Starts a server and gives its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def get(url):
    """What is at a URL."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return answer.read()


def until(what, holds):
    """Waits until something holds."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if holds():
                return
        except OSError:
            pass
        if time.monotonic() > end:
            sys.exit(f"api.py: {what} did not come")
        time.sleep(0.05)


def traffic(port, stop):
    """Asks through the program until it is told to stop."""
    while not stop.wait(0.02):
        try:
            get(f"http://127.0.0.1:{port}/")
        except OSError:
            # The fuzzer drains and removes servers as it likes.
            pass


def schemathesis(folder, admin, seed):
    """Runs it, and gives its exit code."""
    config = folder / "schemathesis.toml"
    config.write_text(SCHEMATHESIS)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    command += [f"http://127.0.0.1:{admin}/api/v1/openapi.json", "--checks", "all", "--seed", str(seed)]
    command += ["--max-examples", str(EXAMPLES), "--request-timeout", "30", "--no-color", "--warnings", "off"]
    return subprocess.run(command, cwd=folder, check=False).returncode


def hold(program, folder, seed):
    """Starts everything, runs the fuzzer, and looks at what is left."""
    web, admin = free_port(), free_port()
    names = ["one", "two", "three"]
    servers = ", ".join(f'{{ address = "127.0.0.1:{serve()}", name = "{name}" }}' for name in names)
    config = folder / "plimsoll.toml"
    config.write_text(CONFIG.format(web=web, admin=admin, servers=servers))
    with open(folder / "said", "wb") as said, subprocess.Popen([program, "serve", str(config)], stderr=said) as running:
        try:
            until("the admin API", lambda: get(f"http://127.0.0.1:{admin}/healthz") == b"ok\n")
            stop = threading.Event()
            asking = threading.Thread(target=traffic, args=(web, stop))
            asking.start()
            failed = schemathesis(folder, admin, seed)
            stop.set()
            asking.join()
            if running.poll() is not None:
                sys.exit(f"api.py: the program ended with {running.returncode}")
            undo = urllib.request.Request(f"http://127.0.0.1:{admin}/api/v1/diff", method="DELETE")
            assert json.load(urllib.request.urlopen(undo, timeout=PATIENCE))["differences"] == 0
            pool = f"http://127.0.0.1:{admin}/api/v1/pools/app"
            until("the end of requests in flight", lambda: json.loads(get(pool))["in_flight"] == 0)
        finally:
            running.terminate()
            code = running.wait(PATIENCE)
            told = (folder / "said").read_text(errors="replace")
            if code != 0 or "panicked" in told:
                sys.exit(f"api.py: the program ended with {code} and said:\n{told[-4000:]}")
    return failed


def main():
    """Reads the arguments and runs."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("program", type=pathlib.Path)
    arguments.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = arguments.parse_args()
    print(f"api.py: seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="plimsoll-api-") as folder:
        sys.exit(hold(given.program.resolve(), pathlib.Path(folder), given.seed))


if __name__ == "__main__":
    main()

"""gRPC servers and a running Plimsoll for live tests, all on loopback. No code is generated: messages are bytes.

Run as a program it is a server of its own: it prints its port and serves until it is killed.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

PROGRAM = pathlib.Path(os.environ.get("PLIMSOLL", "target/debug/plimsoll")).resolve()

EXAMPLES = pathlib.Path(__file__).resolve().parents[4] / "examples"

# Waiting for something takes longer only if it never comes.
PATIENCE = 15

# Larger than any message of a test.
LARGEST = [("grpc.max_receive_message_length", 1 << 24), ("grpc.max_send_message_length", 1 << 24)]

CONFIG = """
[listen.web]
bind = "127.0.0.1:{web}"
pool = "app"
{listener}

[pool.app]
protocol = "http2"
servers = [{servers}]
{pool}

[admin]
bind = "127.0.0.1:{admin}"

[access_log]
to = "{folder}/access.log"
"""


class Echo:
    """What a server does, and what it has seen."""

    def __init__(self, name="server"):
        self.name = name
        self.taken = 0
        # Of each call that hangs: how much time it was given.
        self.given = []
        self.ended = threading.Semaphore(0)
        self.go = threading.Event()
        self.fail_with = None

    def unary(self, request, context):
        """Gives the request back, and the metadata that came with it."""
        self.taken += 1
        if self.fail_with is not None:
            context.abort(self.fail_with, "as it was told")
        sent = tuple((key, value) for key, value in context.invocation_metadata() if key.startswith("x-"))
        context.send_initial_metadata(sent)
        context.set_trailing_metadata(sent + (("x-server", self.name),))
        return request

    def tell(self, request, context):
        """Gives its name and the request back: head, message and end at once, so that no death can come between."""
        return b"%s %s" % (self.name.encode(), request)

    def expand(self, request, context):
        """Sends as many messages as the request says."""
        for number in range(int(request)):
            yield b"%d" % number

    def join(self, requests, context):
        """Joins all requests."""
        return b" ".join(requests)

    def chat(self, requests, context):
        """Answers each request before it takes the next."""
        context.send_initial_metadata((("x-early", "yes"),))
        for request in requests:
            yield b"re: " + request

    def fail(self, request, context):
        """Ends with the status and the message that the request says."""
        code, message = request.decode().split(" ", 1)
        context.set_trailing_metadata((("x-why", "because"), ("x-why-bin", b"\x00\xff\x80")))
        context.abort(next(status for status in grpc.StatusCode if status.value[0] == int(code)), message)

    def hang(self, request, context):
        """Ends only with the call."""
        over = threading.Event()
        self.given.append(context.time_remaining())
        if not context.add_callback(over.set):
            over.set()
        over.wait(PATIENCE)
        self.ended.release()
        return b""

    def begin(self, request, context):
        """Sends a message, waits until it is told to go on, and ends as the request says."""
        yield b"first"
        self.go.wait(PATIENCE)
        if request == b"cancel":
            context.cancel()
        elif request == b"abort":
            context.abort(grpc.StatusCode.DATA_LOSS, "lost it")
        yield b"last"

    def give_up(self, request, context):
        """Resets the stream without a word."""
        context.cancel()
        return b""

    def handler(self):
        """The methods, each of its kind."""
        kinds = {
            "unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "tell": grpc.unary_unary_rpc_method_handler(self.tell),
            "expand": grpc.unary_stream_rpc_method_handler(self.expand),
            "join": grpc.stream_unary_rpc_method_handler(self.join),
            "chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "hang": grpc.unary_unary_rpc_method_handler(self.hang),
            "begin": grpc.unary_stream_rpc_method_handler(self.begin),
            "give_up": grpc.unary_unary_rpc_method_handler(self.give_up),
        }
        return grpc.method_handlers_generic_handler("test.Echo", kinds)


class Server:
    """A server in this process."""

    def __init__(self, name="server", with_health=False):
        self.echo = Echo(name)
        self.server = grpc.server(futures.ThreadPoolExecutor(32), options=LARGEST)
        self.server.add_generic_rpc_handlers((self.echo.handler(),))
        self.health = health.HealthServicer()
        if with_health:
            health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def stop(self):
        """Ends it at once."""
        self.echo.go.set()
        self.server.stop(None).wait(PATIENCE)


class Process:
    """A server in a process of its own, which can be killed."""

    def __init__(self, name):
        self.running = subprocess.Popen([sys.executable, __file__, name], stdout=subprocess.PIPE)
        self.port = int(self.running.stdout.readline())

    def stop(self):
        """Kills it."""
        self.running.kill()
        self.running.wait(PATIENCE)
        self.running.stdout.close()


class Plimsoll:
    """The program in front of servers, each given as a port."""

    def __init__(self, ports, pool="", listener="", server="", example=None):
        self.folder = tempfile.TemporaryDirectory(prefix="plimsoll-grpc-")
        self.web, self.admin = free_port(), free_port()
        if example is None:
            named = (f'{{ address = "127.0.0.1:{port}", name = "s{n}"{server} }}' for n, port in enumerate(ports))
            ports_and_place = {"web": self.web, "admin": self.admin, "folder": self.folder.name}
            text = CONFIG.format(servers=", ".join(named), pool=pool, listener=listener, **ports_and_place)
        else:
            text = self.of_example(example, ports)
        path = pathlib.Path(self.folder.name) / "plimsoll.toml"
        path.write_text(text)
        self.said = open(path.with_suffix(".said"), "w+b")
        self.running = subprocess.Popen([PROGRAM, "serve", path], stderr=self.said)
        until("the admin API", lambda: self.get("/healthz"))
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.web}", options=LARGEST)

    def of_example(self, name, ports):
        """A file of `examples/` with these servers in the place of its own, and an admin API."""
        text = (EXAMPLES / name).read_text().replace("127.0.0.1:8080", f"127.0.0.1:{self.web}")
        for place, port in enumerate(ports):
            text = text.replace(f'"127.0.0.1:{9001 + place}"', f'"127.0.0.1:{port}"')
        return f'{text}\n[admin]\nbind = "127.0.0.1:{self.admin}"\n'

    def get(self, path):
        """What the admin API says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=PATIENCE) as answer:
            return answer.read()

    def servers(self):
        """The servers as the API tells of them."""
        return json.loads(self.get("/api/v1/pools/app"))["servers"]

    def in_flight(self):
        """What the API says is in flight."""
        return json.loads(self.get("/api/v1/pools/app"))["in_flight"]

    def lines(self, count):
        """The access log once it has so many lines."""
        path = pathlib.Path(self.folder.name) / "access.log"
        until(f"{count} lines", lambda: path.read_bytes().count(b"\n") >= count)
        return [json.loads(line) for line in path.read_text().splitlines()]

    def unary(self, method="unary"):
        """A method to call."""
        return self.channel.unary_unary(f"/test.Echo/{method}")

    def stream(self, method):
        """A method that answers with a stream."""
        return self.channel.unary_stream(f"/test.Echo/{method}")

    def stop(self):
        """Ends it, and gives what was wrong with its end."""
        self.channel.close()
        self.running.terminate()
        code = self.running.wait(PATIENCE)
        self.said.seek(0)
        told = self.said.read().decode(errors="replace")
        self.said.close()
        self.folder.cleanup()
        return None if code == 0 and "panicked" not in told else f"it ended with {code} and said: {told}"


def free_port():
    """A port that nobody listened on a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def until(what, holds):
    """Waits until something holds, and gives what it came to."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if found := holds():
                return found
        except OSError:
            pass
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come")
        time.sleep(0.02)


def main():
    """Serves until it is killed."""
    server = Server(sys.argv[1])
    print(server.port, flush=True)
    server.server.wait_for_termination()


if __name__ == "__main__":
    main()

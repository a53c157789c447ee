"""WebSockets over TLS on both sides of a running Plimsoll, with the client and the server of the `websockets` library.

Those for asyncio: the ones with threads read from a TLS session while they write to it, which OpenSSL does not allow, and
now and then lose a request before it is sent.

    PLIMSOLL=target/debug/plimsoll python -m unittest -v crates/plimsoll/tests/live/test_websocket.py
"""

import asyncio
import json
import pathlib
import ssl
import subprocess
import tempfile
import unittest
import urllib.request

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from rpc import PATIENCE, PROGRAM, free_port, until

CONFIG = """
[listen.web]
bind = "127.0.0.1:{web}"
pool = "app"
tls = {{ cert = "localhost.pem", key = "localhost.key" }}

[pool.app]
servers = [{servers}]
tls = {{ server_name = "localhost", ca = "localhost.pem" }}

[admin]
bind = "127.0.0.1:{admin}"
"""

# Larger than any buffer on the way.
LARGE = bytes(range(256)) * 8192


class WebSockets(unittest.IsolatedAsyncioTestCase):
    """Each test has two servers and a program of its own."""

    async def asyncSetUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="plimsoll-wss-")))
        made = [PROGRAM, "cert", "--name", "localhost", "--out", self.folder]
        subprocess.run(made, check=True, capture_output=True, timeout=PATIENCE)
        self.of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.of_server.load_cert_chain(self.folder / "localhost.pem", self.folder / "localhost.key")
        self.of_client = ssl.create_default_context(cafile=self.folder / "localhost.pem")
        self.ports = [await self.server() for _ in range(2)]
        self.web, self.admin = free_port(), free_port()
        servers = ", ".join(f'"127.0.0.1:{port}"' for port in self.ports)
        config = self.folder / "plimsoll.toml"
        config.write_text(CONFIG.format(web=self.web, admin=self.admin, servers=servers))
        self.said = self.enterContext(open(self.folder / "said", "w+b"))
        self.running = subprocess.Popen([PROGRAM, "serve", config], stderr=self.said)
        self.addCleanup(self.end)
        await self.until_in_flight([0, 0])

    async def server(self):
        """A server that gives back what it gets, until it is told to go; gives its port."""

        async def echo(socket):
            async for message in socket:
                if message == "go":
                    await socket.close(4000, "as you wish")
                    return
                await socket.send(message)

        serving = serve(echo, "127.0.0.1", 0, ssl=self.of_server, max_size=None)
        server = await self.enterAsyncContext(serving)
        return server.sockets[0].getsockname()[1]

    def end(self):
        """Stops the program, which must end well."""
        self.running.terminate()
        code = self.running.wait(PATIENCE)
        self.said.seek(0)
        told = self.said.read().decode(errors="replace")
        self.assertTrue(code == 0 and "panicked" not in told, f"it ended with {code} and said: {told}")

    def in_flight(self):
        """What each server has in flight, by the API."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/api/v1/pools/app", timeout=PATIENCE) as answer:
            return [server["in_flight"] for server in json.load(answer)["servers"]]

    async def until_in_flight(self, expected):
        """Waits until the servers have these numbers in flight, while sockets and servers go on."""
        await asyncio.to_thread(until, f"{expected} in flight", lambda: self.in_flight() == expected)

    async def connect(self):
        """A client's WebSocket through the program."""
        where = f"wss://localhost:{self.web}/chat"
        opening = connect(where, ssl=self.of_client, open_timeout=PATIENCE, max_size=None)
        return await self.enterAsyncContext(opening)

    async def test_what_is_sent_comes_back_and_each_socket_counts_until_it_is_closed(self):
        sockets = [await self.connect() for _ in range(6)]
        self.assertEqual(self.in_flight(), [3, 3])
        async with asyncio.timeout(PATIENCE):
            for number, socket in enumerate(sockets):
                await socket.send(f"hello {number}")
                self.assertEqual(await socket.recv(), f"hello {number}")
            await sockets[0].send(LARGE)
            self.assertEqual(await sockets[0].recv(), LARGE)
            await (await sockets[1].ping())
            for socket in sockets:
                await socket.close()
        await self.until_in_flight([0, 0])

    async def test_a_server_that_closes_is_heard_with_its_reason(self):
        socket = await self.connect()
        async with asyncio.timeout(PATIENCE):
            await socket.send("go")
            with self.assertRaises(ConnectionClosed) as closed:
                await socket.recv()
        self.assertEqual((closed.exception.rcvd.code, closed.exception.rcvd.reason), (4000, "as you wish"))
        await self.until_in_flight([0, 0])


if __name__ == "__main__":
    unittest.main()

"""Examples in a real Chromium: the sticky cookie of a web site by a browser's own rules, and the clients of a limit.

    PLIMSOLL=target/debug/plimsoll python -m unittest -v crates/plimsoll/tests/live/test_browser.py
"""

import contextlib
import http.server
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from rpc import EXAMPLES, PATIENCE, PROGRAM, free_port, until

HOURS = 3600


def serve(name):
    """A server that answers with its name, and with the cookies that it got beside. Gives its port."""

    class Named(http.server.BaseHTTPRequestHandler):
        """Keeps connections."""

        protocol_version = "HTTP/1.1"

        def do_GET(self):
            """Answers with two lines."""
            body = f"{name}\n{self.headers.get('Cookie', 'no cookie')}".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Named)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def answers(client):
    """Whether a connection is good for a request; otherwise it was closed, maybe before it was there."""
    try:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        return client.recv(1 << 16).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


class Examples(unittest.TestCase):
    """Each test starts a file of `examples/` before servers of its own, and a browser."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="plimsoll-browser-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "plimsoll.toml"
        self.running = None
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        # The certificate is nobody's; that it holds is curl's to say.
        options.accept_insecure_certs = True
        quiet = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server")
        for argument in (*quiet, "--disable-background-networking"):
            options.add_argument(argument)
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.addCleanup(self.driver.quit)

    def place(self, name, names, ports):
        """Writes the example `name` with a server for each name, and free ports in the place of these. Gives them."""
        free = [free_port() for _ in ports]
        put = dict(zip(ports, free))
        for place, server_name in enumerate(names):
            server = serve(server_name)
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
            put[9001 + place] = server.server_port
        text = (EXAMPLES / name).read_text()
        self.file.write_text(re.sub(r"\b[89]\d{3}\b", lambda found: str(put[int(found[0])]), text))
        return free

    def start(self):
        """Starts the program, and waits until all that it needs is there."""
        with open(self.folder / "said", "wb") as said:
            self.running = subprocess.Popen([PROGRAM, "serve", self.file], stderr=said)
        until("its dashboard", lambda: b"dashboard on" in (self.folder / "said").read_bytes())

    def stop(self):
        """Stops it."""
        self.running.send_signal(signal.SIGTERM)
        self.assertEqual(self.running.wait(PATIENCE), 0)

    def connect(self, port, address):
        """A connection from an address of this machine; without an end where it was reset at once."""
        client = socket.socket()
        self.addCleanup(client.close)
        client.settimeout(PATIENCE)
        client.bind((address, 0))
        with contextlib.suppress(ConnectionError):
            client.connect(("127.0.0.1", port))
        return client

    def open(self, url):
        """What a page says: the server's name, and the cookies that came to it."""
        self.driver.get(url)
        return self.driver.find_element(By.TAG_NAME, "body").text.split("\n")

    def test_a_browser_is_redirected_and_stays_with_its_server(self):
        plain, secured, _ = self.place("site.toml", ("one", "two", "spare"), (8080, 8443, 9900))
        (self.folder / "sticky.key").write_text("k" * 64)
        made = [PROGRAM, "cert", "--name", "localhost", "--out", self.folder]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.start()
        self.addCleanup(self.stop)
        name, cookies = self.open(f"http://localhost:{plain}/shop?item=7")
        self.assertEqual(self.driver.current_url, f"https://localhost:{secured}/shop?item=7")
        self.assertIn(name, ("one", "two"))
        self.assertEqual(cookies, "no cookie")
        self.assertEqual(self.driver.execute_script("return document.cookie"), "", "no script sees it")
        [kept] = self.driver.get_cookies()
        self.assertEqual((kept["name"], kept["path"], kept["domain"]), ("srv", "/", "localhost"))
        self.assertEqual((kept["httpOnly"], kept["secure"], kept["sameSite"]), (True, True, "Lax"))
        self.assertAlmostEqual(kept["expiry"], time.time() + 8 * HOURS, delta=300)
        self.assertNotIn("127.0.0.1", kept["value"])
        self.driver.execute_script("document.cookie = 'own=1; path=/'")
        seen = [self.open(f"https://localhost:{secured}/page/{number}") for number in range(8)]
        self.assertEqual(seen, [[name, "own=1"]] * 8, "servers get the browser's own cookies alone")
        self.stop()
        self.start()
        seen = [self.open(f"https://localhost:{secured}/again/{number}") for number in range(4)]
        self.assertEqual(seen, [[name, "own=1"]] * 4, "a restart forgets nobody")
        self.assertEqual(self.driver.get_cookie("srv")["value"], kept["value"])

    def test_the_dashboard_shows_the_busiest_clients_of_a_limit(self):
        web, admin = self.place("client-limits.toml", ("large", "small"), (8080, 9900))
        self.start()
        self.addCleanup(self.stop)
        # Each client is an address of this machine; the busiest has one connection more than it may. Which of them that is is
        # for the workers to say, who accept side by side.
        held = [self.connect(web, "127.0.0.2") for _ in range(101)] + [self.connect(web, "127.0.0.3") for _ in range(3)]
        self.assertEqual(sum(answers(client) for client in held), 103)
        self.driver.get(f"http://127.0.0.1:{admin}/")

        def rows(table):
            script = "return [...document.querySelectorAll(arguments[0])].map((row) => [...row.children].map((c) => c.textContent))"
            return self.driver.execute_script(script, f"#{table} tbody tr")

        # What they have at once, and how often they were refused: this limit counts no requests.
        shown = [["127.0.0.2", "100", "1"], ["127.0.0.3", "3", "0"]]
        until("both clients", lambda: [row[:2] + row[4:5] for row in rows("clients-table")] == shown)
        [[name, rules, clients, refused, _]] = rows("limits-table")
        self.assertEqual((name, rules), ("per_address", "client: 100 connections at once; more are closed"))
        self.assertEqual((clients, refused), ("2 of 100,000", "1 by connections"))


if __name__ == "__main__":
    unittest.main()

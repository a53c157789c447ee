"""The example of a web site in a real Chromium: redirect, TLS and the sticky cookie by a browser's own rules.

    PLIMSOLL=target/debug/plimsoll python -m unittest -v crates/plimsoll/tests/live/test_browser.py
"""

import http.server
import pathlib
import signal
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


class Site(unittest.TestCase):
    """Plain HTTP, HTTPS, and two servers with a backup, as `examples/site.toml` has them."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="plimsoll-site-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.plain, self.secured = free_port(), free_port()
        text = (EXAMPLES / "site.toml").read_text()
        text = text.replace("8080", str(self.plain)).replace("8443", str(self.secured)).replace("9900", str(free_port()))
        for port, name in zip((9001, 9002, 9003), ("one", "two", "spare")):
            server = serve(name)
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{server.server_port}")
        self.file = self.folder / "site.toml"
        self.file.write_text(text)
        (self.folder / "sticky.key").write_text("k" * 64)
        made = [PROGRAM, "cert", "--name", "localhost", "--out", self.folder]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.running = None
        self.start()
        self.addCleanup(self.stop)
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        # The certificate is nobody's; that it holds is curl's to say.
        options.accept_insecure_certs = True
        quiet = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server")
        for argument in (*quiet, "--disable-background-networking"):
            options.add_argument(argument)
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.addCleanup(self.driver.quit)

    def start(self):
        """Starts the program, and waits until it listens."""
        with open(self.folder / "said", "wb") as said:
            self.running = subprocess.Popen([PROGRAM, "serve", self.file], stderr=said)
        until("both listeners", lambda: (self.folder / "said").read_bytes().count(b"listening on") == 2)

    def stop(self):
        """Stops it."""
        self.running.send_signal(signal.SIGTERM)
        self.assertEqual(self.running.wait(PATIENCE), 0)

    def open(self, url):
        """What a page says: the server's name, and the cookies that came to it."""
        self.driver.get(url)
        return self.driver.find_element(By.TAG_NAME, "body").text.split("\n")

    def test_a_browser_is_redirected_and_stays_with_its_server(self):
        name, cookies = self.open(f"http://localhost:{self.plain}/shop?item=7")
        self.assertEqual(self.driver.current_url, f"https://localhost:{self.secured}/shop?item=7")
        self.assertIn(name, ("one", "two"))
        self.assertEqual(cookies, "no cookie")
        self.assertEqual(self.driver.execute_script("return document.cookie"), "", "no script sees it")
        [kept] = self.driver.get_cookies()
        self.assertEqual((kept["name"], kept["path"], kept["domain"]), ("srv", "/", "localhost"))
        self.assertEqual((kept["httpOnly"], kept["secure"], kept["sameSite"]), (True, True, "Lax"))
        self.assertAlmostEqual(kept["expiry"], time.time() + 8 * HOURS, delta=300)
        self.assertNotIn("127.0.0.1", kept["value"])
        self.driver.execute_script("document.cookie = 'own=1; path=/'")
        seen = [self.open(f"https://localhost:{self.secured}/page/{number}") for number in range(8)]
        self.assertEqual(seen, [[name, "own=1"]] * 8, "servers get the browser's own cookies alone")
        self.stop()
        self.start()
        seen = [self.open(f"https://localhost:{self.secured}/again/{number}") for number in range(4)]
        self.assertEqual(seen, [[name, "own=1"]] * 4, "a restart forgets nobody")
        self.assertEqual(self.driver.get_cookie("srv")["value"], kept["value"])


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""The dashboard in a real Chromium over a running Plimsoll with real servers and load.

    dashboard.py PROGRAM [SCREENSHOTS]

Needs Selenium (requirements.txt) and Debian's chromium and chromium-driver. With a folder SCREENSHOTS, what was seen
is kept there.
"""

import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote, urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from traffic import Traffic

PATIENCE = 40  # Seconds that anything may take on a busy machine; what holds is seen at once.
CLIENTS = 24
MANY = 1000
MANY_CLIENTS = 40
# A name that would be a picture and a script if anything took it for markup.
NASTY = "<img src=x onerror=document.title=1>"
# What an update of a thousand servers may cost the browser, at the median: others share the machine.
UPDATE_MS = 30


def until(what, condition):
    """Waits for a condition and gives what it gives."""
    end = time.monotonic() + PATIENCE
    while True:
        last = condition()
        if last:
            return last
        if time.monotonic() > end:
            raise AssertionError(f"never came: {what} (last: {last!r})")
        time.sleep(0.05)  # Between two looks.


class Plimsoll:
    """The program, and its API as another client sees it."""

    def __init__(self, program, file):
        self.process = subprocess.Popen([program, "serve", str(file)], stderr=subprocess.PIPE, text=True)
        self.said = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.pools = {pool: until(f"listener of {pool}", lambda pool=pool: self._find(rf"http://([\d.:]+) -> pool {pool} ")) for pool in ("app", "many")}
        admin = until("the admin address", lambda: self._find(r"http://(127\.0\.0\.1:\d+)(?!.* -> pool)"))
        self.url = f"http://{admin}/"

    def _read(self):
        for line in self.process.stderr:
            self.said.append(line)

    def _find(self, pattern):
        assert self.process.poll() is None, "".join(self.said)
        return next((found[1] for line in list(self.said) if (found := re.search(pattern, line))), None)

    def call(self, method, *path, body=None):
        where = self.url + "api/v1/" + "/".join(quote(part, safe="") for part in path)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(where, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def address(self, pool):
        """Where the listener of a pool is."""
        host, port = self.pools[pool].rsplit(":", 1)
        return host, int(port)

    def server(self, name, pool="app"):
        return self.call("GET", "pools", pool, "servers", name)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.reader.join(PATIENCE)


class Page:
    """The dashboard in a browser."""

    WATCH = """
        window.seen = { violations: [], updates: [] };
        addEventListener('securitypolicyviolation', (e) => seen.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
        new PerformanceObserver((l) => l.getEntriesByName('update').forEach((e) => seen.updates.push(e.duration)))
            .observe({ entryTypes: ['measure'] });
    """

    def __init__(self, screenshots):
        self.screenshots = screenshots
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-proxy-server"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": self.WATCH})
        self.problems = []
        self.size(1440, 1000)

    def size(self, width, height):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def colours(self, scheme):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def keep(self, name):
        if self.screenshots:
            self.driver.save_screenshot(str(self.screenshots / f"{name}.png"))

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.textContent ?? null", selector)

    def row(self, server, part=""):
        return f'.row[data-server="{server}"] {part}'

    def load(self, server):
        """What the row of a server says it has in flight."""
        text = self.text(self.row(server, ".number"))
        return None if text is None else int(text.split("/")[0].replace(",", ""))

    def bar(self, server):
        """The part of its bar that is filled, 0 to 1; `None` while it moves there."""
        drawn, meant = self.run("""
            const bar = document.querySelector(arguments[0]);
            const style = getComputedStyle(bar.querySelector('.load'));
            return [new DOMMatrix(style.transform).a, Number(bar.style.getPropertyValue('--load'))];
        """, self.row(server, ".bar"))
        return meant if abs(drawn - meant) < 0.001 else None

    def kind(self, server):
        return self.run("return document.querySelector(arguments[0])?.dataset.kind", self.row(server))

    def open_dialog(self):
        return self.run("return document.querySelector('dialog[open]')?.id ?? null")

    def focused(self):
        """Which element has the keyboard, and whether one sees it."""
        return self.run("""
            const at = document.activeElement;
            return { id: at.id, row: at.dataset.server ?? null, text: at.textContent.slice(0, 40), label: at.getAttribute('aria-label'),
                     seen: at === document.body || getComputedStyle(at).outlineStyle !== 'none' };
        """)

    def press(self, *keys):
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()
            assert self.focused()["seen"], f"after {key!r} one does not see where the keyboard is: {self.focused()}"

    def collect(self):
        """What went wrong so far, as the browser tells it."""
        for line in self.driver.get_log("browser"):
            if line["level"] in ("SEVERE", "WARNING"):
                self.problems.append(line["message"])
        self.problems += self.run("return seen.violations.splice(0)")

    def requests(self):
        """Every address that was asked for."""
        for line in self.driver.get_log("performance"):
            message = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                yield message["params"]["request"]["url"]


def shows_what_is(page, plimsoll, traffic):
    """Bars move, figures agree with the API, a name is only a name, charts are drawn."""
    page.driver.get(plimsoll.url)
    names = ("alpha", "beta", "gamma", NASTY)
    bars = lambda: [page.bar(name) for name in names]
    loads = lambda: [page.load(name) or 0 for name in names]
    # As many clients as there are, each with one request: the counts are exact, and so is the balance.
    until("an even load", lambda: loads() == [CLIENTS // 4] * 4)
    before = until("bars at rest", lambda: all(bars()) and bars())
    more = traffic.start_clients(CLIENTS // 3, *plimsoll.address("app"))
    until("an even load of more", lambda: loads() == [CLIENTS // 3] * 4)
    until("bars that grew", lambda: all(now and now > was for now, was in zip(bars(), before)))
    traffic.stop_clients(more)
    until("the load of before", lambda: loads() == [CLIENTS // 4] * 4)
    until("the bars of before", lambda: bars() == before)
    until("requests a second", lambda: float(page.text("#figures .figure:nth-child(2) .value").rstrip("/s").replace(",", "")) > 10)
    until("percentiles of a server", lambda: page.text(page.row("alpha", ".p99")).endswith("s"))
    assert page.run("return document.querySelectorAll('img').length") == 0, "a name was taken for markup"
    assert page.driver.title == "app – Plimsoll", page.driver.title
    assert page.text("#connection") == "live"
    page.keep("dark")
    page.colours("light")
    page.keep("light")


def drains_by_clicking(page, plimsoll, traffic, alpha):
    """One asks to drain, thinks better of it, asks again and confirms, and sees the server empty."""
    page.find(page.row("alpha", ".actions button:first-child")).click()
    until("a question", lambda: page.open_dialog() == "change")
    assert page.text("#change-title") == "Drain alpha?"
    page.keep("question")
    page.press(Keys.ESCAPE)
    until("no question", lambda: page.open_dialog() is None)
    assert plimsoll.server("alpha")["state"] == "ready", "it was drained though nobody confirmed"
    page.find(page.row("alpha", ".actions button:first-child")).click()
    page.find("#change-do").click()
    until("alpha is drained", lambda: page.kind("alpha") == "drained")
    assert page.load("alpha") == 0 and alpha.busy == 0
    served, answered = alpha.served, traffic.answered
    until("others serve", lambda: traffic.answered > answered + 5 * CLIENTS)
    assert alpha.served == served, "a drained server got a request"
    until("it is in the events", lambda: "server alpha was set to state drain" in page.text("#events"))
    until("it is a difference", lambda: "1 edit" in page.text("#configuration"))
    assert not traffic.failures, traffic.failures[:3]


def sets_a_weight(page, plimsoll):
    """The weight of a server is set by clicking, and load follows."""
    page.find(page.row("beta", ".weight button")).click()
    until("a question", lambda: page.open_dialog() == "change")
    field = page.find("#change-weight")
    field.clear()
    field.send_keys("6")
    page.find("#change-do").click()
    until("the weight is shown", lambda: page.text(page.row("beta", ".weight")) == "6")
    assert plimsoll.server("beta")["weight"] == 6
    until("load follows", lambda: page.load("beta") >= 3 * max(1, page.load("gamma")))


def draws(page):
    """There are lines in the charts, of as many colours as there is to tell apart."""
    inked = """
        const canvas = document.querySelector(arguments[0]);
        const { data } = canvas.getContext('2d').getImageData(60, 0, canvas.width - 60, canvas.height - 25);
        const colours = new Set();
        for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
        return colours.size;
    """
    for chart, least in (("#chart-load canvas", 3), ("#chart-latency canvas", 2), ("#chart-requests canvas", 2)):
        until(f"lines in {chart}", lambda chart=chart, least=least: page.run(inked, chart) >= least)
    assert "alpha" in page.find("#chart-load canvas").get_attribute("aria-label")


def tells_what_the_api_says(page, plimsoll):
    """A refusal stands in the dialog, in the words of the API; all edits are undone from the page."""
    until("the server to be removed", lambda: page.load("gone") is not None)
    page.find(page.row("gone", ".actions button:first-child")).click()
    plimsoll.call("DELETE", "pools", "app", "servers", "gone")
    page.find("#change-do").click()
    until("the refusal", lambda: page.find("#change .problem").is_displayed())
    assert "gone" in page.text("#change .problem"), page.text("#change .problem")
    page.find("#change [data-close]").click()
    page.find("#configuration").click()
    until("the differences", lambda: page.run("return document.querySelectorAll('#diff-table tbody tr').length") == 2)
    page.keep("differences")
    page.find("#diff-undo").click()
    until("all is undone", lambda: plimsoll.call("GET", "diff") == [])
    until("the page knows", lambda: "edit" not in page.text("#configuration"))
    page.find("#diff .choices .main").click()
    until("alpha serves again", lambda: page.kind("alpha") in ("up", "warming") and page.load("alpha") > 0)


def works_by_keyboard(page, plimsoll):
    """Everything above without a pointer, and one always sees where one is."""
    page.run("document.activeElement.blur()")
    page.press(Keys.TAB)
    page.press("s")
    first = page.focused()["row"]
    page.press(Keys.HOME)
    assert page.focused()["row"] == "alpha", (first, page.focused())
    page.press(Keys.ARROW_DOWN)
    assert page.focused()["row"] == "beta"
    page.press("w")
    until("the weight is asked for", lambda: page.focused()["id"] == "change-weight")
    ActionChains(page.driver).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys("3").send_keys(Keys.ENTER).perform()
    until("the weight is set", lambda: plimsoll.server("beta")["weight"] == 3)
    until("one is back in the list", lambda: page.focused()["row"] == "beta")
    page.press("d", Keys.ENTER)
    until("beta is drained", lambda: page.kind("beta") == "drained")
    # The buttons of the row are reached too: name, weight, then the first of its two actions.
    page.press(Keys.TAB, Keys.TAB, Keys.TAB)
    assert page.focused()["label"] == "Ready beta", page.focused()
    page.press(Keys.ENTER)
    until("the question", lambda: page.text("#change-title") == "Make ready beta?")
    page.press(Keys.ENTER)
    until("beta serves", lambda: plimsoll.server("beta")["state"] == "ready")
    until("no question", lambda: page.open_dialog() is None)
    page.press("?")
    until("help", lambda: page.open_dialog() == "help")
    page.press(Keys.ESCAPE)
    until("no help", lambda: page.open_dialog() is None)
    page.press("/")
    assert page.focused()["id"] == "filter"
    page.press(*"gam")
    until("one is left", lambda: page.text("#servers-count") == "1 of 4" and page.load("alpha") is None)
    page.press(Keys.ESCAPE)
    until("all are back", lambda: page.load("alpha") is not None)


def explains(page):
    """Why this server: in words, as a table, and the last picks."""
    page.run("document.activeElement.blur()")
    page.press("e")
    until("the words", lambda: page.text("#why-words").startswith("The next request goes to"))
    until("the table", lambda: page.run("return document.querySelectorAll('#why-table tbody tr').length") == 4)
    until("the picks", lambda: page.run("return document.querySelectorAll('#why-picks li strong').length") >= 10)
    page.keep("why")


def tells_when_it_is_old(page, plimsoll):
    """Data that stop coming are said to be old; when they come again all is well by itself."""
    plimsoll.process.send_signal(signal.SIGSTOP)
    until("old data", lambda: page.text("#connection").startswith("no data for"))
    plimsoll.process.send_signal(signal.SIGCONT)
    until("new data", lambda: page.text("#connection") == "live")


def shows_a_thousand(page, plimsoll):
    """A thousand servers: only rows in sight exist, the list scrolls, sorts, filters, and an update is cheap."""
    page.find('#pools a[href="#pool=many"]').click()
    until("the other pool", lambda: page.text("#pool-name") == "many" and page.text("#servers-count") == "1,000 servers")
    until("rows", lambda: page.load("s-0") is not None)
    rows = "return document.querySelectorAll('#grid-rows .row').length"
    assert page.run(rows) < 60, page.run(rows)
    page.run("document.querySelector('#grid-scroll').scrollTop = 1e9")
    until("the last row", lambda: page.load(f"s-{MANY - 1}") is not None)
    assert page.run(rows) < 60
    page.run("seen.updates.length = 0")
    page.find(".head .load button").click()
    until("by load", lambda: page.find('.head [aria-sort="descending"]').text.startswith("In flight"))
    page.run("document.querySelector('#grid-scroll').scrollTop = 0")
    page.keep("thousand")
    updates = until("updates", lambda: (lambda all: len(all) >= 8 and all)(page.run("return seen.updates")))
    median = statistics.median(updates)
    print(f"an update of {MANY} servers: median {median:.1f} ms, most {max(updates):.1f} ms of {len(updates)}")
    assert median < UPDATE_MS, updates
    page.find("#filter").send_keys("s-777")
    until("one of a thousand", lambda: page.text("#servers-count") == "1 of 1000" and page.load("s-777") is not None)


def fits_a_phone(page, plimsoll):
    """360 pixels: nothing is wider than the screen, and a touch of a card opens all about the server."""
    page.size(360, 740)
    page.colours("dark")
    page.driver.get(plimsoll.url)
    until("the card", lambda: page.load("alpha") is not None)
    wide = "return document.documentElement.scrollWidth"
    assert page.run(wide) <= 360, page.run(wide)
    page.run("document.querySelector('#servers').scrollIntoView()")
    page.keep("phone")
    ActionChains(page.driver).click(page.find(page.row("alpha", ".bar"))).perform()
    until("all about it", lambda: page.open_dialog() == "detail" and "127.0.0.1" in page.text("#detail-facts"))
    assert page.run(wide) <= 360 and page.run("const d = document.querySelector('#detail'); return d.scrollWidth <= d.clientWidth")
    page.keep("phone-detail")


def configuration(folder, few, many):
    """The file: a pool under load whose servers differ, and one of a thousand."""
    names = ["alpha", "beta", "gamma", NASTY]
    app = [f"  {{ address = {json.dumps(one.address)}, name = {json.dumps(name)} }}," for one, name in zip(few, names)]
    lot = [f"  {{ address = {json.dumps(one.address)}, name = \"s-{i}\" }}," for i, one in enumerate(many)]
    bind = 'bind = "127.0.0.1:0"'
    lines = [
        "[listen.web]", bind, 'pool = "app"', "[listen.many]", bind, 'pool = "many"', "[admin]", bind,
        "[pool.app]", 'warm_up = "1s"', "servers = [", *app, "]", "[pool.many]", "servers = [", *lot, "]",
    ]
    file = folder / "plimsoll.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


def main(program, screenshots=None):
    traffic, plimsoll, page = Traffic(), None, None
    with tempfile.TemporaryDirectory() as folder:
        try:
            few = traffic.start_servers([0.10, 0.12, 0.14, 0.16, 0.1])
            many = traffic.start_servers([0.3] * MANY)
            plimsoll = Plimsoll(program, configuration(Path(folder), few[:4], many))
            for pool, clients in (("app", CLIENTS), ("many", MANY_CLIENTS)):
                traffic.start_clients(clients, *plimsoll.address(pool))
            page = Page(screenshots)
            page.colours("dark")
            shows_what_is(page, plimsoll, traffic)
            drains_by_clicking(page, plimsoll, traffic, few[0])
            sets_a_weight(page, plimsoll)
            draws(page)
            plimsoll.call("POST", "pools", "app", "servers", body={"servers": [{"address": few[4].address, "name": "gone"}]})
            tells_what_the_api_says(page, plimsoll)
            works_by_keyboard(page, plimsoll)
            explains(page)
            page.collect()
            shows_a_thousand(page, plimsoll)
            tells_when_it_is_old(page, plimsoll)
            page.collect()
            fits_a_phone(page, plimsoll)
            page.collect()
            own = urlsplit(plimsoll.url).netloc
            asked = list(page.requests())
            outside = [url for url in asked if urlsplit(url).scheme != "data" and urlsplit(url).netloc != own]
            assert len(asked) > 20 and not outside, outside
            # The refusal that was asked for is told on the console too.
            unexpected = [problem for problem in page.problems if "servers/gone" not in problem]
            assert not unexpected, "\n".join(unexpected)
            assert not traffic.failures, traffic.failures[:3]
            print(f"dashboard: all good, {traffic.answered} requests answered, none failed")
        except BaseException:
            if page:
                page.keep("failed")
            if plimsoll:
                sys.stderr.write("".join(plimsoll.said[-20:]))
            raise
        finally:
            traffic.stop_clients()
            for one in (page.driver.quit if page else None, plimsoll.stop if plimsoll else None, traffic.stop):
                if one:
                    one()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) == 3 else None)

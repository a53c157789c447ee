#!/usr/bin/env python3
"""Holds what Plimsoll tells Prometheus, with the real programs.

usage: prometheus.py PLIMSOLL

A Prometheus scrapes a running Plimsoll with the alert rules of `monitoring/`, only more impatient, and tells an
Alertmanager: when all servers are gone, the alert must be seen there, and must end when they are back. Every metric that
the rules and the dashboard name must be there, and `promtool` must find nothing wrong.

Needs the Debian packages `prometheus` and `prometheus-alertmanager`. All of it stays on loopback and ends within a minute.
"""

import http.client
import http.server
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

MONITORING = pathlib.Path(__file__).resolve().parents[4] / "monitoring"
PATIENCE = 40.0
REQUESTS = 50

CONFIG = """
[admin]
bind = "127.0.0.1:{admin}"
[access_log]
to = "access.log"
[listen.web]
bind = "127.0.0.1:{web}"
pool = "app"
[pool.app]
servers = [{{ address = "127.0.0.1:{a}", name = "a", max_connections = 100 }}, {{ address = "127.0.0.1:{b}", name = "b", weight = 2 }}]
probe = {{ http = "/", interval = "200ms", timeout = "1s", fall = 1, rise = 1 }}
queue = {{ limit = 10 }}
"""

PROMETHEUS = """
global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}
rule_files: [plimsoll.rules.yml]
alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: ["127.0.0.1:{alertmanager}"] }}] }}] }}
scrape_configs:
  - job_name: plimsoll
    static_configs: [{{ targets: ["127.0.0.1:{admin}"] }}]
"""

ALERTMANAGER = """
route: { receiver: nobody, group_wait: 0s, group_interval: 1s }
receivers: [{ name: nobody }]
"""


class Server:
    """A server that answers, until it is stopped."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"ok\n")

        def log_message(self, *_):
            pass

    def __init__(self, port=0):
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", port), self.Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(port, path, accept="*/*"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept})
    # Not by a proxy of the environment.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def until(what, look):
    """What `look` gives, once that is something."""
    end, last = time.monotonic() + PATIENCE, None
    while time.monotonic() < end:
        try:
            if found := look():
                return found
        except (OSError, http.client.HTTPException, ValueError) as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come: {last}")


def check(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, **more)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    assert not done.stderr.strip(), f"{' '.join(map(str, command))}\n{done.stderr}"


def query(port, expression):
    _, text = fetch(port, "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
    return [(sample["metric"], float(sample["value"][1])) for sample in json.loads(text)["data"]["result"]]


def expressions():
    """What the rules and the dashboard ask for."""
    rules = (MONITORING / "plimsoll.rules.yml").read_text()
    panels = json.loads((MONITORING / "grafana-dashboard.json").read_text())["panels"]
    targets = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    for variable, value in (("$__rate_interval", "1m"), ("$job", ".*"), ("$instance", ".*"), ("$pool", ".*"), ("$server", ".*")):
        targets = [target.replace(variable, value) for target in targets]
    return rules, targets


class Scene:
    """The programs, each of which ends with it."""

    def __init__(self, program, folder):
        self.folder, self.running = folder, []
        self.a, self.b = Server(), Server()
        self.ports = {name: free_port() for name in ("admin", "web", "prometheus", "alertmanager", "unused")}
        self.ports |= {"a": self.a.port, "b": self.b.port}
        self.config = folder / "plimsoll.toml"
        self.config.write_text(CONFIG.format(**self.ports))
        self.plimsoll = self.run(program, "serve", self.config)
        (folder / "alertmanager.yml").write_text(ALERTMANAGER)
        address = f"127.0.0.1:{self.ports['alertmanager']}"
        self.run("prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/alerts",
                 f"--web.listen-address={address}", "--cluster.listen-address=")
        rules, _ = expressions()
        # The rules as they are, but for how long they wait.
        (folder / "plimsoll.rules.yml").write_text(re.sub(r"(?m)^( +for:) .*$", r"\1 1s", rules))
        (folder / "prometheus.yml").write_text(PROMETHEUS.format(**self.ports))
        self.run("prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address=127.0.0.1:{self.ports['prometheus']}")

    def run(self, *command):
        log = open(self.folder / f"{pathlib.Path(command[0]).name}.log", "wb")
        process = subprocess.Popen(command, stdout=log, stderr=log)
        self.running.append(process)
        return process

    def end(self):
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def metrics(self, accept="*/*"):
        return fetch(self.ports["admin"], "/metrics", accept)

    def query(self, expression):
        return query(self.ports["prometheus"], expression)

    def alerts(self, name):
        _, text = fetch(self.ports["alertmanager"], "/api/v2/alerts?active=true")
        return [alert for alert in json.loads(text) if alert["labels"]["alertname"] == name]


def holds_what_was_counted(scene):
    until("Plimsoll", lambda: scene.metrics())
    until("both servers", lambda: 'plimsoll_pool_servers{pool="app",verdict="eligible"} 2.0' in scene.metrics()[1])
    connection = http.client.HTTPConnection("127.0.0.1", scene.ports["web"], timeout=10)
    for _ in range(REQUESTS):
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"ok\n"), answer.status
    connection.close()
    until("Prometheus", lambda: fetch(scene.ports["prometheus"], "/-/ready"))
    success = 'plimsoll_pool_outcomes_total{job="plimsoll", pool="app", outcome="success"}'
    until("all requests", lambda: [value for _, value in scene.query(success)] == [REQUESTS])
    assert sum(value for _, value in scene.query("plimsoll_server_picks_total")) == REQUESTS
    assert [value for _, value in scene.query("plimsoll_permits_apart")] == [0]
    buckets = scene.query("plimsoll_pool_response_seconds_bucket{le=\"+Inf\"}")
    assert [value for _, value in buckets] == [REQUESTS], buckets
    _, targets = fetch(scene.ports["prometheus"], "/api/v1/targets")
    target, = json.loads(targets)["data"]["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", ""), target


def holds_every_name(scene):
    kind, page = scene.metrics("application/openmetrics-text;version=1.0.0")
    assert kind.startswith("application/openmetrics-text"), kind
    assert page.endswith("# EOF\n")
    kind, page = scene.metrics()
    assert kind.startswith("text/plain; version=0.0.4"), kind
    check("promtool", "check", "metrics", input=page)
    families = set(re.findall(r"(?m)^# TYPE (\S+)", page))
    rules, targets = expressions()
    asked = "\n".join([*re.findall(r"(?s)expr:(.*?)\n +(?:for|labels):", rules), *targets])
    names = set(re.findall(r"\b(?:plimsoll|process)_[a-z_]+\b", asked))
    assert len(names) > 30, names
    for name in names:
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert family in families or name in families, f"{name} is named and not there"
    for target in targets:
        scene.query(target)


def holds_the_alert(scene):
    scene.a.stop()
    scene.b.stop()
    alert, = until("the alert", lambda: scene.alerts("PlimsollPoolDown"))
    assert (alert["labels"]["pool"], alert["labels"]["severity"]) == ("app", "critical"), alert
    assert alert["annotations"]["summary"] == "No server of pool app takes requests", alert
    scene.a, scene.b = Server(scene.a.port), Server(scene.b.port)
    until("the end of the alert", lambda: not scene.alerts("PlimsollPoolDown"))


def holds_the_refused_reload(scene):
    good = scene.config.read_text()
    scene.config.write_text(good + "\nnonsense = 1\n")
    scene.plimsoll.send_signal(signal.SIGHUP)
    until("the alert", lambda: scene.alerts("PlimsollReloadFailed"))
    scene.config.write_text(good)
    scene.plimsoll.send_signal(signal.SIGHUP)
    until("the end of the alert", lambda: not scene.alerts("PlimsollReloadFailed"))


def main():
    check("promtool", "check", "rules", MONITORING / "plimsoll.rules.yml")
    check("promtool", "test", "rules", MONITORING / "plimsoll.rules.test.yml")
    check("promtool", "check", "config", MONITORING / "prometheus.yml")
    with tempfile.TemporaryDirectory(prefix="plimsoll-prometheus-") as folder:
        scene = Scene(sys.argv[1], pathlib.Path(folder))
        try:
            for step in (holds_what_was_counted, holds_every_name, holds_the_alert, holds_the_refused_reload):
                begun = time.monotonic()
                step(scene)
                print(f"ok: {step.__name__.replace('_', ' ')} ({time.monotonic() - begun:.1f} s)", flush=True)
        except BaseException:
            for log in sorted(pathlib.Path(folder).glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()[-4000:]}", file=sys.stderr)
            raise
        finally:
            scene.end()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()

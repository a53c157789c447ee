"""Each of the live tests beside this file as one test of Python's own runner.

    PLIMSOLL=target/debug/plimsoll python -m unittest discover -v -s crates/plimsoll/tests/live
"""

import os
import pathlib
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = pathlib.Path(os.environ["PLIMSOLL"]).resolve()


class Live(unittest.TestCase):
    """A script says what it saw; a status other than 0 is a failure."""

    def run_script(self, name):
        """Runs a script over the program."""
        code = subprocess.run([sys.executable, HERE / name, PROGRAM], check=False).returncode
        self.assertEqual(code, 0, f"{name} failed; what it said is above")

    def test_the_api_is_what_its_description_says(self):
        self.run_script("api.py")

    def test_prometheus_and_its_alertmanager_see_it(self):
        self.run_script("prometheus.py")

    def test_the_dashboard_works_in_a_browser(self):
        self.run_script("dashboard.py")

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The metrics of a running process, read by Prometheus's own parsers.

promtool is that of $PATH, or is taken out of Debian's package prometheus, which
is downloaded and not installed.  Where neither can be had the test is skipped.
"""

import glob
import os
import shutil
import subprocess
import tempfile
import unittest

import live_test


def find_promtool(folder):
    """The path of promtool; None, after a message, when there is none."""
    found = shutil.which("promtool")
    if found:
        return found
    try:
        subprocess.run(["apt-get", "download", "prometheus"], cwd=folder,
                       check=True, capture_output=True, timeout=240)
        package, = glob.glob(os.path.join(folder, "prometheus_*.deb"))
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True,
                       capture_output=True, timeout=240)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        print("SKIPPED: no promtool:", error)
        return None
    return os.path.join(folder, "usr/bin/promtool")


class Promtool(live_test.Live):
    @classmethod
    def setUpClass(cls):
        cls.package = tempfile.mkdtemp(prefix="knuma-promtool-")
        cls.addClassCleanup(shutil.rmtree, cls.package, True)
        cls.promtool = find_promtool(cls.package)
        if not cls.promtool:
            raise unittest.SkipTest("no promtool")

    def metrics(self):
        app = self.start()
        self.tell(app, "b")
        return self.knuma("stat", "-o", "prom", str(app.pid))[0]

    def import_metrics(self, text):
        """Exit code of an import as OpenMetrics, which wants times."""
        path = os.path.join(self.folder, "metrics")
        with open(path, "w", encoding="utf-8") as f:
            for line in text.splitlines():
                f.write(line + ("\n" if line[0] == "#" else " 1700000000\n"))
        return subprocess.run(
            [self.promtool, "tsdb", "create-blocks-from", "openmetrics", path,
             os.path.join(self.folder, "tsdb")],
            capture_output=True, timeout=100, check=False).returncode

    def test_openmetrics(self):
        text = self.metrics()
        self.assertEqual(self.import_metrics(text), 0)
        self.assertNotEqual(self.import_metrics(
            text.replace(" gauge\n", " banana\n", 1)), 0)

    def test_the_older_text_format(self):
        """Parsed too; it knows no family of a counter without _total."""
        done = subprocess.run(
            [self.promtool, "check", "metrics"], input=self.metrics(),
            capture_output=True, text=True, timeout=100, check=False)
        self.assertNotIn("error", done.stdout + done.stderr)
        for line in (done.stdout + done.stderr).splitlines():
            self.assertRegex(line, r"^knuma_\w+_total no help text$")


if __name__ == "__main__":
    unittest.main()

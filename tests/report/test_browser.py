"""The page in a real browser: nothing overlaps, is cut off, wider than the screen, or loaded from elsewhere.

It needs Chromium, which the project does not install; without it these tests are skipped.
"""

from __future__ import annotations

import html as entities
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nachos_jax.report.page import page
from tests.report.checklist_runs import flat
from tests.report.conftest import FakeRun, build
from tests.tiers import mostly_thorough

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
RUNS = {
    "two_classes": FakeRun(classes=("benign", "malignant"), cases=400),
    "long_names": FakeRun(
        classes=("adenocarcinoma in situ, lepidic", "normal", "squamous cell carcinoma of the lung"),
        folds=10,
        sites=6,
        grid=True,
    ),
    "flat": FakeRun(tested=()),
    "partial": FakeRun(tested=(0, 3), failed=((0, 1),), absent_in_fold=3),
}
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--log-level=0"),
)
MEASURE = """<script>
addEventListener("load", () => {
  const found = [], width = document.documentElement.clientWidth;
  const told = e => (e.textContent || "").trim().slice(0, 60);
  if (document.documentElement.scrollWidth > width) found.push("the page is wider than the screen");
  for (const e of document.querySelectorAll("body *")) {
    const box = e.getBoundingClientRect();
    const cut = box.width && box.right > width + 1 && !e.closest(".box");
    if (cut) found.push("cut: " + e.tagName + " " + told(e));
  }
  for (const svg of document.querySelectorAll("svg")) {
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const texts = [...svg.querySelectorAll("text")].map(e => [e, e.getBoundingClientRect()]);
    for (const [e] of texts) {
      const size = scale * parseFloat(getComputedStyle(e).fontSize);
      if (size < 9) found.push(`small: ${size.toFixed(1)} ${told(e)}`);
    }
    texts.forEach(([a, p], i) => texts.slice(i + 1).forEach(([b, q]) => {
      const across = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (across > 1 && down > 3) found.push("overlap: " + told(a) + " | " + told(b));
    }));
  }
  const blocks = [...document.querySelectorAll("main > section")].map(e => e.getBoundingClientRect());
  blocks.forEach((box, i) => {
    if (i && box.top < blocks[i - 1].bottom - 1) found.push("sections overlap");
  });
  parent.postMessage(JSON.stringify([width, found]), "*");
});
</script>"""
FRAME = """<!DOCTYPE html><body style="margin:0">
<script>
addEventListener("message", e => document.documentElement.setAttribute("data-found", e.data));
</script>
<iframe src="%s" style="width:%dpx;height:4000px;border:0"></iframe></body>"""
"""A frame is as narrow as a phone, which a window of a desktop browser cannot be."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.thorough] * (name != "flat")) for name in RUNS],
)
def html(request, tmp_path_factory) -> Path:
    run = build(tmp_path_factory.mktemp("run") / "run", RUNS[request.param])
    run = flat(run, trials=8, failed=1) if request.param == "flat" else run
    return page.write(run.path)


def seen(path: Path, width: int, spoilt: str = "") -> tuple[int, list[str], str]:
    """Width of the page, what is wrong with it, and what the browser logged."""
    watched, frame = path.with_name(f"watched_{width}.html"), path.with_name(f"frame_{width}.html")
    text = path.read_text(encoding="utf-8").replace("</body>", spoilt + MEASURE + "</body>")
    watched.write_text(text, encoding="utf-8")
    frame.write_text(FRAME % (watched.name, width), encoding="utf-8")
    done = subprocess.run(
        [
            *(str(CHROMIUM), *FLAGS, f"--user-data-dir={path.parent / 'profile'}"),
            *("--window-size=1300,1200", "--virtual-time-budget=4000", "--dump-dom", frame.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r'data-found="([^"]*)"', done.stdout)
    assert found, "the page did not load"
    screen, wrong = json.loads(entities.unescape(found[1]))
    return screen, wrong, done.stderr


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH")
@mostly_thorough("width", [1200, 390], kept=(390,))
def test_nothing_is_cut_overlaps_or_comes_from_elsewhere(html, width):
    screen, wrong, log = seen(html, width)
    assert screen == width
    assert wrong == []
    assert "CONSOLE" not in log
    assert html.stat().st_size < 5_000_000


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH")
@pytest.mark.parametrize("html", ["flat"], indirect=True)
def test_the_measure_finds_what_is_wrong(html):
    """Else the test above could pass on any page."""
    spoilt = (
        '<p style="width: 2000px">wide</p><svg viewBox="0 0 100 20"><text y="9">over</text>'
        '<text y="9">each other</text></svg><svg viewBox="0 0 100 20"><text y="9" font-size="1px">tiny</text>'
        "</svg>"
        '<script>console.error("mistake")</script>'
    )
    _, wrong, log = seen(html, 390, spoilt)
    assert "the page is wider than the screen" in wrong
    assert "cut: P wide" in wrong
    assert "overlap: over | each other" in wrong
    assert any(found.startswith("small: ") and found.endswith("tiny") for found in wrong)
    assert "CONSOLE" in log

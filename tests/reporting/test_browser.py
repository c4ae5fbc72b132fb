"""The report in a real browser: it renders, without a word on the console and without the network."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: the Debian package chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr",
    "--window-size=1250,1600", "--virtual-time-budget=5000",
)


def open_page(page: Path, folder: Path) -> tuple[str, list[str], bytes]:
    """The document as the browser holds it, what it wrote to the console, and a picture (PNG)."""
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}"]
    shown = subprocess.run([*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True, timeout=120)
    picture = folder / "page.png"
    subprocess.run([*command, f"--screenshot={picture}", page.as_uri()], capture_output=True, check=True, timeout=120)
    return shown.stdout, re.findall(r"CONSOLE[^\]]*\] (.*)", shown.stderr), picture.read_bytes()


def test_the_report_renders_without_a_word_on_the_console(tmp_path: Path, reported_survey: Path) -> None:
    document, console, picture = open_page(reported_survey / "report.html", tmp_path)
    assert console == []
    assert document.count("<svg") == len(list((reported_survey / "figures").glob("*.svg"))) > 8
    assert "The tables, column by column" in document and document.rstrip().endswith("</html>")
    assert shades(picture) > 50, "the picture is all but blank"


def test_a_page_that_reaches_out_would_be_noticed(tmp_path: Path, reported_survey: Path) -> None:
    page = tmp_path / "page.html"
    text = (reported_survey / "report.html").read_text(encoding="utf-8")
    page.write_text(text.replace("<h2>Design</h2>", '<script>1</script><img src="https://example.org/a.png"><h2>Design</h2>'))
    _, console, _ = open_page(page, tmp_path)
    assert len(console) >= 2, console


def shades(picture: bytes) -> int:
    """How many different colours a picture has."""
    import io

    from PIL import Image

    return len(Image.open(io.BytesIO(picture)).convert("RGB").getcolors(maxcolors=2**24) or [])

"""Takes the picture of the demo's report that the README shows, with the browser Chromium.

Reads demo/capitalization/report.html. Writes docs/reference/report.png.
Command: python docs/make_picture.py
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PAGE = Path("demo/capitalization/report.html")
PICTURE = Path("docs/reference/report.png")
WIDTH, HEIGHT = 1250, 1720


def main() -> None:
    """Render the top of the page; 64 colours are enough for it, and make a small file."""
    browser = shutil.which("chromium")
    if browser is None:
        sys.exit("chromium: is not installed. Install the package of that name.")
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"]
        size = f"--window-size={WIDTH},{HEIGHT}"
        target = f"--screenshot={PICTURE.resolve()}"
        command = [browser, *flags, f"--user-data-dir={profile}", size, target, PAGE.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    Image.open(PICTURE).convert("RGB").quantize(64).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()

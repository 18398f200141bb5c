"""Pages in a real browser, Chromium without a window; tests that ask for it are skipped where there is none."""

import shutil
from contextlib import contextmanager

import pytest

FLAGS = """headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking
disable-component-update disable-sync"""


@contextmanager
def opened(folder):
    """Yield the browser, whose profile is in a folder; it keeps a record of what pages ask for."""
    webdriver = pytest.importorskip("selenium.webdriver")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    chromium, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS.split(), f"user-data-dir={folder / 'profile'}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    with webdriver.Chrome(options=options, service=service.Service(driver)) as browser:
        yield browser


def resize(browser, width):
    """Make the page so wide; one of a phone's width is shown as a phone does."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

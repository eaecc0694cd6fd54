"""A headless Chromium for tests: real pages, real key events, and a record of what went wrong and what was fetched."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
)
_FETCHES = {"Network.requestWillBeSent": ("request", "url"), "Network.webSocketCreated": ("url",)}
_LOCAL_SCHEMES = ("data:", "blob:", "about:", "chrome:", "devtools:")


class Browser:
    """A running browser: `driver` is selenium's; the rest is what tests ask again and again."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self._logs: dict[str, list[dict[str, Any]]] = {"browser": [], "performance": []}

    def set_size(self, width: int, height: int) -> None:
        """Give the present tab a view of exactly this many CSS pixels; a window cannot be as narrow as a phone."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def script(self, body: str, *arguments: Any) -> Any:
        """What a JavaScript function body returns."""
        return self.driver.execute_script(body, *arguments)

    def console_errors(self) -> list[str]:
        """Errors in the console since the browser started: exceptions, failed requests, breaches of the policy."""
        return [entry["message"] for entry in self._log("browser") if entry["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        """Addresses asked for since the browser started, WebSockets too; in the order they were asked for."""
        addresses = []
        for entry in self._log("performance"):
            message = json.loads(entry["message"])["message"]
            value: Any = message["params"]
            for name in _FETCHES.get(message["method"], ()):
                value = value[name]
            if isinstance(value, str) and not value.startswith(_LOCAL_SCHEMES):
                addresses.append(value)
        return addresses

    def foreign_requests(self, *own: str) -> list[str]:
        """Addresses asked for that start with none of the `own` ones."""
        return [address for address in self.requests() if not address.startswith(own)]

    def has_horizontal_scrollbar(self) -> bool:
        """Whether the page is wider than its view."""
        root = "document.documentElement"
        return bool(self.script(f"return Math.max({root}.scrollWidth, document.body.scrollWidth) > {root}.clientWidth"))

    def screenshot(self, path: Path | str) -> None:
        """Write what is seen as a PNG."""
        self.driver.get_screenshot_as_file(str(path))

    def _log(self, kind: str) -> list[dict[str, Any]]:
        # The driver gives each entry once.
        self._logs[kind] += self.driver.get_log(kind)
        return self._logs[kind]


@contextlib.contextmanager
def open_browser(width: int = 1280, height: int = 800) -> Iterator[Browser]:
    """A headless Chromium with a fresh profile and a view of `width` x `height` CSS pixels; skips where there is none.

    with open_browser(390, 844) as browser:
        browser.driver.get(path.as_uri())
        assert browser.console_errors() == []
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        missing = "chromium" if chromium is None else "chromedriver"
        pytest.skip(f"{missing} is not installed (Debian/Ubuntu: apt install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(prefix="forestpilot-browser-", ignore_cleanup_errors=True) as profile:
        for flag in (*_FLAGS, f"--window-size={width},{height}", f"--user-data-dir={profile}"):
            options.add_argument(flag)
        service = webdriver.ChromeService(executable_path=chromedriver)
        driver = webdriver.Chrome(options=options, service=service)
        try:
            browser = Browser(driver)
            browser.set_size(width, height)
            yield browser
        finally:
            driver.quit()

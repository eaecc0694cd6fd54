"""The screen in a browser: pictures and keys in headless Chromium, and what strangers and slow lines get."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from forestpilot.data_collection.people.console import COMMANDS, STEERING, Command, Input, Key
from forestpilot.launch.screens import ScreenConfig, open_screen, web_viewer
from forestpilot.launch.screens.web import ELSEWHERE, MAX_CONNECTIONS, SESSION_OVER, WebScreen
from forestpilot.launch.screens.web_gate import WebScreenError
from forestpilot.launch.screens.web_page import key_label
from forestpilot.sim.errors import ForestPilotError
from tests.browser import Browser, open_browser

PATIENCE_S = 10.0
RED = (200, 40, 90)


def picture(color: tuple[int, int, int] = RED, width: int = 320, height: int = 180) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


@pytest.fixture
def screen() -> Iterator[WebScreen]:
    with WebScreen(320, 180, "a test", port=0) as opened:
        yield opened


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of the condition."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE_S} s in vain: {what}")


class Watch:
    """Polls a screen all the time, as a session does, and remembers what came."""

    def __init__(self, screen: WebScreen) -> None:
        self.screen, self.commands, self.inputs = screen, list[Command](), list[Input]()

    def look(self) -> Input:
        seen = self.screen.poll()
        self.inputs.append(seen)
        self.commands += seen.commands
        return seen

    def until(self, keys: Key, present: bool = True) -> None:
        wait_for(lambda: self._is(keys, present), f"{keys!r}, present {present}")

    def _is(self, keys: Key, present: bool) -> bool:
        seen = self.look()
        return seen.keys == keys and seen.present == present


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser(1280, 800) as opened:
        yield opened


@pytest.fixture
def watch(browser: Browser, screen: WebScreen) -> Iterator[Watch]:
    """A page in the browser, connected; whatever the test does to it, the console must stay clean."""
    before = len(browser.console_errors())
    browser.set_size(1280, 800)
    browser.driver.get(screen.address)
    watch = Watch(screen)
    watch.until(Key.NONE, present=True)
    yield watch
    errors = browser.console_errors()[before:]
    foreign = browser.foreign_requests("http://127.0.0.1:", "ws://127.0.0.1:")
    browser.driver.get("about:blank")
    assert errors == []
    assert foreign == []


def keys_down(browser: Browser, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    chain = ActionChains(browser.driver, duration=0)
    for key in keys:
        chain.key_down(key)
    chain.perform()


def keys_up(browser: Browser, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    chain = ActionChains(browser.driver, duration=0)
    for key in keys:
        chain.key_up(key)
    chain.perform()


def raw_key(browser: Browser, kind: str, code: str, **more: Any) -> None:
    """A key event as the keyboard's driver gives it, repeats and modifiers included."""
    key = {"Space": " "}.get(code, code.removeprefix("Key").lower())
    browser.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, "code": code, "key": key, **more})


def state(browser: Browser) -> str:
    return str(browser.script("return document.body.dataset.state"))


def pixel(browser: Browser) -> list[int]:
    script = (
        "const canvas = document.getElementById('picture');"
        "const middle = canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data;"
        "return [canvas.width, canvas.height, ...middle.slice(0, 3)]"
    )
    return list(browser.script(script))


def press_until(browser: Browser, watch: Watch, key: str, wanted: Key) -> None:
    """Press a key, and press it anew where a window that was late to get the keyboard has let it go."""
    for _ in range(3):
        keys_down(browser, key)
        with contextlib.suppress(AssertionError):
            watch.until(wanted)
            return
        keys_up(browser, key)
    raise AssertionError(f"{key} was pressed three times in vain")


@contextlib.contextmanager
def second_tab(browser: Browser, address: str = "about:blank") -> Iterator[None]:
    first = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    second = browser.driver.current_window_handle
    try:
        browser.driver.get(address)
        browser.driver.execute_cdp_cmd("Page.bringToFront", {})  # gives the page the keyboard, as a click would
        yield
    finally:
        browser.driver.switch_to.window(second)
        browser.driver.close()
        browser.driver.switch_to.window(first)
        # A busy machine gives the keyboard back late: a key that was pressed before would be let go then.
        browser.driver.execute_cdp_cmd("Page.bringToFront", {})
        wait_for(lambda: browser.driver.execute_script("return document.hasFocus()"), "the keyboard")


def test_the_page_shows_the_picture_that_was_sent(browser: Browser, watch: Watch) -> None:
    notice = browser.driver.find_element("id", "notice")
    assert notice.text == "Waiting for the first picture…"
    watch.screen.show(picture(RED))
    wait_for(lambda: pixel(browser)[:2] == [320, 180] and pixel(browser)[2] > 100, "the picture")
    assert not notice.is_displayed()
    assert np.abs(np.array(pixel(browser)[2:]) - RED).max() <= 4
    watch.screen.show(picture((10, 250, 30), 640, 360))
    wait_for(lambda: pixel(browser)[:2] == [640, 360], "a picture of another size")
    assert np.abs(np.array(pixel(browser)[2:]) - (10, 250, 30)).max() <= 4


def test_a_page_that_is_opened_late_shows_the_last_picture(browser: Browser, watch: Watch) -> None:
    watch.screen.show(picture(RED))
    browser.driver.refresh()
    wait_for(lambda: pixel(browser)[2] > 100, "the picture from before the reload")
    assert np.abs(np.array(pixel(browser)[2:]) - RED).max() <= 4


def test_held_keys_steer_until_they_are_let_go(browser: Browser, watch: Watch) -> None:
    from selenium.webdriver.common.keys import Keys

    keys_down(browser, Keys.ARROW_LEFT, Keys.ARROW_UP)
    watch.until(Key.LEFT | Key.FORWARD)
    assert browser.script("return document.querySelectorAll('button.pressed').length") == 2
    keys_up(browser, Keys.ARROW_LEFT)
    watch.until(Key.FORWARD)
    keys_up(browser, Keys.ARROW_UP)
    watch.until(Key.NONE)
    keys_down(browser, "d", "s")
    watch.until(Key.RIGHT | Key.BACK)
    keys_up(browser, "d", "s")
    watch.until(Key.NONE)
    assert watch.commands == []


def test_a_held_command_key_is_given_once_however_often_it_repeats(browser: Browser, watch: Watch) -> None:
    raw_key(browser, "rawKeyDown", "Space")
    for _ in range(5):
        raw_key(browser, "rawKeyDown", "Space", autoRepeat=True)
    raw_key(browser, "keyUp", "Space")
    keys_down(browser, "q")
    keys_up(browser, "q")
    wait_for(lambda: watch.look() and Command.QUIT in watch.commands, "the last key")
    assert watch.commands == [Command.TAKE_OVER, Command.QUIT]
    assert watch.screen.is_open


def test_a_key_that_was_held_before_the_page_opened_does_not_steer(browser: Browser, watch: Watch) -> None:
    raw_key(browser, "rawKeyDown", "KeyA")
    watch.until(Key.LEFT)
    browser.driver.refresh()
    watch.until(Key.NONE)
    watch.inputs.clear()
    for _ in range(3):
        raw_key(browser, "rawKeyDown", "KeyA", autoRepeat=True)
    raw_key(browser, "rawKeyDown", "KeyD")  # what is pressed anew arrives after them, and alone
    watch.until(Key.RIGHT)
    raw_key(browser, "keyUp", "KeyA")
    raw_key(browser, "keyUp", "KeyD")
    watch.until(Key.NONE)
    assert not any(seen.keys & Key.LEFT for seen in watch.inputs)


def test_the_browsers_own_shortcuts_are_no_keys(browser: Browser, watch: Watch) -> None:
    control = 2
    raw_key(browser, "rawKeyDown", "KeyA", modifiers=control)
    raw_key(browser, "rawKeyDown", "KeyL", modifiers=control)
    keys_down(browser, "p")
    keys_up(browser, "p")
    wait_for(lambda: watch.look().commands or watch.commands, "the key after them")
    assert watch.commands == [Command.PAUSE]
    assert not any(seen.keys for seen in watch.inputs)


def test_keys_do_not_scroll_the_page(browser: Browser, watch: Watch) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.set_size(390, 500)
    assert browser.script("return document.documentElement.scrollHeight > innerHeight"), "nothing to scroll"
    keys_down(browser, Keys.ARROW_DOWN, " ")
    watch.until(Key.BACK)
    time.sleep(0.3)  # scrolling is smooth, it takes its time
    keys_up(browser, Keys.ARROW_DOWN, " ")
    watch.until(Key.NONE)
    assert browser.script("return scrollY") == 0


def test_a_page_that_loses_the_keyboard_lets_go_of_everything(browser: Browser, watch: Watch) -> None:
    from selenium.webdriver.common.keys import Keys

    keys_down(browser, Keys.ARROW_LEFT)
    watch.until(Key.LEFT)
    with second_tab(browser):
        watch.until(Key.NONE, present=False)
    watch.until(Key.NONE, present=True)
    assert state(browser) == "live"


def test_a_blur_alone_releases_the_keys(browser: Browser, watch: Watch) -> None:
    raw_key(browser, "rawKeyDown", "KeyW")
    watch.until(Key.FORWARD)
    browser.script("window.dispatchEvent(new Event('blur'))")
    watch.until(Key.NONE)
    raw_key(browser, "keyUp", "KeyW")


def test_a_reload_is_an_absence_and_a_return(browser: Browser, watch: Watch) -> None:
    seen = len(watch.inputs)
    stop = threading.Event()

    def poll_on() -> None:
        while not stop.wait(0.002):
            watch.look()

    poller = threading.Thread(target=poll_on)
    poller.start()
    try:
        browser.driver.refresh()
        wait_for(lambda: not all(given.present for given in watch.inputs[seen:]), "the absence")
        wait_for(lambda: watch.inputs[-1].present, "the return")
    finally:
        stop.set()
        poller.join()
    assert watch.screen.is_open


def test_a_second_window_takes_over_and_the_first_can_take_back(browser: Browser, watch: Watch) -> None:
    first = browser.driver.current_window_handle
    with second_tab(browser, watch.screen.address):
        watch.until(Key.NONE, present=True)
        keys_down(browser, "a")
        watch.until(Key.LEFT)
        browser.driver.switch_to.window(first)
        wait_for(lambda: state(browser) == "elsewhere", "the first window's knowledge")
        assert "another window" in browser.driver.find_element("id", "status").text
        time.sleep(1.5)
        assert state(browser) == "elsewhere", "two windows must not take the session from each other in turn"
        browser.driver.find_element("id", "back").click()
        watch.until(Key.NONE, present=True)
        assert state(browser) == "live"
    press_until(browser, watch, "d", Key.RIGHT)
    keys_up(browser, "d")


def test_a_broken_tunnel_pauses_and_comes_back_by_itself(browser: Browser, watch: Watch) -> None:
    with Tunnel(watch.screen.port) as tunnel:
        browser.driver.get(watch.screen.address.replace(str(watch.screen.port), str(tunnel.port)))
        watch.until(Key.NONE, present=True)
        keys_down(browser, "w")
        watch.until(Key.FORWARD)
        tunnel.hold()
        watch.until(Key.NONE, present=False)
        wait_for(lambda: state(browser) == "lost", "the page's knowledge")
        status = browser.driver.find_element("id", "status")
        assert status.text == "Connection lost, the episode is paused, reconnecting…"
        assert status.get_attribute("role") == "status"
        keys_up(browser, "w")
        tunnel.let_go()
        watch.until(Key.NONE, present=True)
        assert state(browser) == "live"
        keys_down(browser, "w")
        watch.until(Key.FORWARD)
        keys_up(browser, "w")


def test_the_page_says_when_the_session_is_over(browser: Browser, watch: Watch) -> None:
    watch.screen.close()
    wait_for(lambda: state(browser) == "over", "the farewell")
    assert "over" in browser.driver.find_element("id", "notice").text


def test_the_help_names_every_key_and_the_page_its_figures(browser: Browser, watch: Watch) -> None:
    shown = set(browser.script("return [...document.querySelectorAll('kbd')].map(key => key.dataset.code)"))
    assert shown == {*STEERING, *COMMANDS}
    text = browser.driver.find_element("tag name", "footer").text
    for word in ("left", "forward", "take over", "save and quit", *map(key_label, COMMANDS)):
        assert word in text
    for _ in range(20):
        watch.screen.show(picture())
        time.sleep(0.02)
    wait_for(lambda: browser.driver.find_element("id", "rate").text not in ("–", "0"), "pictures per second")
    assert browser.driver.find_element("id", "trip").text.isdigit()


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 568), (844, 390), (1280, 800)])
def test_the_page_fits_every_width(browser: Browser, watch: Watch, width: int, height: int) -> None:
    browser.set_size(width, height)
    watch.screen.show(picture(RED, 1280, 720))
    wait_for(lambda: pixel(browser)[0] == 1280, "the picture")
    assert not browser.has_horizontal_scrollbar()
    box = browser.script("const box = document.querySelector('canvas').getBoundingClientRect(); return box.toJSON()")
    assert box["left"] >= 0 and box["right"] <= width and box["height"] > 100


def test_buttons_steer_where_there_are_no_keys(browser: Browser, watch: Watch) -> None:
    from selenium.webdriver import ActionChains

    left = browser.driver.find_element("css selector", "button[data-code=ArrowLeft]")
    ActionChains(browser.driver).click_and_hold(left).perform()
    watch.until(Key.LEFT)
    ActionChains(browser.driver).release(left).perform()
    watch.until(Key.NONE)
    browser.driver.find_element("css selector", "button[data-code=KeyR]").click()
    wait_for(lambda: watch.look() and watch.commands, "the command")
    assert watch.commands == [Command.RESTART]


class Tunnel:
    """Passes a port on, as ssh does, and can hold everything back, as a dead line does."""

    def __init__(self, port: int) -> None:
        self._target, self._listener = port, socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._flows = threading.Event()
        self._flows.set()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Tunnel:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.let_go()

    def hold(self) -> None:
        """Let nothing through, and tell nobody."""
        self._flows.clear()

    def let_go(self) -> None:
        """Cut what was held back; what connects from now on gets through."""
        for end in self._sockets:
            cut_off(end)
        self._sockets.clear()
        self._flows.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._flows.wait()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [near, far]
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(a, b), daemon=True).start()

    def _pass_on(self, a: socket.socket, b: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                self._flows.wait()
                b.sendall(data)
        cut_off(b)


def cut_off(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


# Without a browser


def token(screen: WebScreen) -> str:
    return screen.address.rpartition("/")[2]


def get(screen: WebScreen, path: str, host: str | None = None) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers of a plain request."""
    line = http.client.HTTPConnection("127.0.0.1", screen.port, timeout=PATIENCE_S)
    line.request("GET", path, headers={"Host": host or f"127.0.0.1:{screen.port}"})
    answer = line.getresponse()
    body = answer.read().decode()
    line.close()
    return answer.status, body, dict(answer.headers)


@contextlib.contextmanager
def client(screen: WebScreen, path: str | None = None, origin: str | None = "own") -> Iterator[ClientConnection]:
    """A WebSocket as the page opens it."""
    place = f"127.0.0.1:{screen.port}"
    origin = f"http://{place}" if origin == "own" else origin
    address = f"ws://{place}/{token(screen) if path is None else path}"
    options: Any = {"proxy": None, "compression": None, "close_timeout": 1, "max_size": None}
    with connect(address, origin=origin, **options) as line:  # type: ignore[arg-type]
        yield line


def say(line: ClientConnection, kind: str, value: Any = None) -> None:
    line.send(json.dumps({"kind": kind, "value": value}))


def close_code(line: ClientConnection) -> int | None:
    """Wait for the end of a connection, and tell how it was explained."""
    try:
        while True:
            line.recv(timeout=PATIENCE_S)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def test_only_the_whole_address_opens_the_page(screen: WebScreen) -> None:
    status, body, headers = get(screen, f"/{token(screen)}")
    assert status == 200 and "<canvas" in body
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and f"connect-src ws://127.0.0.1:{screen.port}" in policy
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"
    for path in ("/", "/favicon.ico", f"/{token(screen)[:-1]}", f"/{token(screen)}x", f"/{token(screen)}/", "/?token="):
        status, body, headers = get(screen, path)
        assert status == 403, path
        assert "address that was printed" in body and token(screen) not in body


def test_every_session_has_its_own_token() -> None:
    with WebScreen(320, 180, port=0) as one, WebScreen(320, 180, port=0) as other:
        assert token(one) != token(other)
        assert len(token(one)) >= 22
        assert get(one, f"/{token(other)}")[0] == 403


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        ("", "own"),
        ("wrong", "own"),
        (None, "http://evil.example"),
        (None, "http://127.0.0.1:1"),
        (None, "null"),
        (None, None),
    ],
)
def test_a_socket_needs_the_token_and_the_pages_own_origin(
    screen: WebScreen, path: str | None, origin: str | None
) -> None:
    with pytest.raises(InvalidStatus) as caught, client(screen, path, origin):
        pass
    assert caught.value.response.status_code == 403
    assert not screen.poll().present


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "10.1.2.3", "a@localhost"]
)
def test_a_foreign_name_for_this_machine_is_refused(screen: WebScreen, host: str) -> None:
    assert get(screen, f"/{token(screen)}", host)[0] == 403


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "[::1]:9000"])
def test_the_near_end_of_a_tunnel_may_have_another_port(screen: WebScreen, host: str) -> None:
    status, _, headers = get(screen, f"/{token(screen)}", host)
    assert status == 200
    assert headers["Content-Security-Policy"].endswith(f"connect-src ws://{host}")


def test_the_address_and_the_tunnel_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with WebScreen(320, 180, port=0) as screen:
        printed = capsys.readouterr()
        assert screen.address in printed.err and screen.address.startswith("http://127.0.0.1:")
        assert f"ssh -N -L {screen.port}:127.0.0.1:{screen.port} HOST" in printed.err
        assert "Warning" not in printed.err
        assert printed.out == ""


def test_serving_the_whole_network_is_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    with WebScreen(320, 180, host="0.0.0.0", port=0) as screen:
        assert "Warning: the page is served to the whole network" in capsys.readouterr().err
        assert get(screen, f"/{token(screen)}", f"192.0.2.7:{screen.port}")[0] == 200
        assert get(screen, f"/{token(screen)}", f"{socket.gethostname()}:{screen.port}")[0] == 200
        assert get(screen, f"/{token(screen)}", "evil.example")[0] == 403
        assert get(screen, "/")[0] == 403


def test_a_busy_port_is_named_with_the_way_out(screen: WebScreen) -> None:
    with pytest.raises(WebScreenError, match=rf"port {screen.port} .*in use.*--screen\.port 0"):
        WebScreen(320, 180, port=screen.port)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "a" * 70])
def test_an_address_that_is_not_this_machines_is_refused(host: str) -> None:
    with pytest.raises(WebScreenError, match=r"no address of this machine.*--screen\.host 127\.0\.0\.1"):
        WebScreen(320, 180, host=host, port=0)


def test_pictures_that_are_none_are_refused(screen: WebScreen) -> None:
    for wrong in (picture().astype(np.float32), picture()[..., :2], picture()[..., 0], picture()[:0]):
        with pytest.raises(ValueError, match="must be uint8"):
            screen.show(wrong)


def test_a_slow_viewer_gets_the_newest_picture_and_nobody_waits_for_it(screen: WebScreen) -> None:
    import cv2

    def received(line: ClientConnection) -> int:
        jpeg = line.recv(timeout=PATIENCE_S)
        assert isinstance(jpeg, bytes)
        return int(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).mean().round())

    with client(screen) as line:
        say(line, "focus", True)
        wait_for(lambda: screen.poll().present, "the viewer")
        slowest_s = 0.0
        for grey in range(1, 201):
            begin = time.perf_counter()
            screen.show(picture((grey,) * 3))
            screen.poll()
            slowest_s = max(slowest_s, time.perf_counter() - begin)
        assert slowest_s < 0.5
        first = [received(line) for _ in range(web_viewer.IN_FLIGHT)]
        assert max(first) < 200
        with pytest.raises(TimeoutError):
            line.recv(timeout=0.2)
        say(line, "drawn")
        assert received(line) == 200, "the newest, and none of those in between"


@pytest.mark.parametrize("taken_over", [False, True])
def test_a_viewer_that_reads_nothing_blocks_neither_pictures_nor_the_end(taken_over: bool) -> None:
    def senders() -> int:
        return sum(thread.name == "web viewer" for thread in threading.enumerate())

    noise = np.random.default_rng(0).integers(0, 256, (2160, 3840, 3), np.uint8)
    with WebScreen(3840, 2160, port=0, quality=95) as screen:
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", screen.port))
        place = f"127.0.0.1:{screen.port}"
        line.sendall(
            f"GET /{token(screen)} HTTP/1.1\r\nHost: {place}\r\nOrigin: http://{place}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert line.recv(12) == b"HTTP/1.1 101"
        for _ in range(5):
            begin = time.perf_counter()
            screen.show(noise)
            assert not screen.poll().present
            assert time.perf_counter() - begin < 10.0, "whoever waits for such a viewer waits for ever"
            time.sleep(0.1)
        if taken_over:
            with client(screen) as second:
                say(second, "focus", True)
                wait_for(lambda: screen.poll().present, "the second")
                wait_for(lambda: senders() == 1, "the end of the one that reads nothing")
        begin = time.perf_counter()
        screen.close()
        assert time.perf_counter() - begin < web_viewer.GRACE_S + 2.0
        line.close()
    assert senders() == 0


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[]",
        "[" * 1000,
        '{"kind": "down", "value": "KeyZ"}',
        '{"kind": "down", "value": ["KeyA"]}',
        '{"kind": "focus", "value": 1}',
        '{"kind": "beat", "value": "now"}',
        '{"kind": "beat", "value": NaN}',
        '{"kind": "beat", "value": -1}',
        '{"kind": "beat", "value": true}',
        '{"kind": "beat", "value": 1e300}',
        '{"kind": "beat", "value": ' + "9" * 900 + "}",
        '{"kind": ["down"]}',
        b"\xff\xd8",
        "x" * 2000,
        "x" * 3_000_000,
    ],
)
def test_a_message_of_another_kind_ends_that_connection_only(screen: WebScreen, message: str | bytes) -> None:
    with client(screen) as line:
        with contextlib.suppress(ConnectionClosed):
            line.send(message)
        assert close_code(line) in (1008, 1009)
    with client(screen) as line:
        say(line, "focus", True)
        say(line, "down", "KeyA")
        wait_for(lambda: screen.poll() == Input(Key.LEFT), "a good page after a bad one")


def test_who_opens_many_connections_loses_the_oldest_and_never_the_page_that_steers(screen: WebScreen) -> None:
    with client(screen) as line, contextlib.ExitStack() as stack:
        say(line, "focus", True)
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", screen.port)))
            for _ in range(MAX_CONNECTIONS + 4)
        ]
        silent[0].settimeout(5.0)
        assert silent[0].recv(1) == b""
        assert get(screen, f"/{token(screen)}")[0] == 200
        say(line, "down", "KeyA")
        wait_for(lambda: screen.poll() == Input(Key.LEFT), "the page that steers")


def test_every_answer_says_that_nothing_may_be_loaded(screen: WebScreen) -> None:
    for path in (f"/{token(screen)}", "/elsewhere"):
        _, _, headers = get(screen, path)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_stranger_who_talks_no_http_disturbs_nobody(screen: WebScreen, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    for sent in (
        b"\x16\x03\x01\x00\xa5",
        b"GET / HTTP/9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        b"",
    ):
        with socket.create_connection(("127.0.0.1", screen.port)) as line:
            line.sendall(sent)
    assert get(screen, f"/{token(screen)}")[0] == 200
    assert capfd.readouterr().err == ""


def test_who_is_not_heard_for_a_while_is_absent(screen: WebScreen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_viewer, "SILENCE_S", 0.3)
    with client(screen) as line:
        say(line, "focus", True)
        say(line, "down", "ArrowUp")
        wait_for(lambda: screen.poll() == Input(Key.FORWARD), "the key")
        wait_for(lambda: screen.poll() == Input(present=False), "the silence")
        say(line, "beat", 17.5)
        assert json.loads(line.recv(timeout=PATIENCE_S)) == {"beat": 17.5}
        assert screen.poll() == Input(Key.NONE), "a key that was held when the line broke must be pressed anew"


def test_the_last_to_come_steers(screen: WebScreen) -> None:
    with client(screen) as first:
        say(first, "focus", True)
        say(first, "down", "KeyA")
        wait_for(lambda: screen.poll().keys == Key.LEFT, "the first")
        with client(screen) as second:
            assert close_code(first) == ELSEWHERE
            say(second, "focus", True)
            say(second, "beat", 1)
            second.recv(timeout=PATIENCE_S)  # now it has been heard
            assert screen.poll() == Input(Key.NONE), "what the first held is let go, even if nobody looked meanwhile"
    wait_for(lambda: screen.poll() == Input(present=False), "nobody")


def test_commands_survive_a_page_that_is_closed_at_once(screen: WebScreen) -> None:
    with client(screen) as line:
        say(line, "focus", True)
        say(line, "down", "KeyQ")
    seen: list[Command] = []
    wait_for(lambda: seen.extend(screen.poll().commands) or seen, "the command")
    assert seen == [Command.QUIT]
    assert screen.is_open


def test_closing_twice_frees_the_port_and_ends_all_threads() -> None:
    before = set(threading.enumerate())
    screen = WebScreen(320, 180, port=0)
    idle = socket.create_connection(("127.0.0.1", screen.port))  # as browsers do in advance
    with client(screen) as line:
        say(line, "focus", True)
        wait_for(lambda: screen.poll().present, "the viewer")
        begin = time.perf_counter()
        closer = threading.Thread(target=screen.close)
        closer.start()
        assert close_code(line) == SESSION_OVER
        closer.join()
        screen.close()
        assert time.perf_counter() - begin < 3.0
    assert not screen.is_open
    assert screen.poll() == Input(present=False)
    screen.show(picture())
    wait_for(lambda: set(threading.enumerate()) <= before, "the end of the threads")
    WebScreen(320, 180, port=screen.port).close()
    idle.close()


def test_a_screen_is_opened_by_its_config() -> None:
    screen = open_screen(ScreenConfig(size="640x360", port=0), web=True, title="a <title> & more")
    try:
        assert isinstance(screen, WebScreen)
        assert screen.size == (640, 360)
        assert "a &lt;title&gt; &amp; more" in get(screen, f"/{token(screen)}")[1]
    finally:
        screen.close()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("size", "large", "1280x720"),
        ("size", "10x10", "320x180"),
        ("host", " ", "127.0.0.1"),
        ("port", 70000, "65,535"),
        ("port", -1, "0 to 65,535"),
        ("quality", 0, "10 to 95"),
    ],
)
def test_a_screen_that_cannot_be_is_refused(field: str, value: Any, says: str) -> None:
    with pytest.raises(ForestPilotError, match=says):
        ScreenConfig(**{field: value})

"""The report as a whole: made from a real evaluation, looked at in a real browser, and made from broken ones."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.progress import SilentProgress
from forestpilot.data_collection.rollouts.results import result_path
from forestpilot.launch import cli
from forestpilot.launch.pages.page import fit_videos
from forestpilot.launch.reading.evaluations import read_evaluation
from forestpilot.launch.reports.build import Wishes, make_page
from forestpilot.launch.reports.failures import Look
from forestpilot.launch.verbs.report import ReportConfig
from forestpilot.policies.evaluation.evaluate import EvaluateConfig, evaluate
from forestpilot.policies.networks.checkpoint import save_policy
from forestpilot.policies.networks.encoders.cnn import CNNConfig
from forestpilot.policies.networks.heads.regression import RegressionConfig
from forestpilot.policies.networks.views import ViewConfig
from forestpilot.policies.networks.visuomotor import PolicyConfig, VisuomotorPolicy
from forestpilot.sim.tasks.drone import DroneOptions
from tests.browser import Browser, open_browser
from tests.helpers.damage import without_seals
from tests.helpers.specs import make_spec

POLICY = PolicyConfig(
    view=ViewConfig(16, 32), encoder=CNNConfig((4, 8, 8)), features=16, window=2, head=RegressionConfig()
)
NASTY = "<img src=nasty> & $x$ \"quoted\" 'name'"
"""Names come from users."""
SMALL = ("--failures", "2", "--seconds", "0.5", "--size", "320x180", "--replays", "2")
"""A report that is quickly made."""


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three worlds, flown by an untrained policy and blind, at a speed at which both soon crash."""
    folder = tmp_path_factory.mktemp("runs")
    save_policy(folder / "policy", VisuomotorPolicy.seeded(POLICY, make_spec(image_width=32, image_height=24), 0))
    config = EvaluateConfig(
        policy=(f"mine={folder / 'policy'}", "blind"), out=str(folder / "evaluation"), episodes=3,
        options=DroneOptions(density=(0.1,)), preset="loquercio", speed=12.0, workers=1,
    )  # fmt: skip
    evaluate(config)
    return folder / "evaluation"


@pytest.fixture
def copy(evaluation: Path, tmp_path: Path) -> Path:
    """The evaluation, to be damaged."""
    return Path(shutil.copytree(evaluation, tmp_path / "evaluation"))


@pytest.fixture(scope="module")
def page(evaluation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on the evaluation in which one arm has a nasty name, and on rounds of DAgger."""
    folder = tmp_path_factory.mktemp("report")
    run = folder / "dagger & co"
    shutil.copytree(evaluation, run / "evaluation")
    without_seals(run / "evaluation")
    (run / "evaluation" / "outcomes.csv").write_text(_renamed((evaluation / "outcomes.csv").read_text()))
    for path in (run / "evaluation" / "episodes").glob("blind-*.npz"):
        path.rename(path.with_name(path.name.replace("blind", NASTY)))
    (run / "rounds.csv").write_text(
        "round,labels,validation_success,validation_episodes,low,high,takeovers\n0,100,0.5,40,0.35,0.65,0\n"
        "1,250,0.8,40,0.65,0.9,3\n"
    )
    (run / "metrics.csv").write_text("round,step,loss\n" + "".join(f"0,{n},{1 / n}\n" for n in range(1, 400)))
    assert cli.main(["report", str(run), *SMALL]) == 0
    return run / "report.html"


def _renamed(outcomes: str) -> str:
    quoted = NASTY.replace('"', '""')
    return outcomes.replace("blind,", f'"{quoted}",')


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[Browser]:
    """A browser that shows the page."""
    with open_browser() as found:
        found.driver.get(page.as_uri())
        yield found


def report(*args: object) -> int:
    """Run the verb."""
    return cli.main(["report", *map(str, args)])


def test_the_page_fetches_nothing_and_has_no_errors(browser: Browser, page: Path) -> None:
    assert browser.script("return document.querySelectorAll('section').length") >= 8
    assert browser.console_errors() == []
    assert browser.foreign_requests(page.as_uri()) == []
    assert re.findall(r"(?:src|href|poster)=\"(?!data:|#)[^\"]*", page.read_text()) == [], "not even a link"
    assert browser.script("return document.scripts.length") == 0


def test_all_pictures_are_there_and_described(browser: Browser) -> None:
    pictures = browser.script(
        "return [...document.images].map(i => [i.complete && i.naturalWidth > 0, i.alt.length > 10])"
    )
    assert len(pictures) > 8, "maps, and what the policy looked at"
    assert all(loaded and told for loaded, told in pictures)
    drawings = "return [...document.querySelectorAll('svg.diagram')].map(s => s.getAttribute('aria-label').length > 10)"
    assert len(browser.script(drawings)) >= 8 and all(browser.script(drawings))
    assert browser.script("return document.querySelectorAll('[id]').length") == browser.script(
        "return new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size"
    )


def test_the_videos_play(browser: Browser) -> None:
    browser.driver.set_script_timeout(20)
    played = browser.driver.execute_async_script(
        """
        const done = arguments[arguments.length - 1];
        const videos = [...document.querySelectorAll('video')];
        Promise.all(videos.map(async video => {
            await video.play();
            while (video.currentTime < 0.2) await new Promise(wait => setTimeout(wait, 50));
            video.pause();
            return [video.readyState, video.videoWidth, video.duration, video.muted, video.controls];
        })).then(done, error => done(String(error)));
        """
    )
    assert len(played) == 2, played
    for ready, width, duration_s, muted, controls in played:
        assert ready >= 2 and width == 320 and muted and controls
        assert 1.0 < duration_s < 5.0, "half a second at half speed, and the last picture stands"


def test_the_page_fits_a_phone(browser: Browser) -> None:
    for width in (390, 320, 1280):
        browser.set_size(width, 844)
        assert not browser.has_horizontal_scrollbar(), width
    browser.set_size(390, 844)
    wide = "return [...document.querySelectorAll('.scroll')].some(e => e.scrollWidth > e.clientWidth)"
    assert browser.script(wide), "wide tables scroll in their own box"
    browser.set_size(1280, 800)


def test_names_from_users_are_text(browser: Browser, page: Path) -> None:
    assert NASTY in browser.script("return document.body.innerText")
    assert browser.script("return document.querySelectorAll('img[src=nasty]').length") == 0
    assert "dagger & co" in browser.driver.title


def test_light_and_dark_differ_and_both_can_be_read(browser: Browser) -> None:
    colors = {}
    for scheme in ("light", "dark"):
        feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
        colors[scheme] = [
            _luminance(browser.script(f"return getComputedStyle(document.querySelector('{where}')).{what}"))
            for where, what in (("body", "backgroundColor"), ("body", "color"), ("svg.diagram text", "fill"))
        ]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    for scheme, (paper, ink, label) in colors.items():
        assert abs(paper - ink) > 0.7 and abs(paper - label) > 0.7, scheme
    assert colors["light"][0] > 0.9 > 0.2 > colors["dark"][0]


def _luminance(color: str) -> float:
    red, green, blue = (int(part) / 255 for part in re.findall(r"\d+", color)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_page_says_what_came_out_and_how_it_was_made(page: Path) -> None:
    html = page.read_text()
    for text in (
        "95 % Wilson interval", "McNemar’s exact p", "forestpilot replay", "--seed 200000", "takeovers",
        "Success by number of labels", "igns of a copycat", "lag-1 correlation", "torch", "forestpilot report",
    ):  # fmt: skip
        assert text in html, text
    assert "what the turn depends on" in html, "the policy was looked into"


def test_videos_of_the_least_bad_episodes_go_when_there_is_no_room(evaluation: Path) -> None:
    look = Look(seconds=0.5, videos=True, size=(320, 180))
    page, scenes = make_page([evaluation], Wishes(2, look, 0, 0, "forestpilot report"), SilentProgress())
    whole = fit_videos(page, scenes, 10**9)
    assert whole.count("<video") == 2 and "left out" not in whole
    size = len(whole.encode())
    html = fit_videos(page, scenes, size - 1)
    assert html.count("<video") == 1 and len(html.encode()) < size
    assert "1 of 2 videos, those of the least bad episodes, were left out" in html
    assert html.index("<video") < html.index("The video was left out"), "the worst episode keeps its own"
    tiny = fit_videos(page, scenes, 10_000)
    assert tiny.count("<video") == 0 and "even without videos" in tiny
    assert tiny.count('class="map"') == 2


def test_a_report_can_do_without_videos(evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "folder" / "mine.html"
    assert report(evaluation, "--failures", 1, "--replays", 0, "--no-videos", "--out", path) == 0
    html = path.read_text()
    assert "<video" not in html and 'class="map"' in html
    assert f"{path}  0." in capsys.readouterr().out
    assert [found.name for found in path.parent.iterdir()] == ["mine.html"], "written whole, nothing left beside it"


def test_damaged_episodes_and_broken_rows_leave_a_note(copy: Path) -> None:
    first = result_path(copy / "episodes", "mine", 2_000_000)
    first.write_bytes(first.read_bytes()[:300])
    with np.load(result_path(copy / "episodes", "mine", 2_000_001)) as stored:
        parts = dict(stored)
    parts["state_hashes"][2] += np.uint64(1)
    np.savez(result_path(copy / "episodes", "mine", 2_000_001), **parts)
    with (copy / "outcomes.csv").open("a") as file:
        file.write("mine,20000")
    without_seals(copy)
    (copy / "summary.json").unlink()
    assert report(copy, *SMALL, "--failures", 3) == 0
    html = (copy / "report.html").read_text()
    assert "line 8 is left out" in html and "no summary.json" in html
    assert "mine-02000000.npz cannot be read" in html
    assert "diverged at step 2" in html
    assert html.count("<video") == 1, "the third episode is whole"


def test_altered_outcomes_are_not_believed_and_counted_from_the_episodes(copy: Path) -> None:
    whole = read_evaluation(copy)
    path = copy / "outcomes.csv"
    path.write_text(path.read_text().replace("blind,2000001", "blind,2000009"))
    (copy / "summary.json").write_bytes((copy / "summary.json").read_bytes().replace(b'"drone"', b'"drive"'))
    altered = read_evaluation(copy)
    assert sorted((r.policy, r.seed) for r in altered.rows) == sorted((r.policy, r.seed) for r in whole.rows)
    told = " ".join(altered.notes)
    assert "outcomes.csv has been cut or altered" in told
    assert "run the same `forestpilot evaluate` again" in told
    assert "summary.json has been damaged or altered" in told
    assert not whole.notes


def test_without_its_checkpoint_an_episode_is_still_shown(copy: Path, evaluation: Path) -> None:
    hidden = evaluation.parent / "hidden"
    (evaluation.parent / "policy").rename(hidden)
    try:
        assert report(copy, *SMALL, "--failures", 1, "--replays", 0) == 0
    finally:
        hidden.rename(evaluation.parent / "policy")
    html = (copy / "report.html").read_text()
    assert "The checkpoint that acted cannot be looked into" in html
    assert html.count("<video") == 1


def test_other_weights_in_the_same_folder_are_not_looked_into(copy: Path, evaluation: Path) -> None:
    kept = shutil.copytree(evaluation.parent / "policy", copy.parent / "kept")
    other = VisuomotorPolicy.seeded(POLICY, make_spec(image_width=32, image_height=24), 1)
    save_policy(evaluation.parent / "policy", other)
    try:
        assert report(copy, *SMALL, "--failures", 1, "--replays", 0, "--no-videos") == 0
    finally:
        shutil.copytree(kept, evaluation.parent / "policy", dirs_exist_ok=True)
    assert "holds other weights by now" in (copy / "report.html").read_text()


def test_a_run_that_was_killed_is_reported_as_far_as_it_came(tmp_path: Path, copy: Path) -> None:
    (copy / "outcomes.csv").unlink()
    run = {"verb": "dagger", "version": "0.2.0", "config": {"rounds": 4}}
    (copy / "config.json").write_text(json.dumps(run))
    assert report(copy, "--failures", "0", "--replays", "0") == 0
    html = (copy / "report.html").read_text()
    assert "no outcomes.csv, so the evaluation was not finished" in html
    assert "no round of DAgger is finished" in html
    assert "mine" in html and "Results: flights" in html


def test_where_there_is_nothing_to_report_the_verb_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(tmp_path) == 1
    assert "nothing to report" in (told := capsys.readouterr().err) and "holds no run" in told
    assert report(tmp_path / "gone") == 1
    assert "nothing of that name" in capsys.readouterr().err
    (tmp_path / "outcomes.csv").write_text("policy,seed\n")
    assert report(tmp_path) == 1
    assert "no episode that can be read" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_wrong_options_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in ({"failures": -1}, {"seconds": 0.0}, {"max_mb": 0.0}, {"size": "big"}, {"replays": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            ReportConfig((tmp_path,), **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one folder"):
        ReportConfig(())
    assert report() == 2
    assert "report" in capsys.readouterr().err


def test_the_command_that_made_it_can_be_repeated(tmp_path: Path) -> None:
    config = ReportConfig((tmp_path / "a b",), failures=3, videos=False)
    assert config.command == (
        f"forestpilot report '{tmp_path}/a b' --out '{tmp_path}/a b/report.html' --failures 3 --no-videos"
    )
    assert ReportConfig((tmp_path,), out=tmp_path).page == tmp_path / "report.html"

"""`forestpilot embed`: learn an embedding of pictures from recordings by several cameras, and check it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.verbs import Verb
from forestpilot.policies.embeddings.options import EmbedConfig

if TYPE_CHECKING:
    from forestpilot.policies.embeddings.checks import Checks

FIGURE = "alignment.png"


def run(config: EmbedConfig) -> None:
    """Learn, print what it came to, draw what is nearest to what."""
    from forestpilot.launch.pictures.embedded import draw_alignment
    from forestpilot.policies.embeddings.training import CHECKS_FILE, embed

    progress = make_progress()
    learned = embed(config, progress)
    title = f"on {len(learned.held_out)} held-out recordings"
    print_table(checks_rows(learned.checks), title=title)
    print(Path(config.out) / CHECKS_FILE)
    if any(len(seen.views) > 1 for seen in learned.held_out):
        print(draw_alignment(Path(config.out) / FIGURE, learned))


def checks_rows(checks: Checks) -> list[tuple[str, ...]]:
    """Rows of text: alignment of views and what a linear probe reads, beside raw pixels."""
    rows: list[tuple[str, ...]] = [("", "embedding", "raw pixels")]
    means = [sum(each.values()) / len(each) for each in (checks.alignment, checks.pixels)]
    rows.append(("alignment error, % of the length", *(f"{100 * mean:.2f}" for mean in means)))
    for name, value in checks.probes.items():
        rows.append((f"{name}, R^2 of a linear probe", f"{value:.2f}", f"{checks.pixel_probes[name]:.2f}"))
    return rows


VERB = Verb(EmbedConfig, run, resumes=True)

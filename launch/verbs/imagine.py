"""`forestpilot imagine`: learn a model of the world from datasets, and measure how far it can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forestpilot.launch.terminal.progress import make_progress
from forestpilot.launch.terminal.tables import print_table
from forestpilot.launch.verbs import Verb
from forestpilot.policies.world_models.options import ImagineConfig

if TYPE_CHECKING:
    from forestpilot.policies.world_models.horizon import HorizonErrors


def run(config: ImagineConfig) -> None:
    """Learn, print the errors by horizon, and say what flies with the model."""
    from forestpilot.policies.world_models.training import HORIZON_FILE, imagine

    progress = make_progress()
    learned = imagine(config, progress)
    title = f"imagined along {len(learned.errors.seeds)} held-out episodes, 95 % intervals over them"
    print_table(errors_table(learned.errors), title=title)
    print(slope_words(learned.errors))
    print(Path(config.out) / HORIZON_FILE)
    if config.films:
        from forestpilot.launch.films.imagined import write_films

        for path in write_films(Path(config.out) / "films", learned, config.films, progress):
            print(path)
    task = learned.model.spec.task
    print(f"next: forestpilot evaluate --task {task} --policy imagined:{config.out} --out {config.out}/evaluation")


def errors_table(errors: HorizonErrors) -> list[tuple[str, ...]]:
    """Rows of text: errors by the number of steps imagined."""
    from forestpilot.policies.world_models.horizon import horizons_of, interval_of

    horizons = horizons_of(errors.value.shape[1])
    rows: list[tuple[str, ...]] = [("steps", "value", "state and goal", "nearest thing, m")]
    columns = [interval_of(values) for values in (errors.value, errors.state, errors.nearest_m)]
    for steps in horizons:
        texts = [f"{mean[steps - 1]:.3g} ({low[steps - 1]:.3g}-{high[steps - 1]:.3g})" for mean, low, high in columns]
        rows.append((str(steps), *texts))
    return rows


def slope_words(errors: HorizonErrors) -> str:
    """How fast the error of the value grows, in a sentence."""
    import numpy as np

    from forestpilot.policies.world_models.horizon import horizons_of, resampled, slope_of

    horizons = horizons_of(errors.value.shape[1])
    (slope,) = slope_of(errors.value.mean(0)[None], horizons)
    low, high = np.quantile(slope_of(resampled(errors.value), horizons), (0.025, 0.975))
    return (
        f"the error of the value grows like H^{slope:.2f} ({low:.2f}-{high:.2f}); theory: at most H^2 for a cloned "
        "model, H for an adversarial one"
    )


VERB = Verb(ImagineConfig, run, resumes=True)

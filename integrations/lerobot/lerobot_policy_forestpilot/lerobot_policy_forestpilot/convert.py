"""Write a policy as LeRobot loads one: `python -m lerobot_policy_forestpilot.convert RUN FOLDER`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lerobot.configs.types import FeatureType, PolicyFeature

from forestpilot.data_collection.episodes.plain import to_plain
from forestpilot.policies import load_policy
from lerobot_policy_forestpilot.configuration_forestpilot import ForestPilotConfig
from lerobot_policy_forestpilot.modeling_forestpilot import PIXELS, ForestPilotPolicy
from lerobot_policy_forestpilot.processor_forestpilot import make_forestpilot_pre_post_processors


def convert(run: Path, folder: Path) -> None:
    """Write what `--policy.path=FOLDER` takes.

    Args:
        run: folder of a run of ForestPilot's, or of a policy.
        folder: what is made.
    """
    network = load_policy(run)
    spec = network.spec
    size = (3, spec.image_height, spec.image_width)
    inputs = {f"{PIXELS}{camera}": PolicyFeature(FeatureType.VISUAL, size) for camera in network.camera_names}
    inputs["observation.state"] = PolicyFeature(FeatureType.STATE, (spec.state_size,))
    inputs["observation.environment_state"] = PolicyFeature(FeatureType.ENV, (spec.goal_size,))
    config = ForestPilotConfig(
        policy=json.dumps(to_plain(network.config)),
        task_spec=json.dumps(spec.to_dict()),
        input_features=inputs,
        output_features={"action": PolicyFeature(FeatureType.ACTION, (2,))},
        device="cpu",
        push_to_hub=False,
    )
    policy = ForestPilotPolicy(config)
    policy.network.load_state_dict(network.state_dict())
    policy.save_pretrained(folder)
    for pipeline in make_forestpilot_pre_post_processors(config):
        pipeline.save_pretrained(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run of ForestPilot's, or of a policy")
    parser.add_argument("folder", type=Path, help="what is made, for --policy.path")
    told = parser.parse_args()
    convert(told.run, told.folder)
    print(f"{told.folder}: lerobot-eval --policy.path={told.folder} --env.type=forestpilot")

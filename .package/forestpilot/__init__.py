"""ForestPilot: teach robots to drive and to fly through a forest from camera images.

The four packages are `forestpilot.sim`, `forestpilot.data_collection`, `forestpilot.policies` and `forestpilot.launch`;
in a checkout they lie at the top of the repository and this folder links to them. Importing this package registers the
environments, so that `gymnasium.make("forestpilot:ForestPilot/Drone-v0")` works by itself.
"""

import os
import sys

# The command must answer `--help` at once, and Gymnasium takes 0.2 s to import; verbs import what they use.
if os.path.basename(sys.argv[0] if sys.argv else "") != "forestpilot":
    import forestpilot.sim.envs.registration  # noqa: F401

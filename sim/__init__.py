"""ForestPilot's ground floor: worlds, vehicles, renderers, experts and the Gymnasium environments.

Importing this package registers the environments; `gymnasium.make("sim:ForestPilot/Drone-v0")` does so by itself.
"""

from gymnasium.envs.registration import register, registry

DRONE_ENV_ID = "ForestPilot/Drone-v0"

if DRONE_ENV_ID not in registry:
    register(id=DRONE_ENV_ID, entry_point="sim.envs.drone:DroneEnv")

"""ForestPilot's ground floor: worlds, vehicles, renderers, experts and the Gymnasium environments.

Importing this package registers the environments; `gymnasium.make("forestpilot:ForestPilot/Drone-v0")` does so by itself.
"""

from gymnasium.envs.registration import register, registry

ENTRY_POINTS = {
    "ForestPilot/Drone-v0": "forestpilot.sim.envs.drone:DroneEnv",
    "ForestPilot/Drive-v0": "forestpilot.sim.envs.drive:DriveEnv",
}

for env_id, entry_point in ENTRY_POINTS.items():
    if env_id not in registry:
        register(id=env_id, entry_point=entry_point)

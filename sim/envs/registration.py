"""Ids of the environments: importing this module makes them known to Gymnasium."""

from gymnasium.envs.registration import register, registry

ENTRY_POINTS = {
    "ForestPilot/Drone-v0": "forestpilot.sim.envs.drone:DroneEnv",
    "ForestPilot/Drive-v0": "forestpilot.sim.envs.drive:DriveEnv",
    "ForestPilot/Vehicle-v0": "forestpilot.sim.envs.any_vehicle:AnyVehicleEnv",
    "ForestPilot/ResetCliff-v0": "forestpilot.sim.tabular.env:ResetCliffEnv",
}

for env_id, entry_point in ENTRY_POINTS.items():
    if env_id not in registry:
        register(id=env_id, entry_point=entry_point)

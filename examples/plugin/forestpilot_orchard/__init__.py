"""A ground rover between rows of fruit trees: a plug-in for ForestPilot.

Nothing is imported here that need not be: parts are named as `package.module:attribute` and imported when somebody asks
for them.
"""

from gymnasium.envs.registration import register as register_env
from gymnasium.envs.registration import registry

ENVIRONMENTS = {
    "Orchard/Rover-v0": {"vehicle": "rover", "course": "orchard", "advisor": "pursuit", "task": "rover"},
    "Orchard/ForestRover-v0": {"vehicle": "rover", "course": "forest", "advisor": "pursuit", "task": "forest-rover"},
    "Orchard/Drone-v0": {"vehicle": "quadrotor", "course": "orchard", "advisor": "flight", "task": "orchard-drone"},
}

for env_id, kwargs in ENVIRONMENTS.items():
    if env_id not in registry:
        register_env(id=env_id, entry_point="forestpilot.sim.envs.any_vehicle:AnyVehicleEnv", kwargs=kwargs)


def register() -> None:
    """The lines that ForestPilot reads, by the entry point in pyproject.toml."""
    from forestpilot.data_collection.export import EXPORTERS
    from forestpilot.policies.networks.encoders import ENCODERS
    from forestpilot.policies.networks.heads import HEADS
    from forestpilot.sim.courses import COURSES
    from forestpilot.sim.experts import EXPERTS
    from forestpilot.sim.tasks import TASKS
    from forestpilot.sim.vehicles import VEHICLES

    VEHICLES.register("rover", "forestpilot_orchard.rover:Rover", "a rover of 30 kg that turns on the spot")
    COURSES.register("orchard", "forestpilot_orchard.orchard:OrchardCourse", "to the end of an alley of fruit trees")
    EXPERTS.register("pursuit", "forestpilot_orchard.pursuit:PursuitExpert", "pure pursuit of the shortest way")
    ENCODERS.register("strips", "forestpilot_orchard.strips:StripEncoder", "looks at vertical strips of the view")
    HEADS.register("laplace", "forestpilot_orchard.laplace:LaplaceHead", "a Laplace distribution over the action")
    EXPORTERS.register("npz", "forestpilot_orchard.npz:NpzExporter", "one NumPy file per episode")
    TASKS.register("rover", "forestpilot_orchard.tasks:ROVER", "drive a rover through an orchard")
    TASKS.register("forest-rover", "forestpilot_orchard.tasks:FOREST_ROVER", "drive a rover through a forest")
    TASKS.register("orchard-drone", "forestpilot_orchard.tasks:ORCHARD_DRONE", "fly a quadrotor through an orchard")

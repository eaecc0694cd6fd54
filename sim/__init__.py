"""ForestPilot's ground floor: worlds, vehicles, renderers, experts and the Gymnasium environments.

Nothing is imported here, so that the command answers at once; `forestpilot.sim.envs.registration` tells Gymnasium about
the environments, and importing `forestpilot` imports that, so that `gymnasium.make("forestpilot:ForestPilot/Drone-v0")`
works by itself.
"""

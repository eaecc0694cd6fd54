"""The tasks of version 0.1: what their own options were called, beside those of each other."""

FIRST_TASK = "drone"
"""The task of a config that does not name one."""
MIX_OPTIONS = {
    "drone": {"densities": "density"},
    "drive": {"length": "length", "side_cameras": "side_cameras", "interventions": "interventions"},
}
"""Keys of a mix that were options of one of the tasks, and what they are now."""
EVALUATION_OPTIONS = {
    "drone": {"density": "density"},
    "drive": {"length": "length", "interventions": "interventions"},
}
"""Keys of an evaluation that were options of one of the tasks, and what they are now."""

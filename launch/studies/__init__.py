"""Studies: comparisons that take many trainings, each told by one command; they go on where they were interrupted.

A module each: its config with the sizes, `QUICK` (a config that takes a minute), and `run_study`. What they share is in
`common` (cells, intervals' input) and `statistics`. Nothing here draws or prints; `forestpilot.launch.verbs.study` does.
"""

STUDIES = {
    "three-cameras": "three_cameras",
    "dagger-road": "dagger_road",
    "compounding-error": "compounding_error",
    "gates": "gates",
    "keyboard": "keyboard",
}
"""Name of each study and of its module in this package."""

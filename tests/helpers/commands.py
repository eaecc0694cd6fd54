"""Commands that tests start in processes of their own."""

import sys

COLLECT_BY_KEYBOARD = (sys.executable, "-m", "forestpilot.launch.cli", "collect", "--pilot", "keyboard")

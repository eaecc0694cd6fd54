"""Commands that tests start in processes of their own."""

import sys

FORESTPILOT = (sys.executable, "-m", "forestpilot.launch.cli")
COLLECT_WORDS = ("collect", "--pilot", "keyboard")
COLLECT_BY_KEYBOARD = (*FORESTPILOT, *COLLECT_WORDS)

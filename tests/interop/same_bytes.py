"""What a flight and a drive of the experts leave behind, as digests: `python -m tests.interop.same_bytes`.

Run by several versions of Python, it prints the same lines: `make versions` compares them.
"""

from __future__ import annotations

import hashlib

import gymnasium

STEPS = 60
SEEDS = (0, 2_000_000)
CENTER = 1


def digest_of(task: str) -> str:
    """16 hexadecimal digits of all that is seen, told and advised on the expert's way through some worlds."""
    digest = hashlib.blake2b(digest_size=8)
    env = gymnasium.make(f"forestpilot:ForestPilot/{task}", expert=True, disable_env_checker=True)
    for seed in SEEDS:
        observation, info = env.reset(seed=seed)
        for _ in range(STEPS):
            for key in sorted(observation):
                digest.update(observation[key].tobytes())
            digest.update(info["expert_action"].tobytes())
            observation, reward, terminated, truncated, info = env.step(info["expert_action"][CENTER])
            digest.update(f"{reward!r} {info['outcome']}".encode())
            if terminated or truncated:
                break
    env.close()
    return digest.hexdigest()


if __name__ == "__main__":
    for task in ("Drone-v0", "Drive-v0"):
        print(task, digest_of(task))

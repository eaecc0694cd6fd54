"""Adversarial imitation: a learner is rewarded for what passes for an expert's."""

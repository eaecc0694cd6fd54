"""Windows of episodes for training: which steps teach what, side cameras, augmentation."""

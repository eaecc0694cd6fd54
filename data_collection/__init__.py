"""Who acts, what is recorded and where it is kept: episodes, datasets, windows for training, augmentation.

Import what you need from its module; nothing is imported here, so that the command line starts at once.
"""

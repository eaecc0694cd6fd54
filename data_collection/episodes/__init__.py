"""Episodes on disk: one file each, written whole or not at all, gathered in datasets."""

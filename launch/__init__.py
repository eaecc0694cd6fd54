"""The top floor: the commands. It imports everything below; nothing imports it."""

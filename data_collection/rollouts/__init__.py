"""Running scenarios on all cores: pilots, gates, the record of each episode, and replays."""

"""Imitation in small worlds of states and actions, where everything is computed and nothing estimated.

`mdp` has the worlds as matrices, with value and occupancy of a policy; `reset_cliff` the one in which a mistake costs
all that is left, `standard_imitation` the one in which nothing binds a learner to what it has seen; `cloning` and
`dagger` learn in them by counting, `adversarial` by matching what the expert visits; `bounds` is what theory says of
them; `env` is the Reset Cliff as a Gymnasium environment. None of it knows vehicles, pictures or networks.

    cliff = ResetCliff(states=8, actions=1000, horizon=40, episodes=1000)
    mdp, expert = cliff.mdp(), cliff.expert()
    counts = demonstrate(mdp, expert, 1000, np.random.default_rng(0))
    gap = expected_return(mdp, expert) - expected_return(mdp, clone(counts))
"""

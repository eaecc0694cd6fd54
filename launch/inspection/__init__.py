"""A look at datasets: what is in them, what of the world they cover, what they teach, and which episodes are bad.

Read in this order: `survey` reads every episode once, `checks` finds bad ones, `measures` counts, `figures` draws,
`page` writes.
"""

"""Reports: what runs left on disk, read, counted, drawn and put on one page that opens offline.

Read in this order: `runs` finds what a folder holds, `evaluations` and `tables` read it, `arms` puts together what is
compared, `comparison` and `behaviour` count, `failures` replays the worst episodes, `figures` draws, `page` writes.
"""

"""How fast neo_np is on this machine, beside what the machine could do at best and beside other libraries.

`command` is where it starts. A work (`works`) is a thing to measure, such as decode; a side is who does it: neo_np, a peer,
or "limit", the machine itself. Each side runs in a process of its own (`worker`), and the sides take turns (`rounds`), so
that they meet the same machine, whatever else it is doing. What is compared are medians over the rounds (`report`).

To add a work: write our side's function in `ours`, one for each peer in `peers`, and give them an entry in `works`.
"""

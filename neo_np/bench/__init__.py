"""How fast neo_np is on this machine, beside the machine's own limit and beside other libraries.

`command` is the entry point. A benchmark (`benchmarks`) is one thing to measure, such as decode. A backend (`backends/`) does
it: neo_np, a peer (another library), or the roofline, which is the machine's limit. Each backend runs in its own process
(`worker`, `process`). In each round every backend is measured once (`rounds`), so all of them meet the same machine, whatever
else it is doing. The tables compare medians over the rounds (`report`).

To add a benchmark: write a function for each backend in `backends/`, and add an entry to `benchmarks`.
"""

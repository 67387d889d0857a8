"""The backends, one kind a file: each function takes the job and returns run(case), which measures one case once."""

"""Grading submissions: files of students in, points and named mistakes out.

submission.py reads the cells of a file, needed.py finds what an answer needs, left_out.py what it misses, worker.py checks one
answer in a process of its own, process.py starts and ends that process, grader.py grades whole files, report.py shows the
result.
"""

"""Speed and correctness of every pass, beside torch's own, in one run: `python -m fpdet bench`.

problems    descriptors of convolutions; shapes: files of them under shapes/
data        operands; cases, pointwise: what is timed, and against what; others: other systems
measure     interleaved timings; peak: what the machine can do at most
suite       which cases the default run has; record: the run folder; rows: numbers derived from it
bars        the ratios that have to be reached; table, plots, report, page: how they are shown
compare     what got slower between two runs; check: bits against the oracle
"""

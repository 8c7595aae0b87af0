"""Does a device give the recorded bits? ``python -m fpdet conformance --device cuda``.

`matrix` names the cases, `inputs` makes their operands from integers, `runner` computes and compares with the digests
in golden.json (recorded on a CPU, shipped with the package), `mutants` holds planted errors that must be noticed,
`record` the table and the JSON file.
"""

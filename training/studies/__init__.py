"""Studies: experiments that are tables of recipes, run seed by seed, with a table and a plot at the end.

A study is data (`study.py`; one function a study, collected in `catalogue.py`); `plan.py` turns it into ordinary
training runs, `laboratory.py` runs them in processes of their own, `results.py`, `table.py` and `plot.py` show what
came out. Imported nowhere at start: `hdhe --help` passes through this file.
"""

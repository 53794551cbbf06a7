"""Each node gets its part of the pods' network.

`plan.py` keeps which parts are given out; `controller.py` gives them to nodes and takes them
back.
"""

"""The kubelet's own HTTPS server, which the API server asks on behalf of users.

`app.py` checks who asks and finds the container. `logs.py` reads logs (`log_lines.py` is pure),
`exec.py` carries the streams of exec, attach and port-forward between the caller and the runtime,
`stats.py` says what containers use.
"""

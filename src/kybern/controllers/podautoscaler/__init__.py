"""Scales what has a `scale` subresource to what is asked of it: HorizontalPodAutoscaler.

`readings` asks the metrics APIs; `replicas` makes a number of replicas of each metric, `behavior`
holds it back where it would change too much too fast; `plan` makes a decision and a status of that.
"""

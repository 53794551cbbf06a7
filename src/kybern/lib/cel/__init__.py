"""CEL, the Common Expression Language: from text to a function that is called again and again.

    text ─► lexer ─► parser ─► syntax tree ─► checker ─► compiler ─► Program
                                   types and overloads of an Environment

A Program is a tree of Python closures over a frame (a list of variables). It has no side effects,
always ends, and counts what it costs as cel-go does. Values are plain Python ones where Python has
them; see `values`. Nothing here knows of Kubernetes: `kybern.api.expressions` adds that.
"""

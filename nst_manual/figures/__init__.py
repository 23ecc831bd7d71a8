"""Contact sheets of many runs: what a layer holds, what a weight does, one option against another.

    plan_layers, plan_weights, plan_grid, plan_networks    options -> Plan: what is to be painted, checked
    paint_plan                                             Plan -> Figure: the pictures, the sheet of them

`layers_figure`, `weights_figure`, `grid_figure` and `networks_figure` do both. Each picture is a run as
`nst-manual run` makes it.
"""

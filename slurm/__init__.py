"""Headstart on a SLURM cluster: render a batch script, submit it, watch it, stop it.

`settings` (what a site and a user say) → `render` (batch script text) → `submit` (command line).
Inside a job, `prepare` and `ray_node` do on a node what a shell cannot do well. `status` and
`cancel` work from any machine that sees the run folder. `rayjob` prints the same job for
Kubernetes. Nothing here imports torch or Ray.
"""

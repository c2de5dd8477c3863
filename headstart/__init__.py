"""What every package of Headstart shares and none owns: errors, exit statuses, atomic files.

Nothing here imports another package of ours, so `models`, `datasets`, `analysis` and `slurm`
can use it without importing `harness`.
"""

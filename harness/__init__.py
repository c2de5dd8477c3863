"""From a sweep file to records of trials on disk.

The data flows one way: `spec` (what a sweep file may say) → `plan` (ordered trials with ids) →
an engine (`run_local`, `run_ray`) → `trial` (one of them) → `store` (records on disk).
"""

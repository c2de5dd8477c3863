"""From a sweep file to records of trials on disk.

The data flows one way: `sweepfile/` (what a sweep file may say) → `plan/` (ordered trials with
ids) → `engines/` (which trial starts where) → `training/` (one of them) → `runfolder/` (records on
disk).
"""

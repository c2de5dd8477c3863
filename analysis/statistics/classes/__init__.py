"""What a classifier answered: by class, its mistakes, its calibration."""

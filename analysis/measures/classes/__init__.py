"""Predictions of many trials to tables by class, by image, and of calibration."""

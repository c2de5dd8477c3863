"""One sample of numbers: resampling, intervals, tests."""

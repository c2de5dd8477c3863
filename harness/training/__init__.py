"""One trial on one device. In: a TrialSpec and a folder. Out: files there, and events."""

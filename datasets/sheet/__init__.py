"""python -m datasets.sheet: photographed sheets of handwritten digits → a data set."""

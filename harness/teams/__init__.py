"""Several processes to one trial: started, watched, joined, ended."""

"""The kinds of arrays that the statistics pass on; it stands alone so that each has one name."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]  # numbers of rows
Rng = np.random.Generator  # every function that draws is given one

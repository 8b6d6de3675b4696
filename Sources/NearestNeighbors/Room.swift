// NearestNeighbors: first file arrives shortly.

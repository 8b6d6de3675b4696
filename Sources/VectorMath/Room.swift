// VectorMath: first file arrives shortly.

// Training: first file arrives shortly.

// Serving: first file arrives shortly.

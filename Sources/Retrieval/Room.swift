// Retrieval: first file arrives shortly.

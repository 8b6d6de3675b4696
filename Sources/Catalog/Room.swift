// Catalog: first file arrives shortly.
